"""Runs and questions: a table on a terminal, lines with tabs elsewhere, JSON if asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reactor_web.terminal.lines import LOOKS, choices, printable, question_text
from reactor_web.terminal.places.place import Listed
from reactor_web.terminal.runs.options import write_json

RUN_TITLES = ("RUN", "WORKFLOW", "STATUS", "STARTED", "EVENTS", "PARENT")
QUESTION_TITLES = ("RUN", "TASK", "KEY", "QUESTION", "CHOICES")


def print_rows(titles: Sequence[str], rows: Iterable[Sequence[str]], status: int | None = None) -> None:
    """A table without lines on a terminal; elsewhere the rows alone, their cells with tabs between them.

    ``status``: the column whose text is a status, which gives its row a colour.
    """
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        sys.stdout.flush()
        return
    table = Table(box=None, pad_edge=False)
    for index, title in enumerate(titles):
        table.add_column(title, overflow="fold", no_wrap=index == 0)
    for row in rows:
        styles = [LOOKS.get(cell, ("", ""))[1] if index == status else "" for index, cell in enumerate(row)]
        table.add_row(*(Text(cell, style) for cell, style in zip(row, styles, strict=True)))
    Console().print(table)


def print_runs(runs: Sequence[Listed], json: bool) -> None:
    """One run a row, or a line of JSON each."""
    if not json:
        print_rows(RUN_TITLES, [_run_row(run) for run in runs], status=2)
        return
    for run in runs:
        write_json(run_json(run))


def run_json(run: Listed) -> dict[str, Any]:
    """A run of a list, with the same members wherever it is."""
    return {
        "run_id": run.run_id, "workflow": run.workflow, "version": run.version, "status": run.status,
        "created": run.created, "seq": run.last_seq, "parent": run.parent, "root": run.root,
    }  # fmt: skip


def _run_row(run: Listed) -> list[str]:
    cells = [run.run_id, run.workflow, run.status, run.created[:19] + "Z", str(run.last_seq), run.parent or "-"]
    return [printable(cell) for cell in cells]


def print_questions(questions: Sequence[dict[str, Any]], json: bool) -> None:
    """One question a row, or a line of JSON each: ``{run_id, workflow, task_id, key, prompt, schema}``."""
    if json:
        for question in questions:
            write_json(question)
        return
    print_rows(QUESTION_TITLES, [_question_row(question) for question in questions])


def _question_row(question: dict[str, Any]) -> list[str]:
    prompt = question_text({**question, "key": None})
    cells = [
        question["run_id"],
        question["task_id"],
        question["key"] or "-",
        prompt,
        choices(question["schema"]) or "-",
    ]
    return [printable(cell) for cell in cells]
