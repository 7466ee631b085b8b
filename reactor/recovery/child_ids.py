"""The id of a child run: the one in its parent's log, or a new one that nobody else has, or could have taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from weakref import WeakValueDictionary

from reactor.errors import LogLost, UnknownRun
from reactor.runs.children import ChildRequest, child_ids
from reactor.runs.claims import ChildName
from reactor.runs.open_runs import OpenRuns
from reactor.runs.parent import Parent


class ChildIds:
    """Of the runs of one tenant."""

    def __init__(self, runs: OpenRuns) -> None:
        self._runs = runs
        self._locks: WeakValueDictionary[ChildName, asyncio.Lock] = WeakValueDictionary()
        """A body may ask twice at the same time."""

    async def of(self, link: Parent, request: ChildRequest, digest_key: bytes) -> tuple[str, bool]:
        """The id of this child run, and whether there is no run of this id.

        Until the child begins, or its parent ends, nobody else can start a run of this id.
        """
        recorded = link.run.child_records.id_of(request.task_id, request.name)
        if recorded is not None:
            return recorded, False
        return await self.another(link, request, digest_key)

    async def another(
        self, link: Parent, request: ChildRequest, digest_key: bytes, taken: str | None = None
    ) -> tuple[str, bool]:
        """The same, where it has none yet. ``taken``: the one that turned out to be another run's."""
        child, records = ChildName(link.run.run_id, request.task_id, request.name), link.run.child_records
        *_, last = candidates = list(child_ids(*child, digest_key))
        async with self._locks.setdefault(child, asyncio.Lock()):
            for run_id in candidates:
                recorded = records.id_of(request.task_id, request.name)
                if recorded not in (None, taken):
                    return recorded, False  # the other one that asks for it was faster
                if link.run.is_closed or run_id == taken or records.has_begun(run_id):
                    continue  # what a run claims after its end would be claimed for ever
                if not self._runs.claims.take(run_id, child):
                    continue
                if (parent := await self._parent_of(run_id)) is None:
                    return run_id, True
                if parent == link.data:  # versions before 0.2 recorded no ids
                    return run_id, False
                self._runs.claims.drop(run_id)
        return last, False  # nobody can guess it: to open it says what is wrong

    async def _parent_of(self, run_id: str) -> Mapping[str, str] | None:
        """The parent of a run, empty where it has none; None where there is no such run."""
        try:
            return (await self._runs.get(run_id)).state.parent or {}
        except UnknownRun:
            return None
        except LogLost:  # nobody knows yet whether it begins
            return {}
