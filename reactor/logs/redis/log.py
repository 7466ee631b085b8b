"""The log in Redis: several processes share it, and each of them reads all of it.

What a commit promises depends on how Redis writes to its disk and to its replicas: see docs/cluster.md.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Final, Unpack
from weakref import WeakMethod

from reactor import bounds
from reactor.bounds import APPEND_TIMEOUT_SECONDS
from reactor.clock import SystemClock
from reactor.errors import LogUnavailable, UnknownRun
from reactor.events.event import Event, Window
from reactor.events.state import RunState
from reactor.logs.embedded import DIGEST_KEY_BYTES
from reactor.logs.redis import index, order
from reactor.logs.redis.access.stores import Access
from reactor.logs.redis.appends import Appends
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.connecting import Address
from reactor.logs.redis.handover import ChangesHands
from reactor.logs.redis.inbox import Inbox
from reactor.logs.redis.lease import LEASE_SECONDS, Incarnation
from reactor.logs.redis.rates import RedisStarts
from reactor.logs.redis.relay import Relay
from reactor.logs.redis.retention import Retention, expire
from reactor.logs.redis.schedules import read_schedules, replace_schedule
from reactor.logs.redis.server import unavailable
from reactor.logs.redis.slots import RedisSlots
from reactor.logs.redis.tickets import Tickets
from reactor.logs.redis.windows import events_behind
from reactor.ports.access import AccessStores
from reactor.ports.clock import Clock
from reactor.ports.index import RunFilter
from reactor.ports.log import Rewound, RunRecord
from reactor.ports.measured import Kept
from reactor.ports.order import Committed, Removed
from reactor.ports.schedules import ScheduleRecord
from reactor.ports.sharing import NamedRate, Stop

PREFIX: Final = "reactor"
"""What the names of the keys begin with, by default."""

REWOUND_SECONDS: Final = 3600
"""So long are clients looked for that had seen events which Redis has lost."""


class RedisLog(ChangesHands):
    """Implements every port of a log, and ``Lease`` and ``LiveFeed``, on a Redis that several processes share.

    - ``address``: where it is; ``reactor.logs.schemes.open_log`` reads it from a URL.
    - ``prefix``: what the names of its keys begin with, so that several logs have room in one Redis.
    - ``keep_days``, ``keep_runs``: ended runs beyond these are deleted by ``open``; None: no limit.
    - ``lease``: the seconds after which others may take over the runs of a process that does not say that it lives.

    ``open`` raises LogUnavailable, with one sentence, where this Redis cannot keep a log.
    """

    durable = True

    def __init__(
        self,
        address: Address,
        *,
        prefix: str = PREFIX,
        lease: float = LEASE_SECONDS,
        keep_days: float | None = None,
        keep_runs: int | None = None,
    ) -> None:
        self.address = address
        self.prefix = prefix
        self._lease_seconds = lease
        self._retention = Retention(keep_days, keep_runs)
        self._clock: Clock = SystemClock()
        self._patience = APPEND_TIMEOUT_SECONDS
        self._told: Callable[[LogUnavailable | None], None] = lambda error: None
        self._lost: list[Callable[[], Callable[[str, str], None] | None]] = []
        """Whom to tell, each behind a weak reference: tenants come and go."""
        self._rewound: Callable[[str, str, int, int], None] = lambda tenant, run_id, kept, lost: None
        self._parts: _Parts | None = None
        self._was_opened = False
        self._access = Access(self._closed)

    # --- life ---

    def keep_time(self, clock: Clock, append_timeout: float) -> None:
        """Redis is waited for ``append_timeout`` seconds. Leases are counted by its time, whatever the clock."""
        self._patience = append_timeout
        self._clock = clock

    def when_troubled(self, told: Callable[[LogUnavailable | None], None]) -> None:
        """``told(error)`` is called when Redis was not reached for so long, and ``told(None)`` when it is again."""
        self._told = told

    @property
    def retention(self) -> Kept:
        return self._retention.kept

    async def open(self) -> None:
        parts = _Parts(self.address, self.prefix, self._patience, self._lease_seconds, self._told, self._on_lost)
        parts.appends.told = lambda tenant, run_id, kept, lost: self._rewound(tenant, run_id, kept, lost)
        await parts.open()
        self._parts = parts
        self._access.opened(parts.calls, parts.incarnation)
        self._was_opened = True
        if self._retention.is_limited:
            await self.expire()

    async def close(self) -> None:
        """Commits what was appended, lets go of the runs that are held here, and closes the connections."""
        parts, self._parts = self._parts, None
        self._access.closed()
        if parts is not None:
            await parts.close()

    @property
    def parts(self) -> _Parts:
        """What it is made of while it is open; raises LogUnavailable otherwise."""
        if self._parts is None:
            raise self._closed()
        return self._parts

    def _closed(self) -> LogUnavailable:
        return unavailable(self.address.place, "is closed" if self._was_opened else "is not open")

    @property
    def calls(self) -> Calls:
        """The functions of the log, for what else is kept in this Redis."""
        return self.parts.calls

    @property
    def access(self) -> AccessStores:
        """Who may ask the servers of all processes."""
        return self._access.stores

    # --- events ---

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        return self.parts.appends.append(run_id, window, tenant)

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        windows = await self.calls.read("read", tenant, run_id, max(after, 0), limit, bounds.READ_BYTES)
        if windows is None:
            raise UnknownRun.of(run_id)
        return events_behind(run_id, after, limit, windows)

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        return await index.read_base(self.calls, run_id, tenant)

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        return await self.calls.read_of(run_id, tenant, "blob", seq)

    async def epoch(self, run_id: str, *, tenant: str = "") -> str:
        """A name for the numbers of a run: another one where Redis has lost events, and gives their numbers anew."""
        return (await self.calls.read_of(run_id, tenant, "field", "epoch")).decode()

    async def rewound(self, run_id: str, *, tenant: str = "") -> Rewound | None:
        found = await self.calls.read("rewound", tenant, run_id, REWOUND_SECONDS)
        return None if found is None else Rewound(int(found[0]), found[1].decode())

    async def has_lost(self, position: int) -> bool:
        return await self.calls.read("is_lost_at", position) == 1

    def when_rewound(self, told: Callable[[str, str, int, int], None]) -> None:
        self._rewound = told

    async def committed(self, after: int, limit: int, *, root: str, tenant: str = "") -> list[Committed]:
        return await order.read_tree(self.calls, after, limit, root, tenant)

    async def whole(self, after: int, limit: int, *, tenant: str = "") -> list[Committed | Removed]:
        return await order.read_whole(self.calls, after, limit, tenant)

    async def of_runs(
        self, after: int, limit: int, *, runs: Sequence[str], tenant: str = ""
    ) -> list[Committed | Removed]:
        return await order.read_of_runs(self.calls, after, limit, runs, tenant)

    # --- events that other processes write ---

    async def follow(self, run_id: str, take: Callable[[Window | None], None], *, tenant: str = "") -> Stop:
        return await self.parts.relay.follow(run_id, tenant, take)

    async def follow_all(self, take: Callable[[Window | None], None], *, tenant: str = "") -> Stop:
        return await self.parts.relay.follow_all(tenant, take)

    # --- the list of runs ---

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        return await index.read_record(self.calls, run_id, tenant)

    async def records(
        self, *, before: str | None, limit: int, tenant: str = "", **wanted: Unpack[RunFilter]
    ) -> list[RunRecord]:
        return await index.list_records(self.calls, before=before, limit=limit, tenant=tenant, **wanted)

    async def unfinished(self) -> list[RunRecord]:
        return await index.list_unfinished(self.calls)

    async def delete(self, run_id: str, *, tenant: str = "") -> None:
        await index.delete(self.calls, run_id, tenant)
        self.parts.appends.forget((tenant, run_id))

    async def trim(self, run_id: str, keep_events: int, *, tenant: str = "") -> int:
        """Deletes the oldest windows of an ended run while ``keep_events`` events stay; returns the last seq deleted.

        Subscribers that ask for a deleted range get a ``stream.gap``. Raises ValueError for a run that has not ended,
        UnknownRun for one that is not in the log.
        """
        return await index.trim(self.calls, run_id, keep_events, tenant)

    async def expire(self) -> int:
        """Deletes ended runs beyond ``keep_days`` and ``keep_runs``; returns how many. ``open`` does this too."""
        return await expire(self.calls, self._retention, self._clock.now().decode())

    # --- beside the events ---

    async def recall(self, key: str, now: float) -> bytes | None:
        return await self.calls.read("recall", key, repr(now))

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        return self.calls.write("remember", key, repr(until), value, bounds.CACHED_OUTPUTS)

    async def checkpoint(self, run_id: str, until: int, *, tenant: str = "") -> bytes | None:
        return await self.calls.read("checkpoint", tenant, run_id, until)

    def keep_checkpoint(self, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> asyncio.Future[None]:
        return asyncio.ensure_future(self._keep_checkpoint(run_id, seq, state, tenant))

    async def _keep_checkpoint(self, run_id: str, seq: int, state: bytes, tenant: str) -> None:
        if await self.calls.write("keep_checkpoint", tenant, run_id, seq, state, bounds.CHECKPOINTS) != b"OK":
            raise UnknownRun.of(run_id)

    async def answer(self, key: str, *, run_id: str = "", tenant: str = "") -> bytes | None:
        return await self.calls.read("answer", tenant, run_id, key)

    def keep_answer(self, key: str, answer: bytes, *, run_id: str = "", tenant: str = "") -> asyncio.Future[None]:
        most = (bounds.RUN_ANSWERS, bounds.ANSWERS)
        return self.calls.write("keep_answer", tenant, run_id, key, answer, *most)

    async def take_stop(self) -> bool | None:
        was = await self.calls.write("take_stop", self.parts.incarnation.id, repeats=False)
        return None if was is None else was == b"clean"

    async def mark_stop(self) -> None:
        await self.calls.write("swap", "stop", "clean")

    async def digest_key(self) -> bytes:
        key = await self.calls.write("set_once", "digest_key", secrets.token_bytes(DIGEST_KEY_BYTES).hex())
        return bytes.fromhex(key.decode())

    async def probe(self) -> None:
        """Writes ``bounds.LOG_PROBE_BYTES``, and takes them away. Raises LogUnavailable."""
        await self.calls.write("probe", bytes(bounds.LOG_PROBE_BYTES))

    async def schedules(self) -> list[ScheduleRecord]:
        return await read_schedules(self.calls)

    async def replace_schedule(self, before: ScheduleRecord | None, after: ScheduleRecord | None) -> bool:
        return await replace_schedule(self.calls, before, after)

    # --- what processes share ---

    def slots(self, name: str, limit: int) -> RedisSlots:
        return RedisSlots(self.parts.tickets, name, limit)

    def starts(self, rates: Sequence[NamedRate]) -> RedisStarts:
        return RedisStarts(self.parts.tickets, rates)

    async def acquire(self, run_id: str, *, tenant: str = "") -> bool:
        return await self.parts.incarnation.acquire((tenant, run_id))

    def release(self, run_id: str, *, tenant: str = "") -> None:
        self.parts.incarnation.release((tenant, run_id))
        self.parts.appends.let_go((tenant, run_id))

    def when_lost(self, lost: Callable[[str, str], None]) -> None:
        """Each tenant of an engine says whom to tell: all of them are told of each run. A method is held weakly."""
        self._lost = [known for known in self._lost if known() is not None]
        self._lost.append(WeakMethod(lost) if isinstance(lost, MethodType) else lambda: lost)

    def _on_lost(self, key: tuple[str, str]) -> None:
        tenant, run_id = key
        if self._parts is not None:
            self._parts.appends.let_go(key)
        for known in self._lost:
            lost = known()
            if lost is not None:
                lost(run_id, tenant)


class _Parts:
    """What an open log is made of."""

    def __init__(
        self,
        address: Address,
        prefix: str,
        patience: float,
        lease: float,
        told: Callable[[LogUnavailable | None], None],
        lost: Callable[[tuple[str, str]], None],
    ) -> None:
        self.calls = Calls(address, prefix, patience, told)
        self.incarnation = Incarnation(self.calls, lease, lost)
        self.appends = Appends(self.calls, self.incarnation)
        self.relay = Relay(self.calls, self.incarnation.is_own)
        self.tickets = Tickets(self.calls, self.incarnation, self.relay)
        self.inbox = Inbox(self.calls, self.incarnation, self.appends, self.relay)
        self.incarnation.seen = self.appends.seen
        self.incarnation.end_is_lost = self.appends.write_again
        self.calls.greet = self.incarnation.greet

    async def open(self) -> None:
        await self.calls.open()
        try:
            await self.incarnation.open()
            await index.sweep(self.calls)
        except BaseException:
            await self.incarnation.abandon()
            await self.calls.close()
            raise

    async def close(self) -> None:
        await self.tickets.close()
        await self.relay.close()
        await self.incarnation.close()
        await self.calls.close()
