"""A section of ``docs/mistakes.md``, and a row as one line of its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Run = Callable[[str, Path], str]
"""Runs the code of a row in an empty folder and returns what it says: the error, the log lines or the answer."""


@dataclass(frozen=True)
class Section:
    """One table. ``setup``: the code before each row, as the page shows it, if any."""

    title: str
    text: str
    run: Run
    rows: tuple[str, ...]
    setup: str = ""


def line_of(row: str, said: str) -> str:
    """A row of the table."""
    return f"| {_code(row)} | {_text(said)} |"


def _code(row: str) -> str:
    # a row has one code span for each of its lines, because a table has no other way to break them
    return "<br>".join(f"`{line.replace('|', chr(92) + '|')}`" for line in row.strip("\n").splitlines())


def _text(said: str) -> str:
    for sign in "\\|<>*_`[]":
        said = said.replace(sign, f"\\{sign}")
    return "<br>".join(said.splitlines())
