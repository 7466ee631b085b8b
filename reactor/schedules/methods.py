"""The methods of ``Engine`` about schedules. Each takes a tenant, who sees nothing of the schedules of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from reactor.definition.names import names_options
from reactor.definition.schedules import (
    CatchUp,
    Overlap,
    ScheduleRule,
    is_trigger_id,
    schedule_name_problem,
    schedule_run_id,
)
from reactor.definition.workflow import Workflow
from reactor.errors import InvalidRunId
from reactor.ports.schedules import ScheduleRecord
from reactor.requests import check_by, check_tenant
from reactor.runs.run import Run
from reactor.schedules import keeping
from reactor.schedules.deciding import as_text, changed, resumed
from reactor.schedules.inputs import check_input
from reactor.schedules.scheduler import Scheduler
from reactor.tenants.common import Common


class ScheduleMethods:
    """What an engine does with schedules. ``tenant``: whose; ``""`` is the tenant of all who name none."""

    _common: Common
    _scheduler: Scheduler

    @names_options("engine.schedule")
    async def schedule(
        self,
        workflow: Workflow | str,
        cron: str | None = None,
        *,
        every: timedelta | None = None,
        tz: str = "UTC",
        input: Mapping[str, Any] | None = None,
        name: str | None = None,
        overlap: Overlap = "skip",
        catch_up: CatchUp = "one",
        by: str | None = None,
        tenant: str = "",
    ) -> ScheduleRecord:
        """Starts a run of a registered workflow at each time of a rule, from now on and after restarts.

        - ``cron``: five fields, in the time zone ``tz``; or ``every``: whole seconds, counted from 1970 on in UTC.
        - ``name``: of the schedule; None: that of the workflow. One that there is already is replaced.
        - ``overlap``: while the run before is open, a time is left out (``skip``), waits for its end (``queue``; at
          most 100 wait), or starts beside it (``allow``).
        - ``catch_up``: of the times that passed while no engine ran, the last starts (``one``), the last 100
          (``all``; one after the other, unless ``overlap="allow"``), or none.
        - ``by``: who makes it.

        The input is stored, so it can have no secrets. There are at most 1,000 schedules, 200 of one named tenant.
        Raises UnknownWorkflow, InputError, EngineClosed, and TypeError or ValueError for what is not valid.
        """
        rule = ScheduleRule.of(cron, every, tz, overlap, catch_up)
        return await self.put_schedule(workflow, rule, input, name=name, by=by, tenant=tenant)

    async def put_schedule(
        self,
        workflow: Workflow | str,
        rule: ScheduleRule,
        input: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        by: str | None = None,
        tenant: str = "",
    ) -> ScheduleRecord:
        """The same with a rule that is there already."""
        self._common.check_open()
        check_by(by)
        return await self._put_schedule(workflow, rule, input or {}, name, by, check_tenant(tenant), is_code=False)

    async def _put_schedule(
        self,
        workflow: Workflow | str,
        rule: ScheduleRule,
        input: Mapping[str, Any],
        name: str | None,
        by: str | None,
        tenant: str,
        *,
        is_code: bool,
    ) -> ScheduleRecord:
        registered = self._common.registry.workflow(workflow if isinstance(workflow, str) else workflow.name)
        if isinstance(workflow, Workflow) and workflow is not registered:
            raise ValueError(f"the engine has another workflow {workflow.name!r} registered: register this one first")
        given = check_input(registered.validate(), input)
        name = registered.name if name is None else name
        if (problem := schedule_name_problem(name)) is not None:
            raise ValueError(f"the name of a schedule {problem}")
        now = self._scheduler.now
        new = ScheduleRecord(name, tenant, registered.name, rule.as_json(), given, by, is_code, as_text(now))
        record = await keeping.put(self._scheduler.store, new, partial(changed, now=now))
        self._scheduler.look()
        return record

    async def _open_schedules(self) -> None:
        """Stores what the code says of schedules, pauses what it says no longer, and begins to look."""
        workflows = list(self._common.registry.workflows.values())
        for workflow in workflows:
            for name, (rule, input) in workflow.schedules.items():
                await self._put_schedule(workflow, rule, input, name, None, "", is_code=True)
        await keeping.pause_gone(self._scheduler.store, workflows)
        self._scheduler.look()

    async def schedules(self, *, tenant: str = "") -> list[ScheduleRecord]:
        """All schedules of this tenant, by name."""
        return [one for one in await self._scheduler.store.schedules() if one.tenant == tenant]

    async def get_schedule(self, name: str, *, tenant: str = "") -> ScheduleRecord:
        """Raises UnknownSchedule."""
        return await keeping.get(self._scheduler.store, name, tenant)

    async def pause_schedule(self, name: str, *, by: str | None = None, tenant: str = "") -> ScheduleRecord:
        """It starts nothing until it is resumed, also after a restart. Raises UnknownSchedule."""
        check_by(by)
        store = self._scheduler.store
        return await keeping.change(
            store, name, tenant, lambda one: replace(one, paused=one.paused or by or "requested")
        )

    async def resume_schedule(self, name: str, *, tenant: str = "") -> ScheduleRecord:
        """It goes on with its next time; those that came during the pause were not missed. Raises UnknownSchedule."""
        record = await keeping.change(self._scheduler.store, name, tenant, partial(resumed, now=self._scheduler.now))
        self._scheduler.look()
        return record

    async def trigger_schedule(
        self, name: str, *, trigger_id: str | None = None, by: str | None = None, tenant: str = ""
    ) -> Run:
        """Starts a run of it now, also while it is paused, and beside any other; its times stay as they are.

        ``trigger_id``: one that the method of that name has given, for who may have to ask again. Raises
        UnknownSchedule, and what ``start`` raises.
        """
        self._common.check_open()
        check_by(by)
        record = await keeping.get(self._scheduler.store, name, tenant)
        run_id = self.trigger_id(name) if trigger_id is None else trigger_id
        if not is_trigger_id(name, run_id):
            raise InvalidRunId(f"{run_id!r} is not an id that trigger_id({name!r}) gives", run_id=run_id)
        return await self._scheduler.start(record, run_id, by=by)

    def trigger_id(self, name: str) -> str:
        """The id of a run of this schedule that is triggered now."""
        return schedule_run_id(name, self._scheduler.trigger_time(), is_triggered=True)

    async def remove_schedule(self, name: str, *, tenant: str = "") -> None:
        """Its runs stay. One that the code says comes back when an engine starts. Raises UnknownSchedule."""
        await keeping.remove(self._scheduler.store, name, tenant)
