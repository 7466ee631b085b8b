"""Commands to runs, which any process may ask for: the one that holds the run carries them out.

A command waits in the inbox of its run, and is taken out in the same step in which its event is committed. So it is
carried out once, whoever holds the run meanwhile. Its answer is kept for ten minutes, for those who ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from reactor import bounds
from reactor.errors import UnknownRun
from reactor.logger import get_logger
from reactor.logs.redis.appends import Appends
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.lease import Incarnation
from reactor.logs.redis.relay import Relay
from reactor.logs.redis.ring import Key
from reactor.logs.redis.server import unavailable
from reactor.ports.sharing import Stop

logger = get_logger()

LOOK_SECONDS: Final = 1.0
"""How often a command is asked for again, until it is answered: what is told on a channel may be missed."""


class Inbox:
    """The commands of one log: those that this process asks for, and those that it is asked for. Loop thread only."""

    def __init__(self, calls: Calls, incarnation: Incarnation, appends: Appends, relay: Relay) -> None:
        self._calls = calls
        self._incarnation = incarnation
        self._appends = appends
        self._relay = relay
        self._asked: Callable[[str, str], None] = lambda run_id, tenant: None
        self._waiting: dict[str, list[asyncio.Future[bytes]]] = {}
        """By command: who waits for its answer here."""

    async def listen(self, asked: Callable[[str, str], None]) -> Stop:
        """Hears of answers, and calls ``asked(run_id, tenant)`` when a run that is held here has a command."""
        self._asked = asked
        return await self._relay.hear(f"{self._calls.names.channels}!inbox.{self._incarnation.node}", self._hear)

    def _hear(self, said: bytes) -> None:
        word, _, rest = said.partition(b" ")
        if word == b"asked":
            tenant, _, run_id = rest.decode().rpartition(":")
            self._asked(run_id, tenant)
            return
        id, _, answer = rest.partition(b" ")
        for future in self._waiting.pop(id.decode(), ()):
            if not future.done():
                future.set_result(answer)

    # --- asking ---

    async def ask(self, key: Key, id: str, command: bytes, free: Callable[[], Awaitable[None]]) -> bytes | None:
        """See ``reactor.ports.handover.Inboxes``."""
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id, []).append(answered)
        try:
            async with asyncio.timeout(bounds.COMMAND_SECONDS):
                while True:
                    packed, is_final = await self._say(key, id, command, free)
                    if is_final:
                        return packed
                    await asyncio.wait({answered}, timeout=LOOK_SECONDS)
                    if answered.done():
                        return answered.result() or None
        finally:
            waiting = self._waiting.get(id, [])
            if answered in waiting:
                waiting.remove(answered)
                if not waiting:
                    del self._waiting[id]

    async def _say(
        self, key: Key, id: str, command: bytes, free: Callable[[], Awaitable[None]]
    ) -> tuple[bytes | None, bool]:
        """Asks, or asks again. Returns the answer, and whether it is one: None, then the run has ended."""
        tenant, run_id = key
        parts = (id, self._incarnation.node, command, bounds.COMMANDS_OF_RUN)
        how, *rest = await self._calls.write("ask", tenant, run_id, *parts)
        if how == b"UNKNOWN":
            raise UnknownRun.of(run_id)
        if how == b"FULL":
            what = f"has {bounds.COMMANDS_OF_RUN:,} commands that wait for run {run_id} already"
            raise unavailable(self._calls.place, what, "busy")
        if how == b"FREE":
            await free()
        return (rest[0] if rest else None), how in (b"TOLD", b"ENDED")

    async def withdraw(self, key: Key, id: str) -> None:
        """Nobody is to carry it out."""
        await self._calls.write("withdraw", *key, id)

    # --- answering ---

    async def commands(self, key: Key, limit: int) -> list[tuple[str, bytes]]:
        """Those that wait, as id and command, the oldest first."""
        found: list[Any] = await self._calls.read("commands", *key, limit)
        return [(found[i].decode(), found[i + 1]) for i in range(0, len(found), 2)]

    def answer(self, key: Key, id: str, answer: bytes, seq: int | None) -> None:
        """Answers a command: with the window that has the event ``seq``, or now where it has written none."""
        fence = self._incarnation.fence_of(key)
        if not fence:
            return  # another process holds the run, and answers
        if seq is not None:
            self._appends.answer_with(key, seq, id, answer)
        else:
            told = self._calls.write("tell", *key, fence, id, answer)
            told.add_done_callback(_said)


def _said(told: asyncio.Future[Any]) -> None:
    if not told.cancelled() and (error := told.exception()) is not None:
        logger.warning("a command was not answered", error=str(error))
