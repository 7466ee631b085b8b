"""``python -m benchmarks [--only E1,S1] [--quick] [--json FILE] [--svg FILE] [--markdown FILE] [--peers]``.

``python -m benchmarks holds`` is a program of its own.
Runs everything that is installed and prints the table. A missed target is not an error: the exit code is 0.

``python -m benchmarks --soak SECONDS`` soaks a server instead: see ``soak``. There the exit code says whether all held.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape

from benchmarks import (
    engine,
    fanout,
    followed,
    frames,
    growth,
    holds,
    idle,
    latency,
    memory,
    nchan,
    peers,
    picture,
    readers,
    reconnect,
    relayed,
    replay,
    runs,
    secure,
    sharing,
    stalled,
    table,
    watched,
)
from benchmarks.figure import Figure
from benchmarks.soak import measure as measure_soak
from benchmarks.soak import picture as picture_soak

MEASURES: dict[str, Callable[[bool], Figure]] = {
    "E1": engine.e1,
    "E2": engine.e2,
    "E3": growth.e3,
    "E4": memory.e4,
    "E5": runs.e5,
    "E6": followed.e6,
    "E7": watched.e7,
    "E8": readers.e8,
    "E9": engine.e9,
    "E10": relayed.e10,
    "S1": fanout.s1,
    "S2": fanout.s2,
    "S3": latency.s3,
    "S4": idle.s4,
    "S5": stalled.s5,
    "S6": replay.s6,
    "S7": reconnect.s7,
    "S8": secure.s8,
    "D1": frames.d1,
    "D2": sharing.d2,
}
"""Each takes ``quick``: whether to measure small sizes."""
PIPE_WIDTH = 160
"""The width of the table where the output is not a terminal."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="The targets of docs/performance.md.")
    parser.add_argument("--only", default=",".join(MEASURES), help="targets, by comma: E1,S1")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works, not to judge")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--svg", type=Path, help="write the picture to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="a server under mixed load for so long, instead")
    parser.add_argument("--peers", action="store_true", help="also other systems, where they are installed")
    arguments = parser.parse_args()
    arguments.only = arguments.only.upper().split(",")
    if unknown := [id for id in arguments.only if id not in MEASURES]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    return arguments


def measure(ids: list[str], quick: bool, console: Console) -> list[Figure]:
    """Measures one target after the other; one that fails is reported, and the others are measured."""
    figures: list[Figure] = []
    for id in ids:
        began = monotonic()
        with console.status(f"{id} …"):
            try:
                figure = MEASURES[id](quick)
            except Exception as error:  # a lost event, say: it must be reported, but not hide the other figures
                console.print(f"[red]{id} was not measured: {type(error).__name__}: {error}[/]")
                continue
        figures.append(figure)
        console.print(f"[dim]{id} {table.shown(figure.value)} {figure.unit} ({monotonic() - began:.0f} s)[/]")
    return figures


def main() -> int:
    if sys.argv[1:2] == ["holds"]:
        return holds.main(sys.argv[2:])
    arguments = parse()
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    where = table.machine()
    if arguments.soak:
        return soak(arguments, console, where)
    if not nchan.is_installed():
        console.print("nginx + nchan is not installed (Debian: nginx libnginx-mod-nchan): S1 and S2 have no verdict")
    figures = measure(arguments.only, arguments.quick, console)
    if arguments.peers:
        figures += peers.measure(arguments.quick, console)
    console.print(table.table(figures, where))
    for note in table.notes(figures):
        console.print(f"[dim]{note}[/]", highlight=False)
    if arguments.json:
        result = {"machine": where, "quick": arguments.quick, "figures": [figure.to_dict() for figure in figures]}
        arguments.json.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    if arguments.svg:
        arguments.svg.write_text(picture.svg(figures, _about(where)))
    if arguments.markdown:
        arguments.markdown.write_text(table.markdown(figures) + "\n")
    return 0 if len(figures) >= len(arguments.only) else 1


def soak(arguments: argparse.Namespace, console: Console, where: dict[str, Any]) -> int:
    """The soak, with the files that were asked for."""
    soaked = measure_soak.measure(arguments.soak, lambda line: console.print(line, highlight=False))
    problems = measure_soak.problems(soaked)
    console.print(dict(soaked.done), f"{soaked.streams:,} streams, {soaked.events:,} events", highlight=False)
    console.print(f"memory at rest grows by {soaked.growth:.2f} MB a round", highlight=False)
    for problem in problems:
        console.print(f"[red]{escape(problem)}[/]", highlight=False)
    if arguments.json:
        result = {"machine": where, **soaked.to_dict()}
        arguments.json.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    if arguments.svg:
        arguments.svg.write_text(picture_soak.svg(soaked, _about(where)))
    if arguments.markdown:
        arguments.markdown.write_text(measure_soak.markdown(soaked) + "\n")
    return min(len(problems), 1)


def _about(where: dict[str, Any]) -> str:
    return f"CPython {where['python']}, {where['processor']}, {where['cores']} cores, {where['date']}"


if __name__ == "__main__":
    sys.exit(main())
