"""The figures as a table in the terminal."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.figure import Figure, shown

VERDICTS = {True: "[green]met[/]", False: "[red]missed[/]", None: "[yellow]no baseline[/]"}


def machine() -> dict[str, Any]:
    """The machine that this was measured on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def table(figures: Sequence[Figure], where: dict[str, Any]) -> Table:
    """Target, figure, ratio, spread, verdict; ``notes`` has the rest."""
    title = f"CPython {where['python']}, {where['cores']} cores, load {where['load']:.1f} at the start, {where['date']}"
    made = Table(title=title)
    for column in ("", "measured", "figure", "spread", "ratio", "target", "verdict"):
        made.add_column(column, justify="right" if column in ("figure", "spread", "ratio") else "left")
    for figure in figures:
        made.add_row(
            figure.id,
            figure.what,
            f"{shown(figure.value)} {figure.unit}",
            f"{shown(figure.low)}-{shown(figure.high)}" if figure.rounds > 1 else "1 round",
            "" if figure.ratio is None else f"{shown(figure.ratio)} × {figure.against}",
            figure.target,
            VERDICTS[figure.met],
        )
    return made


def notes(figures: Iterable[Figure]) -> list[str]:
    """One line for each figure with a note."""
    return [f"{figure.id}: {figure.note}" for figure in figures if figure.note]


def markdown(figures: Iterable[Figure]) -> str:
    """The table in Markdown, for ``docs/performance.md``."""
    lines = ["| | measured | figure | spread | ratio | target | verdict |", "|---|---|---|---|---|---|---|"]
    for f in figures:
        spread = f"{shown(f.low)}-{shown(f.high)}" if f.rounds > 1 else "1 round"
        ratio = "" if f.ratio is None else f"{shown(f.ratio)} × {f.against}"
        verdict = {True: "met", False: "missed", None: "no baseline"}[f.met]
        lines.append(f"| {f.id} | {f.what} | {shown(f.value)} {f.unit} | {spread} | {ratio} | {f.target} | {verdict} |")
    return "\n".join(lines)
