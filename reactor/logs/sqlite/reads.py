"""What is read of the events and the list of runs: of a log that is ours, and of a file beside its owner."""

from __future__ import annotations

from typing import Unpack

from reactor.events.event import Event
from reactor.events.state import RunState
from reactor.logs.sqlite import listing, queries
from reactor.logs.sqlite.connection import ConnectionThread
from reactor.ports.index import RunFilter
from reactor.ports.log import RunRecord


class Reads:
    """On the connection of ``_reading``, which raises LogUnavailable where there is none."""

    @property
    def _reading(self) -> ConnectionThread:
        raise NotImplementedError

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        return await self._reading.ask(queries.read_events, run_id, after, limit, tenant=tenant)

    async def base(self, run_id: str, *, tenant: str = "") -> RunState:
        return await self._reading.ask(queries.read_base, run_id, tenant=tenant)

    async def blob(self, run_id: str, seq: int, *, tenant: str = "") -> bytes | None:
        return await self._reading.ask(queries.read_blob, run_id, seq, tenant=tenant)

    async def record(self, run_id: str, *, tenant: str = "") -> RunRecord:
        return await self._reading.ask(queries.read_record, run_id, tenant=tenant)

    async def records(
        self, *, before: str | None, limit: int, tenant: str = "", **wanted: Unpack[RunFilter]
    ) -> list[RunRecord]:
        return await self._reading.ask(listing.list_records, before=before, limit=limit, tenant=tenant, **wanted)

    async def unfinished(self) -> list[RunRecord]:
        return await self._reading.ask(queries.list_unfinished)
