"""The ports for what may be kept beside the events, and ``Log``: what an engine needs at least.

A log may implement any of them. What it does not implement, an engine keeps in memory.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from reactor.errors import LogUnavailable
from reactor.ports.clock import Clock
from reactor.ports.index import RunIndex
from reactor.ports.log import EventLog


class Lifecycle(Protocol):
    """What is opened before it is used, and closed afterwards."""

    @property
    def durable(self) -> bool:
        """Whether events survive a restart. If so, an engine that closes leaves unfinished runs to the next one."""
        ...

    async def open(self) -> None:
        """Called once, before any other method."""
        ...

    async def close(self) -> None:
        """Called once, after the last append is done."""
        ...


@runtime_checkable
class KeepsTime(Protocol):
    """For a log that waits, or deletes by age: it does so by the clock of its engine."""

    def keep_time(self, clock: Clock, append_timeout: float) -> None:
        """Called by an engine before ``open``.

        ``append_timeout``: the seconds after which the engine gives up an append. A log that waits for others, such as
        for a lock on its file, waits so long and no less.
        """
        ...


@runtime_checkable
class Probed(Protocol):
    """For a log that can be asked whether it would take a window now."""

    async def probe(self) -> None:
        """Writes something that nobody reads, as durably as a window, and as large as many are; raises where it cannot.

        The engine asks while its log fails, at most once in ``bounds.LOG_PROBE_SECONDS``: nobody else may come and try.
        """
        ...


@runtime_checkable
class TellsTrouble(Protocol):
    """For a log that can tell, also while nothing is appended, that it cannot be used: its file is gone, say."""

    def when_troubled(self, told: Callable[[LogUnavailable | None], None]) -> None:
        """Called by an engine before ``open``.

        ``told`` is to be called on the loop: with the error when the log cannot be used any more, with None when it can
        again. In between each append fails. The engine takes no new runs then, and its open runs are lost in this
        process, until they can be taken up again.
        """
        ...


@runtime_checkable
class Announced(Protocol):
    """For a log that one process owns: whoever finds it in use is told where its owner can be asked."""

    def announce(self, url: str) -> None:
        """Called while the log is open, by who serves it. ``url``: of the server, ``http://127.0.0.1:8080``."""
        ...


class Log(EventLog, RunIndex, Lifecycle, Protocol):
    """What ``Engine(log=...)`` takes: events, the list of runs, and a beginning and an end."""


@runtime_checkable
class Checkpoints(Protocol):
    """Keeps states of runs, so that a long run need not be folded from its first event.

    A state is given and returned as bytes. A store may forget any of them.
    """

    async def checkpoint(self, run_id: str, until: int, *, tenant: str = "") -> bytes | None:
        """The kept state with the highest ``seq <= until``; None if there is none, also for a run it does not know."""
        ...

    def keep_checkpoint(self, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> Future[None]:
        """Keeps the state after event ``seq``; of each run the last ``bounds.CHECKPOINTS`` stay.

        The future fails with UnknownRun where there is no such run.
        """
        ...


@runtime_checkable
class Idempotency(Protocol):
    """Remembers what a request with a key was answered, so that the same request is carried out once.

    A key belongs to a run, or to none (``run_id=""``).
    """

    async def answer(self, key: str, *, run_id: str = "", tenant: str = "") -> bytes | None:
        """The answer last kept under the key; None for a key that was never seen, or is forgotten."""
        ...

    def keep_answer(self, key: str, answer: bytes, *, run_id: str = "", tenant: str = "") -> Future[None]:
        """Keeps an answer, in place of an earlier one. The future is done once it would survive a restart.

        The last ``bounds.RUN_ANSWERS`` of a run and the last ``bounds.ANSWERS`` of all stay.
        """
        ...


@runtime_checkable
class DigestKey(Protocol):
    """A secret of the log, under which digests are made of values that must not stand in the log themselves."""

    async def digest_key(self) -> bytes:
        """32 random bytes, made when they are first asked for and the same ever after."""
        ...


@runtime_checkable
class CleanStops(Protocol):
    """A mark that an engine leaves when it stops as it should."""

    async def take_stop(self) -> bool | None:
        """Whether the last engine left the mark; takes it away. None where no engine was here before."""
        ...

    async def mark_stop(self) -> None:
        """Leaves the mark."""
        ...
