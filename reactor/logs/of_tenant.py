"""The ports of a log, bound to one tenant: who holds them can name no run of another.

The tenant is given to the log with each call, and to nothing between here and the log. So a run of another tenant and a
run that does not exist are the same look-up with the same answer.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Unpack

from reactor.events.event import Event, Window
from reactor.events.state import RunState
from reactor.logs.holder import AlwaysHolder
from reactor.logs.stores import Stores
from reactor.ports.handover import Inboxes
from reactor.ports.index import RunFilter, RunIndex
from reactor.ports.log import EventLog, Rewinds, Rewound, RunRecord
from reactor.ports.order import CommitOrder, Committed, Removed, RunsOrder, WholeOrder
from reactor.ports.outputs import OutputStore
from reactor.ports.sharing import Lease, LiveFeed, Stop
from reactor.ports.stores import Checkpoints, Idempotency


def stores_of_tenant(stores: Stores, tenant: str) -> Stores:
    """The same stores as this tenant has them. What a log does once for all, such as clean stops, stays as it is."""
    if not tenant:
        return stores  # the tenant of all who name none: nothing stands in between
    return replace(
        stores,
        events=_events_of(stores.events, tenant),
        index=_Index(stores.index, tenant),
        outputs=_Outputs(stores.outputs, tenant),
        checkpoints=_Checkpoints(stores.checkpoints, tenant),
        answers=_Answers(stores.answers, tenant),
        lease=stores.lease if isinstance(stores.lease, AlwaysHolder) else _Lease(stores.lease, tenant),
        live=None if stores.live is None else _Live(stores.live, tenant),
        inboxes=None if stores.inboxes is None else _Inboxes(stores.inboxes, tenant),
        order=None if stores.order is None else _Order(stores.order, tenant),
        whole=None if stores.whole is None else _Whole(stores.whole, tenant),
        of_runs=None if stores.of_runs is None else _OfRuns(stores.of_runs, tenant),
    )


class _Events:
    """``EventLog``."""

    def __init__(self, log: EventLog, tenant: str) -> None:
        self._log = log
        self._tenant = tenant

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> Future[int]:
        return self._log.append(run_id, window, tenant=self._tenant)

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        return await self._log.read(run_id, after, limit, tenant=self._tenant)

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        return await self._log.base(run_id, tenant=self._tenant)

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        return await self._log.blob(run_id, seq, tenant=self._tenant)


class _RewindingEvents(_Events):
    """``EventLog`` and ``Rewinds``."""

    def __init__(self, log: EventLog, rewinds: Rewinds, tenant: str) -> None:
        super().__init__(log, tenant)
        self._rewinds = rewinds

    async def rewound(self, run_id: str, *, tenant: str = "") -> Rewound | None:
        return await self._rewinds.rewound(run_id, tenant=self._tenant)

    async def has_lost(self, position: int) -> bool:
        return await self._rewinds.has_lost(position)

    def when_rewound(self, told: Callable[[str, str, int, int], None]) -> None:
        self._rewinds.when_rewound(told)


def _events_of(log: EventLog, tenant: str) -> EventLog:
    return _RewindingEvents(log, log, tenant) if isinstance(log, Rewinds) else _Events(log, tenant)


class _Index:
    """``RunIndex``."""

    def __init__(self, index: RunIndex, tenant: str) -> None:
        self._index = index
        self._tenant = tenant

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        return await self._index.record(run_id, tenant=self._tenant)

    async def records(
        self, *, before: str | None, limit: int, tenant: str = "", **wanted: Unpack[RunFilter]
    ) -> list[RunRecord]:
        return await self._index.records(before=before, limit=limit, tenant=self._tenant, **wanted)

    async def unfinished(self) -> list[RunRecord]:
        return [record for record in await self._index.unfinished() if record.tenant == self._tenant]

    async def delete(self, run_id: str, *, tenant: str = "") -> None:
        await self._index.delete(run_id, tenant=self._tenant)


class _Outputs:
    """``OutputStore``. Its keys begin with the tenant, and no key of the default tenant begins like that."""

    def __init__(self, outputs: OutputStore, tenant: str) -> None:
        self._outputs = outputs
        self._prefix = f"\n{tenant}\n"

    async def recall(self, key: str, now: float) -> bytes | None:
        return await self._outputs.recall(self._prefix + key, now)

    def remember(self, key: str, value: bytes, until: float) -> Future[None]:
        return self._outputs.remember(self._prefix + key, value, until)


class _Checkpoints:
    """``Checkpoints``."""

    def __init__(self, checkpoints: Checkpoints, tenant: str) -> None:
        self._checkpoints = checkpoints
        self._tenant = tenant

    async def checkpoint(self, run_id: str, until: int, *, tenant: str = "") -> bytes | None:
        return await self._checkpoints.checkpoint(run_id, until, tenant=self._tenant)

    def keep_checkpoint(self, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> Future[None]:
        return self._checkpoints.keep_checkpoint(run_id, seq, state, tenant=self._tenant)


class _Answers:
    """``Idempotency``."""

    def __init__(self, answers: Idempotency, tenant: str) -> None:
        self._answers = answers
        self._tenant = tenant

    async def answer(self, key: str, *, run_id: str = "", tenant: str = "") -> bytes | None:
        return await self._answers.answer(key, run_id=run_id, tenant=self._tenant)

    def keep_answer(self, key: str, answer: bytes, *, run_id: str = "", tenant: str = "") -> Future[None]:
        return self._answers.keep_answer(key, answer, run_id=run_id, tenant=self._tenant)


class _Lease:
    """``Lease``."""

    def __init__(self, lease: Lease, tenant: str) -> None:
        self._lease = lease
        self._tenant = tenant

    async def acquire(self, run_id: str, *, tenant: str = "") -> bool:
        return await self._lease.acquire(run_id, tenant=self._tenant)

    def release(self, run_id: str, *, tenant: str = "") -> None:
        self._lease.release(run_id, tenant=self._tenant)

    def when_lost(self, lost: Callable[[str, str], None]) -> None:
        self._lease.when_lost(lost)


class _Live:
    """``LiveFeed``."""

    def __init__(self, live: LiveFeed, tenant: str) -> None:
        self._live = live
        self._tenant = tenant

    async def follow(self, run_id: str, take: Callable[[Window | None], None], *, tenant: str = "") -> Stop:
        return await self._live.follow(run_id, take, tenant=self._tenant)

    async def follow_all(self, take: Callable[[Window | None], None], *, tenant: str = "") -> Stop:
        return await self._live.follow_all(take, tenant=self._tenant)


class _Inboxes:
    """``Inboxes``. Who listens hears of all tenants: the engine does, once."""

    def __init__(self, inboxes: Inboxes, tenant: str) -> None:
        self._inboxes = inboxes
        self._tenant = tenant

    async def ask(
        self, run_id: str, id: str, command: bytes, free: Callable[[], Awaitable[None]], *, tenant: str = ""
    ) -> bytes | None:
        return await self._inboxes.ask(run_id, id, command, free, tenant=self._tenant)

    async def withdraw(self, run_id: str, id: str, *, tenant: str = "") -> None:
        await self._inboxes.withdraw(run_id, id, tenant=self._tenant)

    async def commands(self, run_id: str, limit: int, *, tenant: str = "") -> list[tuple[str, bytes]]:
        return await self._inboxes.commands(run_id, limit, tenant=self._tenant)

    def answer_command(self, run_id: str, id: str, answer: bytes, seq: int | None, *, tenant: str = "") -> None:
        self._inboxes.answer_command(run_id, id, answer, seq, tenant=self._tenant)

    async def listen(self, asked: Callable[[str, str], None]) -> Stop:
        return await self._inboxes.listen(asked)


class _Order:
    """``CommitOrder``."""

    def __init__(self, order: CommitOrder, tenant: str) -> None:
        self._order = order
        self._tenant = tenant

    async def committed(self, after: int, limit: int, *, root: str, tenant: str = "") -> list[Committed]:
        return await self._order.committed(after, limit, root=root, tenant=self._tenant)


class _Whole:
    """``WholeOrder``."""

    def __init__(self, whole: WholeOrder, tenant: str) -> None:
        self._whole = whole
        self._tenant = tenant

    async def whole(self, after: int, limit: int, *, tenant: str = "") -> list[Committed | Removed]:
        return await self._whole.whole(after, limit, tenant=self._tenant)


class _OfRuns:
    """``RunsOrder``."""

    def __init__(self, of_runs: RunsOrder, tenant: str) -> None:
        self._of_runs = of_runs
        self._tenant = tenant

    async def of_runs(
        self, after: int, limit: int, *, runs: Sequence[str], tenant: str = ""
    ) -> list[Committed | Removed]:
        return await self._of_runs.of_runs(after, limit, runs=runs, tenant=self._tenant)
