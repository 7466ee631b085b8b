"""`reactor show`, `reactor events` and `reactor logs`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from reactor.events.event import Message
from reactor.events.questions import open_questions
from reactor.events.state import RunState
from reactor_web.terminal.lines import full_line, json_line, plain_line, printable, question_text
from reactor_web.terminal.places.place import Place
from reactor_web.terminal.runs.options import Json, RunId, Store, Url, at_run, write_json
from reactor_web.terminal.tree import render_run
from reactor_web.terminal.views import print_outputs

_ALL_TASKS: Final = 1_000_000
"""Lines: a run is shown whole where nothing is redrawn."""

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Goes on until the run has ended, across restarts.")]


def show_run(run: RunId, url: Url = None, store: Store = None, json: Json = False) -> None:
    """Shows a run as it is now: its tasks, what it asks, how it ended and what came of it."""

    async def work(place: Place, run_id: str) -> int:
        state = await place.state(run_id)
        outputs = await place.outputs(run_id) if state.status == "completed" else {}
        if json:
            write_json({**state.to_dict(), "outputs": outputs, "questions": open_questions(state)})
        else:
            _print_run(state, outputs)
        return 0

    at_run(run, url, store, work)


def _print_run(state: RunState, outputs: dict[str, Any]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    with console.capture() as captured:
        console.print(render_run(state, now=time.time(), height=_ALL_TASKS))
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
    for name, text in _facts(state):
        print(printable(f"{name}: {text}"))
    for question in open_questions(state):
        print(printable(f"asks: {question['task_id']} {question_text(question)}"))
    sys.stdout.flush()
    print_outputs(Console(), outputs)


_WIDE: Final = 120
"""Columns where nobody says how many there are."""


def _facts(state: RunState) -> list[tuple[str, str]]:
    """What the tree does not say."""
    parent = state.parent or {}
    facts = {
        "started": state.started,
        "version": state.version,
        "parent": f"{parent.get('run_id')}, task {parent.get('task_id')}" if parent else None,
        "meta": " ".join(f"{name}={value}" for name, value in (state.meta or {}).items()),
        "reason": state.reason,
        "cost": f"{state.cost}, {state.tokens or 0} tokens" if state.cost or state.tokens else None,
    }
    return [(name, str(text)) for name, text in facts.items() if text]


def show_events(
    run: RunId,
    follow: Follow = False,
    after: Annotated[int, typer.Option(min=0, metavar="SEQ", help="Only the events behind this one.")] = 0,
    lines: Annotated[bool, typer.Option("--lines", help="With the text of chunks.")] = False,
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Prints the events of a run, one a line."""
    line: Callable[[Message], str | None] = json_line if json else full_line if lines else plain_line
    _print_events(run, url, store, line, after, follow)


def show_logs(run: RunId, follow: Follow = False, url: Url = None, store: Store = None, json: Json = False) -> None:
    """Prints what the bodies of a run have logged with ctx.log, one a line."""

    def line(message: Message) -> str | None:
        if message.type != "log.created":
            return None
        return json_line(message) if json else plain_line(message)

    _print_events(run, url, store, line, 0, follow)


def _print_events(
    run: str, url: str | None, store: str | None, line: Callable[[Message], str | None], after: int, follow: bool
) -> None:
    async def work(place: Place, run_id: str) -> int:
        async with aclosing(place.events(run_id, after, follow=follow)) as messages:
            async for message in messages:
                if (text := line(message)) is not None:
                    write_line(text, flush=follow)
        sys.stdout.flush()
        return 0

    at_run(run, url, store, work)


def write_line(text: str, *, flush: bool = False) -> None:
    """A line of stdout, with ``?`` for what its encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + os.linesep)
    if flush:
        sys.stdout.flush()
