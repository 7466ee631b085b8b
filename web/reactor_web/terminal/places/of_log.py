"""What is read from a log of any kind: lists, states, events, and new ones as they are committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeAlias, Unpack

import orjson

from reactor.clock import SystemClock
from reactor.errors import UnknownRun
from reactor.events.event import Event, Message, Notice
from reactor.events.fold import evolve
from reactor.events.questions import asked_at, open_questions
from reactor.events.state import RUN_ENDED, RUN_STATUS, RunState
from reactor.ports.index import RunFilter
from reactor.ports.log import RunRecord
from reactor_web.terminal.places.place import Commands

READ_EVENTS: Final = 1_000
RUNS: Final = 100
"""Runs that are asked for at once."""
_QUESTION: Final = ("task_id", "key", "prompt", "schema", "expires")
LOOK_SECONDS: Final = 0.2
"""How often a log is looked at for new events."""


class Readable(Protocol):
    """The part of ``reactor.ports.Log`` that only reads."""

    async def read(self, run_id: str, after: int, limit: int) -> list[Event]: ...
    async def base(self, run_id: str) -> RunState: ...
    async def blob(self, run_id: str, seq: int) -> bytes | None: ...
    async def record(self, run_id: str) -> RunRecord: ...
    async def records(
        self, *, before: str | None, limit: int, tenant: str = "", **wanted: Unpack[RunFilter]
    ) -> list[RunRecord]: ...


IsLeft: TypeAlias = Callable[[RunRecord], bool]
"""Whether nobody goes on with an open run."""


class LogPlace:
    """A log as a ``Place``. ``acting`` makes its ``Commands``; ``left`` finds out which open runs are left."""

    def __init__(
        self,
        log: Readable,
        acting: Callable[[], AbstractAsyncContextManager[Commands]],
        left: Callable[[], Awaitable[IsLeft]],
    ) -> None:
        self._log = log
        self._acting = acting
        self._left = left

    async def page(
        self, limit: int, before: str | None, *, stranded: bool = False, **wanted: Unpack[RunFilter]
    ) -> Sequence[RunRecord]:
        if not stranded:
            return await self._log.records(before=before, limit=limit, **wanted)
        is_left, found = await self._left(), list[RunRecord]()
        while True:
            records = await self._log.records(before=before, limit=limit, **wanted)
            found += [record for record in records if record.status not in RUN_ENDED and is_left(record)]
            if len(records) < limit or len(found) >= limit:
                return found[:limit]
            before = records[-1].run_id

    async def questions(self, limit: int) -> tuple[list[dict[str, Any]], bool]:
        found, before = list[dict[str, Any]](), None
        while records := await self._log.records(before=before, limit=RUNS, question=True):
            for record in records:
                found += await self._asked_by(record)
                if len(found) > limit:
                    return found[:limit], True
            before = records[-1].run_id
        return found, False

    async def _asked_by(self, run: RunRecord) -> list[dict[str, Any]]:
        try:
            state = await self.state(run.run_id)
        except UnknownRun:  # deleted meanwhile
            return []
        asked = sorted(open_questions(state), key=lambda question: asked_at(state, question), reverse=True)
        named = {"run_id": run.run_id, "workflow": run.workflow}
        return [{**named, **{name: one[name] for name in _QUESTION if name in one}} for one in asked]

    async def state(self, run_id: str) -> RunState:
        state = await self._log.base(run_id)
        while events := await self._log.read(run_id, state.seq, READ_EVENTS):
            for event in events:
                evolve(state, event)
            await asyncio.sleep(0)
        return state

    async def outputs(self, run_id: str) -> dict[str, Any]:
        record = await self._log.record(run_id)
        events = await self._log.read(run_id, record.last_seq - 1, 1) if record.last_seq else []
        if not events or events[0].type != "run.completed":
            return {}
        data = events[0].data
        return (
            data["outputs"] if "outputs" in data else orjson.loads(await self._log.blob(run_id, events[0].seq) or b"{}")
        )

    async def events(self, run_id: str, after: int, *, follow: bool) -> AsyncGenerator[Message, None]:
        base = await self._log.base(run_id)
        if base.seq > after:
            missing = {"from": after + 1, "to": base.seq, "reason": "trimmed"}
            yield Notice("stream.gap", run_id, SystemClock().now().decode(), missing)
            after = base.seq
        while True:
            events = await self._read_on(run_id, after)
            for event in events:
                yield event
                after = event.seq
                if RUN_STATUS.get(event.type) in RUN_ENDED:
                    return
            if not events:
                if not follow:
                    return
                await asyncio.sleep(LOOK_SECONDS)

    async def _read_on(self, run_id: str, after: int) -> list[Event]:
        try:
            return await self._log.read(run_id, after, READ_EVENTS)
        except UnknownRun:
            raise UnknownRun(f"run {run_id} was deleted while it was read", run_id=run_id) from None

    def commands(self) -> AbstractAsyncContextManager[Commands]:
        return self._acting()
