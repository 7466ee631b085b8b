"""The lease of this process: one incarnation that is renewed, and the runs that it holds by their fences.

A fence is ``incarnation:number:random``. It is compared for equality wherever the run is written, so whoever takes a
run over keeps all others from writing, also those who do not know yet. An incarnation that could not be renewed in time
ends by the clock of this machine, before the others may take its runs: then a new one begins.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, cast

from redis.asyncio.connection import AbstractConnection

from reactor.clock import boot_time
from reactor.errors import LogUnavailable
from reactor.logger import get_logger
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.connecting import say
from reactor.logs.redis.ring import Key
from reactor.logs.redis.server import info_of, refused, unavailable
from reactor.logs.redis.wire import Part
from reactor.waiting import READY

logger = get_logger()

LEASE_SECONDS: Final = 15.0
"""How long a process may be silent before others take over its runs."""
PARTS: Final = 3
"""It is renewed so often in that time, and ends one part before the others may take its runs."""
LEAVE_SECONDS: Final = 2.0
"""What Redis has to hear that a process leaves; else its runs are free when its lease is over."""
SCAN: Final = 1_000
LIVES: Final = 1_000
"""So many starts of a server, or failovers, are remembered: whoever has seen what was lost then is told."""
INFO: Final = ("INFO", "server")
TRIES: Final = 3
"""How often a lease that is over is begun anew for somebody who wants a run."""


class Incarnation:
    """That of one open log. Loop thread only. ``lost(key)``: this process may not execute the run any more."""

    def __init__(self, calls: Calls, seconds: float, lost: Callable[[Key], None]) -> None:
        self.node = secrets.token_hex(8)
        """Begins the id of each incarnation of this log: by it others find the channel on which this process hears."""
        self.id = self.node + secrets.token_hex(8)
        self.seconds = seconds
        self.renewed: Callable[[float], None] = lambda ends: None
        """Called with ``ends`` whenever that is later than before."""
        self.seen: Callable[[], tuple[int, str]] = lambda: (0, "")
        """The last window that was acknowledged here: its position, and ``tenant:run:last seq``."""
        self.end_is_lost: Callable[[], None] = lambda: None
        """Called where Redis does not have that window any more."""
        self.came_back: Callable[[], None] = lambda: None
        """Called after a renewal before which others may have taken this node for dead, or Redis was away."""
        self._may_be_forgotten = False
        self._calls = calls
        self._lost = lost
        self._own = deque([self.id], maxlen=10)
        """The last ones of this process."""
        self._fences: dict[Key, str] = {}
        self._crashed: set[Key] = set()
        """Of those: what was taken from a process that did not say that it ends."""
        self._count = 0
        self._renewed = boot_time()
        """When the last renewal that has succeeded was sent."""
        self._connected = boot_time()
        """Since when there is a connection: others had so long to say that they live."""
        self._heard_of: tuple[bytes, ...] = ()
        """Runs that others have taken, as Redis has said with the last renewal; the next one says that it was heard."""
        self._owed: dict[Key, str] = {}
        """Runs, and the fences of those that could not be let go of: there was no connection."""
        self._jobs: set[asyncio.Task[None]] = set()

    # --- life ---

    async def open(self) -> None:
        """Begins the lease; raises LogUnavailable."""
        self._connected = boot_time()
        info = info_of(self._calls.place, await self._calls.writes.ask(INFO))
        await self._calls.writes.ask(self._life(info))
        await self._renew(self.id)
        self._spawn(self._keep())

    async def close(self) -> None:
        """Lets go of all runs at once: others need not wait for the end of the lease."""
        await self.abandon()
        self._fences.clear()
        self._crashed.clear()
        try:
            async with asyncio.timeout(min(LEAVE_SECONDS, self._calls.patience)):
                await self._leave(self.id)
        except (TimeoutError, LogUnavailable) as error:
            logger.warning("runs are let go of only when the lease is over", error=str(error))

    async def abandon(self) -> None:
        """Renews it no more."""
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.ensure_future(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    @property
    def ends(self) -> float:
        """When bodies must have ended if it is not renewed before, as ``boot_time`` tells time."""
        return self._renewed + self.seconds * (PARTS - 1) / PARTS

    def standing(self) -> Awaitable[None]:
        """Nothing is begun before this is done: that is at once, while the lease holds.

        Where it is over all runs are lost in the next turn of the loop, before anything that is read from the
        connection can say otherwise.
        """
        return READY if boot_time() < self.ends else self._fall()

    async def _fall(self) -> None:
        if boot_time() >= self.ends:
            self._end()
            await asyncio.sleep(0)  # who was to begin is cancelled here

    @property
    def may_take_late(self) -> bool:
        """Whether runs of incarnations that are late may be taken: they had a whole lease to be renewed since."""
        return boot_time() - self._connected >= self.seconds

    async def _keep(self) -> None:
        """Renews it again and again. Where that does not succeed in time, all runs are lost."""
        renewing: asyncio.Task[None] | None = None
        due = boot_time() + self.seconds / PARTS
        try:
            while True:
                now = boot_time()
                if now >= self.ends and self._fences:
                    self._end()
                    renewing, due = None, now
                if renewing is None and now >= due:
                    renewing = asyncio.ensure_future(self._try_to_renew(self.id))
                    due = now + self.seconds / PARTS
                late = now + self.seconds / PARTS / 5  # a renewal is under way: runs may be taken up meanwhile
                rest = min((at for at in (due, self.ends) if at > now), default=late) - now
                if renewing is None:
                    await asyncio.sleep(rest)
                else:
                    done, _ = await asyncio.wait({renewing}, timeout=rest)
                    renewing = None if done else renewing
        finally:
            if renewing is not None:
                renewing.cancel()

    async def _try_to_renew(self, node: str) -> None:
        try:
            await self._renew(node)
        except LogUnavailable as error:
            logger.warning("the lease could not be renewed", error=str(error))

    def _renew(self, node: str) -> asyncio.Future[None]:
        """Done when Redis has renewed it, and what it has said with that was heard.

        That is heard as it is answered, and not when somebody who waits has a turn: what Redis acknowledges later must
        not be held against the position that it gives.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent = boot_time()

        def renewed(answer: Any) -> None:
            if not isinstance(answer, Exception):
                self._on_renewed(node, sent, answer)
            if done.done():
                return
            if isinstance(answer, Exception):
                done.set_exception(refused(self._calls.place, answer))
            else:
                done.set_result(None)

        parts = self._renewal(node)
        self._calls.writes.call(parts, renewed)
        return done

    def _renewal(self, node: str) -> tuple[Part, ...]:
        return self._calls.names.call("renew", node, int(self.seconds * 1000), *self.seen(), *self._heard_of)

    def _life(self, info: Mapping[str, str]) -> tuple[Part, ...]:
        """Says which server keeps the log: another one gives positions that none before it has given."""
        return self._calls.names.call("live", info.get("run_id", ""), self.seen()[0], LIVES)

    def _on_renewed(self, node: str, sent: float, answer: Any) -> None:
        if node != self.id:  # it has ended meanwhile
            return
        was_late = sent - self._renewed >= self.seconds
        self._renewed = max(self._renewed, sent)
        self.renewed(self.ends)
        is_lost, taken = answer
        self._heard_of = tuple(taken)
        for name in taken:
            tenant, _, run_id = name.decode().rpartition(":")
            self.lose((tenant, run_id))
        if is_lost:
            self.end_is_lost()
        if was_late or self._may_be_forgotten:
            self._may_be_forgotten = False
            self.came_back()

    def _end(self) -> None:
        """It could not be renewed in time: others may take its runs soon. What is done here begins anew."""
        old, self.id = self.id, self.node + secrets.token_hex(8)
        self._may_be_forgotten = True
        self._own.append(self.id)
        self._renewed = boot_time()
        lost = list(self._fences)
        if lost:
            logger.error("the lease is over, it could not be renewed", runs=len(lost), seconds=self.seconds)
        for key in lost:
            self.lose(key)
        self._spawn(self._give_up(old))  # its bodies have ended, so nobody need wait for them

    async def _give_up(self, node: str) -> None:
        try:
            await self._leave(node)
        except LogUnavailable as error:
            logger.warning("runs are let go of only when the lease is over", error=str(error))

    async def _leave(self, node: str) -> None:
        while await self._calls.write("leave", node, SCAN):
            pass

    async def greet(self, connection: AbstractConnection) -> None:
        """There is a new connection: before anything else is sent on it the lease is renewed, and what Redis may have
        lost is claimed and written again."""
        sent, node = boot_time(), self.id
        await say(connection, *self._life(info_of(self._calls.place, await say(connection, *INFO))))
        answer = await say(connection, *self._renewal(node))
        self._connected = sent
        self._may_be_forgotten = True
        with self._calls.writes.before_others():
            self._on_renewed(node, sent, answer)
            if not answer[0]:  # no window is lost, but what was acquired since the last one may be
                self.claim_all()
            owed, self._owed = self._owed, {}
            for key, fence in owed.items():
                self.give_back(key, fence)

    # --- runs ---

    def is_own(self, node: str) -> bool:
        """Whether it is an incarnation of this process."""
        return node in self._own

    def fence_of(self, key: Key) -> str:
        """The fence by which a run is held here; empty where it is not."""
        return self._fences.get(key, "")

    async def acquire(self, key: Key) -> bool:
        """Whether this process holds the run from now on."""
        for _ in range(TRIES):
            self._count += 1
            node = self.id
            fence = f"{node}:{self._count}:{secrets.token_hex(8)}"
            may_take = "1" if self.may_take_late else "0"
            try:
                answer = await self._calls.write("acquire", *key, node, fence, may_take)
            except BaseException:  # it may be carried out all the same, for nobody
                self._let_go(key, fence)
                raise
            if answer is None:
                return False
            if answer != b"LATE" and node == self.id:
                self._fences[key] = answer[0].decode()
                if answer[1]:
                    self._crashed.add(key)
                return True
            self._let_go(key, fence)  # where it was held by an incarnation that has ended meanwhile
            await self._renew(self.id)  # this process was late: what it holds may be held by others now
        raise unavailable(self._calls.place, "is answering too slowly for the lease of this process")

    def was_crash(self, key: Key) -> bool:
        """Whether a run that is held here was taken from a process that did not say that it ends. It is told once."""
        was_crash = key in self._crashed
        self._crashed.discard(key)
        return was_crash

    def release(self, key: Key) -> None:
        """Lets others hold the run."""
        was_crash = key in self._crashed
        fence = self._drop(key)
        if fence is not None:
            self._let_go(key, fence, was_crash=was_crash)

    def ended(self, key: Key) -> None:
        """The run has ended, and with its last window nobody holds it."""
        self._drop(key)

    def _drop(self, key: Key) -> str | None:
        self._crashed.discard(key)
        return self._fences.pop(key, None)

    def lose(self, key: Key) -> None:
        """Another process holds the run, or will."""
        if self._drop(key) is not None:
            self._lost(key)

    def refused(self, key: Key, fence: str) -> None:
        """Another process holds a run that was written here under this fence, or under none."""
        if fence == self._fences.get(key, ""):
            self._drop(key)
            self._lost(key)

    def claim(self, key: Key, fence: str) -> None:
        """Redis has lost its tail: the run is held as it was, unless another process holds it by now."""

        def claimed(answer: Any) -> None:
            if isinstance(answer, Exception):
                return  # nobody knows: with the next connection it is claimed again, and windows are fenced anyway
            is_held = isinstance(answer, list) and cast("list[bytes]", answer)[0].decode() == fence
            if not is_held and self._fences.get(key) == fence:
                self.lose(key)

        parts = self._calls.names.call("acquire", *key, self.id, fence, "0")
        self._calls.writes.call(parts, claimed)

    def claim_all(self) -> None:
        for key, fence in list(self._fences.items()):
            self.claim(key, fence)

    def give_back(self, key: Key, fence: str) -> None:
        """What was claimed, unless the run is held here."""
        if self._fences.get(key) != fence:
            self._let_go(key, fence)

    def _let_go(self, key: Key, fence: str, *, was_crash: bool = False) -> None:
        def done(answer: Any) -> None:
            if isinstance(answer, Exception):
                self._owed[key] = fence

        self._calls.writes.call(self._calls.names.call("release", *key, fence, "1" if was_crash else "0"), done)
