"""The ports for runs that any of several processes may execute: how they change hands, and who carries commands out.

One process needs neither: it executes all runs of its log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from reactor.ports.sharing import Stop


@runtime_checkable
class Handover(Protocol):
    """How runs come from one process to another. A log that several processes share implements it."""

    @property
    def lease_seconds(self) -> float:
        """How long a process may be silent before others take over its runs."""
        ...

    def standing(self) -> Awaitable[None]:
        """Nothing of a run is begun before this is done: at once, while this process may execute runs."""
        ...

    def when_renewed(self, told: Callable[[float], None]) -> None:
        """``told(ends)`` is called now, and whenever it is later: when bodies must have ended, as ``boot_time``."""
        ...

    def was_crash(self, run_id: str, *, tenant: str = "") -> bool:
        """Whether the process that held a run before this one has not said that it ends.

        It is told once, to who goes on with the run; else whoever takes the run next is told.
        """
        ...

    async def late_runs(self, limit: int) -> list[tuple[str, str]]:
        """Tenant and id of runs whose process is silent for too long; none while that may be the fault of the log."""
        ...

    async def free_runs(self, skip: int, limit: int) -> list[tuple[str, str]]:
        """Tenant and id of open runs that nobody holds."""
        ...

    async def watch_free(self, told: Callable[[], None]) -> Stop:
        """Calls ``told`` on the loop when there are more of them. It may be missed."""
        ...


@runtime_checkable
class Inboxes(Protocol):
    """Commands to open runs, which any process may ask for. A log that several processes share has it."""

    async def ask(
        self, run_id: str, id: str, command: bytes, free: Callable[[], Awaitable[None]], *, tenant: str = ""
    ) -> bytes | None:
        """Has whoever holds the run carry a command out, once, however often it is asked for under one ``id``.

        Returns the answer; None where the run has ended before. ``free`` is awaited where nobody holds the run: it is
        taken up there. Raises UnknownRun; LogUnavailable; TimeoutError where it is not known what became of it.
        """
        ...

    async def withdraw(self, run_id: str, id: str, *, tenant: str = "") -> None:
        """The command is not carried out, unless that has begun."""
        ...

    async def commands(self, run_id: str, limit: int, *, tenant: str = "") -> list[tuple[str, bytes]]:
        """The commands that wait for a run, as id and command, the oldest first."""
        ...

    def answer_command(self, run_id: str, id: str, answer: bytes, seq: int | None, *, tenant: str = "") -> None:
        """Answers a command, which does not wait any more then: in the step in which the event ``seq`` is committed.

        That event is in no window yet. None: the command has written none.
        """
        ...

    async def listen(self, asked: Callable[[str, str], None]) -> Stop:
        """Calls ``asked(run_id, tenant)`` on the loop when a run that this process holds has a command."""
        ...
