"""A run of an engine here, shown to its end; what its tasks ask is asked on the terminal."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager
from typing import TextIO

from rich.console import Console

from reactor.engine import Engine
from reactor.errors import RunEnded, TaskEnded, WrongQuestion
from reactor.events.event import Event, Message
from reactor.runs.run import Run
from reactor_web.terminal.asking import Asking
from reactor_web.terminal.given import Sent, refuse
from reactor_web.terminal.signals import Signals
from reactor_web.terminal.views import View, exit_code, open_view, print_outputs


def view_of(*, json: bool, lines: bool, out: TextIO | None = None, run_id: str = "") -> AbstractContextManager[View]:
    """Refuses two ways at once."""
    if json and lines:
        refuse("--json and --lines are two ways to show a run: give one of them")
    return open_view(Console(file=out), json=json, lines=lines, run_id=run_id)


async def show_to_end(
    engine: Engine, run: Run, shown: AbstractContextManager[View], signals: Signals, values: Iterable[Sent] = ()
) -> int:
    """Sends the values, shows the run, prints its outputs; returns the exit code. A signal cancels the run."""
    signals.cancel(run)
    for sent in values:
        await _send(run, sent)
    with shown as view:
        signals.leave = view.leave
        async with Asking.of(run, view) as asking:
            async for message in _messages(engine, run, only_own=not view.is_for_people):
                if isinstance(message, Event):
                    view.show(message)
                    asking.look()
    if view.is_for_people and run.status == "completed":
        print_outputs(Console(), await run.shown_outputs())
    return exit_code(run.status)


async def _messages(engine: Engine, run: Run, *, only_own: bool) -> AsyncIterator[Message]:
    """The events of a run, with those of the runs below it where the log keeps their order."""
    if only_own or not engine.has_tree_events:
        async for message in run:
            yield message
        return
    async for event in await engine.tree_events(run.id):
        yield event.message


async def _send(run: Run, sent: Sent) -> None:
    try:
        await run.send(sent.task, sent.value, key=sent.key)
    except (TaskEnded, RunEnded, WrongQuestion) as late:  # for example, the task was skipped and needs no value
        print(f"reactor: {late}", file=sys.stderr)
