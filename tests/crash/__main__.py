"""``python -m tests.crash [--lives 1000] [--worlds 4] [--seed SEED] [--folder FOLDER]``: see ``running``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.running import run

SHOWN = 20
"""How many faults are printed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.crash", description="Ends servers again and again, and looks.")
    parser.add_argument("--lives", type=int, default=1_000, help="how often, in all worlds together")
    parser.add_argument("--worlds", type=int, default=4, help="how many servers at the same time")
    parser.add_argument("--seed", default=str(int(time.time())), help="what decides when and how")
    parser.add_argument("--folder", type=Path, help="where the logs and oracles are kept; default: nowhere")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        print(f"seed {arguments.seed}", flush=True)
        outcome = asyncio.run(run(folder, arguments.seed, arguments.lives, arguments.worlds))
    print(outcome)
    for fault in outcome.faults[:SHOWN]:
        print("-", fault)
    print(f"{len(outcome.faults)} faults, {time.monotonic() - began:.0f} s")
    return min(len(outcome.faults), 1)


if __name__ == "__main__":
    sys.exit(main())
