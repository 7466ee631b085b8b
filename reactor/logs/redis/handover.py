"""How runs come from one process to another, and commands to the one that holds a run: two ports of the log."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Protocol

from reactor.logs.redis.calls import Calls
from reactor.logs.redis.inbox import Inbox
from reactor.logs.redis.lease import Incarnation
from reactor.logs.redis.relay import Relay
from reactor.ports.sharing import Stop


class _Parts(Protocol):
    """What of an open log is used here."""

    calls: Calls
    incarnation: Incarnation
    relay: Relay
    inbox: Inbox


class ChangesHands:
    """Implements ``Handover`` and ``Inboxes``."""

    _lease_seconds: float

    @property
    @abstractmethod
    def parts(self) -> _Parts:
        """What the log is made of while it is open."""

    # --- who executes a run ---

    def was_crash(self, run_id: str, *, tenant: str = "") -> bool:
        return self.parts.incarnation.was_crash((tenant, run_id))

    def standing(self) -> Awaitable[None]:
        return self.parts.incarnation.standing()

    def when_renewed(self, told: Callable[[float], None]) -> None:
        incarnation = self.parts.incarnation
        incarnation.renewed = told
        told(incarnation.ends)

    @property
    def lease_seconds(self) -> float:
        return self._lease_seconds

    async def late_runs(self, limit: int) -> list[tuple[str, str]]:
        if not self.parts.incarnation.may_take_late:
            return []
        return [_named(name) for name in await self.parts.calls.write("orphans", limit)]

    async def free_runs(self, skip: int, limit: int) -> list[tuple[str, str]]:
        return [_named(name) for name in await self.parts.calls.read("free", skip, limit)]

    async def watch_free(self, told: Callable[[], None]) -> Stop:
        return await self.parts.relay.hear(f"{self.parts.calls.names.channels}!free", lambda said: told())

    # --- commands ---

    async def listen(self, asked: Callable[[str, str], None]) -> Stop:
        return await self.parts.inbox.listen(asked)

    async def ask(
        self, run_id: str, id: str, command: bytes, free: Callable[[], Awaitable[None]], *, tenant: str = ""
    ) -> bytes | None:
        return await self.parts.inbox.ask((tenant, run_id), id, command, free)

    async def withdraw(self, run_id: str, id: str, *, tenant: str = "") -> None:
        await self.parts.inbox.withdraw((tenant, run_id), id)

    async def commands(self, run_id: str, limit: int, *, tenant: str = "") -> list[tuple[str, bytes]]:
        return await self.parts.inbox.commands((tenant, run_id), limit)

    def answer_command(self, run_id: str, id: str, answer: bytes, seq: int | None, *, tenant: str = "") -> None:
        self.parts.inbox.answer((tenant, run_id), id, answer, seq)


def _named(name: bytes) -> tuple[str, str]:
    """Tenant and run id."""
    tenant, _, run_id = name.decode().rpartition(":")
    return tenant, run_id
