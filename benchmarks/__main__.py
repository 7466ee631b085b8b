"""``python -m benchmarks [--json FILE]``: runs everything that needs no second system and prints the table."""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks import engine, replay


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Engine overhead against bare asyncio.")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    console = Console()
    with console.status("engine overhead, n = 2,000, five pairs a shape"):
        overhead = engine.overhead()
    with console.status("a chain of 10,000 and a wide graph of 50,000"):
        large = engine.large()
    with console.status("replay of 100,000 events from SQLite over SSE"):
        replayed = replay.replay_rate()
    table = Table(title=f"microseconds a task, CPython {platform.python_version()}, memory log")
    for column in ("shape", "n", "bare", "reactor", "spread", "ratio"):
        table.add_column(column, justify="right" if column != "shape" else "left")
    for row in [*overhead["rows"], *large]:
        figures = (f"{row['bare_us']:.2f}", f"{row['us']:.1f}", row["spread"], f"{row['ratio']:.1f}")
        table.add_row(row["shape"], f"{row['n']:,}", *figures)
    console.print(table)
    met = overhead["mean"] <= overhead["gate"] and overhead["worst"] <= 1.5 * overhead["gate"]
    console.print(
        f"geometric mean at n = 2,000: {overhead['mean']:.1f} x bare, worst {overhead['worst']:.1f} x; "
        f"gate {overhead['gate']:.0f} x: {'met' if met else 'MISSED'}; target {overhead['target']:.0f} x: "
        f"{'met' if overhead['mean'] <= overhead['target'] else 'not yet'}"
    )
    console.print(replay.sentence(replayed))
    if arguments.json:
        arguments.json.write_bytes(
            orjson.dumps({"engine": overhead, "large": large, "replay": replayed}, option=orjson.OPT_INDENT_2)
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
