"""``Place``: where runs are, as a command sees it. A server, a log file and a shared log are places."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol, Unpack

from reactor.errors import ReactorError
from reactor.events.event import Message
from reactor.events.state import RunState
from reactor.ports.index import RunFilter


class CannotDo(ReactorError):
    """What was asked for cannot be done in this place; the text says why, and what can."""


class Listed(Protocol):
    """A run in a list: what servers and logs both say of it."""

    @property
    def run_id(self) -> str: ...
    @property
    def workflow(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def created(self) -> str: ...
    @property
    def last_seq(self) -> int: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def root(self) -> str: ...


class Done(NamedTuple):
    """A run after a command: its id, its status and the last event of it that is known."""

    run_id: str
    status: str
    seq: int


class Retention(NamedTuple):
    """Which ended runs stay when the others are pruned; None: no limit."""

    keep_days: float | None
    keep_runs: int | None
    """Runs that no other has started, each with all below it."""


class Commands(Protocol):
    """What is done to runs. Each returns once it is in the log, and raises a ReactorError that says why not."""

    async def cancel(self, run_id: str, *, task: str | None, reason: str, grace: float) -> Done: ...

    async def pause(self, run_id: str, *, reason: str) -> Done: ...

    async def resume(self, run_id: str, *, reason: str) -> Done: ...

    async def send(self, run_id: str, task: str, value: Any, *, key: str | None, below: str | None) -> Done:
        """``below``: the id of a run below this one, whose task it is."""
        ...

    async def retry(self, run_id: str, *, new_run_id: str | None, from_task: str | None) -> Done:
        """Of the new run."""
        ...

    async def delete(self, run_id: str) -> None: ...

    async def prune(self, retention: Retention) -> int:
        """Deletes ended runs beyond these limits; returns how many."""
        ...


class Place(Protocol):
    """Where runs are. It is open inside ``async with finding.opened(where)``."""

    async def page(
        self, limit: int, before: str | None, *, stranded: bool = False, **wanted: Unpack[RunFilter]
    ) -> Sequence[Listed]:
        """Runs, newest first. ``before``: the id that the previous page ended with.

        ``stranded``: only open runs that nobody goes on with. A page may be shorter than ``limit`` then; an empty one
        is the last.
        """
        ...

    async def questions(self, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """What nobody has answered yet, and whether there is more: the newest run first, of a run what was asked last.

        Each is ``{run_id, workflow, task_id, key, prompt, schema}``, and ``expires`` if it does.
        """
        ...

    async def state(self, run_id: str) -> RunState:
        """Raises UnknownRun."""
        ...

    async def outputs(self, run_id: str) -> dict[str, Any]:
        """Of a run that has completed, as plain JSON; empty for any other."""
        ...

    def events(self, run_id: str, after: int, *, follow: bool) -> AsyncGenerator[Message, None]:
        """The events with ``seq > after`` that are there, with ``follow`` to the end of the run, across restarts.

        Where the log was trimmed, a ``stream.gap`` comes first. Raises UnknownRun.
        """
        ...

    def commands(self) -> AbstractAsyncContextManager[Commands]:
        """What can be done here. Raises CannotDo where a process owns the log: its name, and where to ask it."""
        ...
