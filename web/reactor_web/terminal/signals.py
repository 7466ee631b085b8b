"""Ctrl-C and SIGTERM in a command: the first one ends what it does in order, the second one ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType
from typing import Final

from reactor.bounds import BLOCKED_LOOP_SECONDS, CANCEL_GRACE_SECONDS
from reactor.errors import ReactorError
from reactor.events.state import RunState
from reactor.runs.run import Run

NAMED_TASKS: Final = 5
"""How many of the tasks that are waited for are named."""
_BY: Final = {signal.SIGINT: ("interrupted", "keyboard"), signal.SIGTERM: ("terminated", "SIGTERM")}
"""Signal -> the reason of the cancel, and by whom."""


def listen_for_signals(on_first: Callable[[int], object], leave: Callable[[], object] = lambda: None) -> None:
    """The first SIGINT or SIGTERM is told to ``on_first`` on the loop; the next one ends the process at once.

    That one does not wait for the loop, which a body may hold: then nothing else would end the process but SIGKILL.
    ``leave`` is called before, and the exit code is 128 and the number of the signal.
    """
    loop = asyncio.get_running_loop()
    arrived: float | None = None
    told = False

    def on_loop(signum: int) -> None:
        nonlocal told
        if not told:
            told = True
            on_first(signum)

    def at_once(signum: int, frame: FrameType | None) -> None:
        nonlocal arrived
        if arrived is None:
            arrived = monotonic()
            return
        if not told and frame is not None and monotonic() - arrived > BLOCKED_LOOP_SECONDS:
            os.write(2, f"reactor: ended at once; the event loop was held by {_where(frame)}\n".encode())
        with suppress(RuntimeError):  # it has interrupted somebody who writes there
            leave()
            sys.stdout.flush()
        os._exit(128 + signum)

    for signum in _BY:
        loop.add_signal_handler(signum, on_loop, signum)  # wakes the loop; what runs in between is replaced:
        signal.signal(signum, at_once)


def _where(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_qualname} ({code.co_filename}, line {frame.f_lineno})"


class Signals:
    """What the signals do: the first one cancels the run, or is kept until there is one."""

    def __init__(self) -> None:
        self.leave: Callable[[], object] = lambda: None
        """Called before the process ends at once."""
        self._run: Run | None = None
        self._first: int | None = None
        self._cancelling: asyncio.Task[None] | None = None

    def cancel(self, run: Run) -> None:
        """This is the run that is cancelled. A signal that came while it was starting counts."""
        self._run = run
        if self._first is not None:
            self._begin(run, self._first)

    def on_signal(self, signum: int) -> None:
        self._first = signum
        if self._run is not None:
            self._begin(self._run, signum)

    def _begin(self, run: Run, signum: int) -> None:
        reason, by = _BY[signal.Signals(signum)]
        self._cancelling = asyncio.ensure_future(_cancel(run, reason, by))
        print(f"reactor: cancelling; {_waits_for(run.state)}", file=sys.stderr, flush=True)


@contextmanager
def cancel_on_signals() -> Generator[Signals]:
    """Inside of it the first SIGINT or SIGTERM cancels the run and says what is waited for.

    The next one ends the process at once with exit code 128 + its number. Begin it before the run is started: its first
    body may work already when ``start`` returns.
    """
    loop, signals = asyncio.get_running_loop(), Signals()
    listen_for_signals(signals.on_signal, lambda: signals.leave())
    try:
        yield signals
    finally:
        for signum in _BY:
            loop.remove_signal_handler(signum)


async def _cancel(run: Run, reason: str, by: str) -> None:
    try:
        await run.request_cancel(reason=reason, by=by)
    except ReactorError as late:  # it has ended meanwhile
        print(f"reactor: {late}", file=sys.stderr)


def _waits_for(state: RunState) -> str:
    """What a cancel waits for: the bodies that run at this moment."""
    running = [t.id for t in state.tasks.values() if t.count is None and t.status in ("running", "waiting")]
    if not running:
        return "a second Ctrl-C ends at once"
    names = ", ".join(running[:NAMED_TASKS])
    more = f" and {len(running) - NAMED_TASKS} more" if len(running) > NAMED_TASKS else ""
    return f"{names}{more} may take up to {CANCEL_GRACE_SECONDS:g} s to stop, a second Ctrl-C ends at once"
