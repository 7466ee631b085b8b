"""``python -m benchmarks.histories [--rounds 20] [--seconds 30] [--seed SEED] [--proxy]``: several rounds, and a table.

A round with the seed ``7.3`` does to the same parts the same things at the same times; what they do meanwhile is up to
the machine. The exit code is 1 where a history has a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.histories.rounds import RUNS, Outcome, Round

FAULTS_SHOWN = 10
ROWS = (
    "runs",
    "events",
    "shown",
    "connections",
    "asked",
    "recoveries",
    "kill",
    "stop",
    "cut",
    "drain",
    "redis killed",
    "redis ended",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.histories", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long parts are taken away in each round")
    parser.add_argument("--runs", type=int, default=RUNS, help="in each round")
    parser.add_argument("--seed", default=str(int(time.time())), help="what decides what is done, and when")
    parser.add_argument("--proxy", action="store_true", help="partitions by a proxy, not by network namespaces")
    parser.add_argument(
        "--folder", type=Path, help="where what the parts wrote is kept; default: of rounds with faults"
    )
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    outcomes: list[Outcome] = []
    for number in range(options.rounds):
        seed = f"{options.seed}.{number}"
        folder = Path(tempfile.mkdtemp(prefix=f"history-{seed}-", dir=options.folder))
        played = Round(seed, folder, seconds=options.seconds, runs=options.runs, with_proxy=options.proxy)
        began = time.monotonic()
        outcomes.append(outcome := asyncio.run(played.play()))
        console.print(f"{number + 1}/{options.rounds} {line(outcome)}, {time.monotonic() - began:.0f} s", markup=False)
        for fault in outcome.faults[:FAULTS_SHOWN]:
            console.print(f"  {fault}", markup=False, soft_wrap=True)
        if outcome.faults:
            console.print(f"  see {folder}", markup=False)
        elif options.folder is None:
            shutil.rmtree(folder)
    console.print(table(outcomes))
    return int(any(outcome.faults for outcome in outcomes))


def line(outcome: Outcome) -> str:
    """A round in one line."""
    told = ", ".join(f"{outcome.figures[name]:,} {name}" for name in ROWS)
    return f"seed {outcome.seed}: {told}, by {outcome.network}, {len(outcome.faults)} faults"


def table(outcomes: list[Outcome]) -> Table:
    """The sums of all rounds."""
    sums = sum((outcome.figures for outcome in outcomes), Counter[str]())
    seconds = sorted(second for outcome in outcomes for second in outcome.going_on)
    shown = Table(title=f"{len(outcomes)} rounds")
    shown.add_column("what")
    shown.add_column("sum", justify="right")
    for name in ROWS:
        shown.add_row(name, f"{sums[name]:,}")
    shown.add_row("faults", f"{sum(len(outcome.faults) for outcome in outcomes):,}")
    if seconds:
        shown.add_row("runs of killed nodes", f"{len(seconds):,}")
        for name, value in (("p50", statistics.median(seconds)), ("max", seconds[-1])):
            shown.add_row(f"from kill to going on, {name}", f"{value:.2f} s")
    return shown


if __name__ == "__main__":
    sys.exit(main())
