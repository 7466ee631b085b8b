"""``SeenSchedules``: the schedules of an engine as one principal sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from reactor.bounds import SCHEDULES, TENANT_SCHEDULES
from reactor.definition.schedules import ScheduleRule, schedule_run_id
from reactor.engine import Engine
from reactor.errors import UnknownRun
from reactor.ports.schedules import ScheduleRecord
from reactor.runs.run import Run
from reactor.schedules.keeping import unknown_schedule
from reactor_web.guard.seen import Seen, engine_of
from reactor_web.http.codes import CODES
from reactor_web.http.keys import ENGINE
from reactor_web.http.problems import Problem

_A_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
FULL: Final = "too-many-schedules"


@dataclass(frozen=True, slots=True)
class SeenSchedules:
    """The schedules of the principal's tenant, without those whose runs it may not see.

    Where the ids of a schedule's runs are outside of its patterns, Problem 403, whether there is such a schedule or
    not. A schedule of a workflow outside of them is as if it were not there.
    """

    engine: Engine
    seen: Seen

    @property
    def tenant(self) -> str:
        return self.seen.tenant.name

    def check(self, name: str) -> str:
        """The name; raises Problem 403."""
        self.seen.check_run(schedule_run_id(name, _A_TIME))
        return name

    async def page(self, after: str | None, limit: int) -> tuple[list[ScheduleRecord], str | None]:
        """Those behind a name, sorted by their names, and where the next page begins; None on the last one."""
        sees = self.seen.principal
        found = [
            one
            for one in await self.engine.schedules(tenant=self.tenant)
            if (after is None or one.name > after)
            and sees.sees_workflow(one.workflow)
            and sees.sees_run(schedule_run_id(one.name, _A_TIME))
        ]
        return found[:limit], found[limit - 1].name if len(found) > limit else None

    async def get(self, name: str) -> ScheduleRecord:
        """Raises UnknownSchedule."""
        record = await self.engine.get_schedule(self.check(name), tenant=self.tenant)
        if not self.seen.principal.sees_workflow(record.workflow):
            raise unknown_schedule(name)
        return record

    async def put(
        self, name: str, workflow: str, rule: ScheduleRule, input: Mapping[str, Any]
    ) -> tuple[ScheduleRecord, bool]:
        """The schedule, and whether it is new. Raises what ``engine.schedule`` raises, and Problem 429."""
        self.seen.workflow(workflow)
        own = {one.name: one for one in await self.engine.schedules(tenant=self.tenant)}
        is_new = name not in own
        if not is_new:
            await self.get(name)  # not one that is hidden
        self.check(name)
        most = TENANT_SCHEDULES if self.tenant else SCHEDULES
        if is_new and len(own) >= most:
            raise Problem(429, CODES[FULL].detail(most), code=FULL)
        return await self.engine.put_schedule(
            workflow, rule, input, name=name, by=self.seen.by, tenant=self.tenant
        ), is_new

    async def remove(self, name: str) -> None:
        await self.get(name)
        await self.engine.remove_schedule(name, tenant=self.tenant)

    async def pause(self, name: str) -> ScheduleRecord:
        await self.get(name)
        return await self.engine.pause_schedule(name, by=self.seen.by, tenant=self.tenant)

    async def resume(self, name: str) -> ScheduleRecord:
        await self.get(name)
        return await self.engine.resume_schedule(name, tenant=self.tenant)

    async def trigger(self, name: str, run_id: str, again: bool) -> tuple[Run, bool]:
        """The run, and whether it is new. ``again``: it may have been started before."""
        await self.get(name)
        if again:
            try:
                return await self.seen.get(run_id), False
            except UnknownRun:
                pass  # it was not
        async with self.seen.starting():
            run = await self.engine.trigger_schedule(name, trigger_id=run_id, by=self.seen.by, tenant=self.tenant)
            return run, True


def schedules_of(request: web.Request) -> SeenSchedules:
    """The schedules, as who asks sees them."""
    return SeenSchedules(request.app[ENGINE], engine_of(request))
