"""``Scheduler``: looks what is due, and starts each time once, also where several engines look at one store.

A time is first stored as pending, together with ``last``, in one step of which one engine gets True. Then its run is
started, whose id follows from the time, so a second start finds that the run exists. Then it is no longer pending.
Whoever is killed in between leaves a pending time, which the next engine starts.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reactor import bounds
from reactor.bounds import SCHEDULE_LOOK_SECONDS
from reactor.definition.schedules import ScheduleRule, schedule_run_id
from reactor.errors import (
    EngineClosed,
    LogLost,
    LogUnavailable,
    RunExists,
    Unanswered,
    UnknownRun,
    UnknownSchedule,
)
from reactor.events.vocabulary.tables import RUN_ENDED
from reactor.logger import get_logger
from reactor.ports.schedules import ScheduleRecord
from reactor.runs.run import Run
from reactor.schedules import keeping
from reactor.schedules.deciding import advanced, as_time, settled
from reactor.tenants.common import Common
from reactor.tenants.tenants import Tenants

logger = get_logger()


class Scheduler:
    """Of one engine. It looks only while there are schedules, or others share the log and may make some."""

    def __init__(self, common: Common, tenants: Tenants) -> None:
        self.store = common.stores.schedules
        self._common = common
        self._tenants = tenants
        self._is_shared = common.stores.handover is not None
        self._wake = asyncio.Event()
        self._job: asyncio.Task[None] | None = None
        self._ends: dict[tuple[str, str], asyncio.Task[None]] = {}
        """What waits for the end of a run, by tenant and run id."""
        self._triggered = datetime.min.replace(tzinfo=UTC)

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(self._common.clock.now().decode())

    def trigger_time(self) -> datetime:
        """Now, or a microsecond after the last such time: two that trigger at once start two runs."""
        self._triggered = max(self.now, self._triggered + timedelta(microseconds=1))
        return self._triggered

    def look(self) -> None:
        """Something has changed: looks as soon as it can."""
        self._wake.set()
        if self._common.workers is not None and (self._job is None or self._job.done()):
            self._job = asyncio.get_running_loop().create_task(self._work(), name="reactor schedules")

    async def close(self) -> None:
        """Starts nothing any more."""
        jobs = [job for job in (self._job, *self._ends.values()) if job is not None]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def start(self, record: ScheduleRecord, run_id: str, *, by: str | None = None) -> Run:
        """Starts a run of a schedule; raises RunExists and what ``engine.start`` raises."""
        of = self._tenants.of(record.tenant)
        return await of.start_scheduled(record.workflow, record.input, run_id, {"schedule": record.name}, by)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            seconds = await self._look()
            if seconds is None and not self._wake.is_set():
                return
            timer = self._common.clock.call_later(seconds or 0.0, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

    async def _look(self) -> float | None:
        """Deals with all that is due. Seconds until it must look again; None: not before somebody makes a schedule."""
        try:
            records = await self.store.schedules()
        except Exception as error:  # the log cannot be read now: times wait until it can
            logger.error("the schedules cannot be read", exc_info=error)
            return SCHEDULE_LOOK_SECONDS
        waits = [SCHEDULE_LOOK_SECONDS] if records or self._is_shared else []
        for record in records:
            try:
                waits.append(await self._deal(record))
            except Exception as error:  # of this schedule: the others go on, and it is tried again
                logger.error("a schedule could not be looked at", schedule=record.name, exc_info=error)
        return min(waits, default=None)

    async def _deal(self, record: ScheduleRecord) -> float:
        """Seconds until its next time."""
        if record.paused is not None or record.workflow not in self._common.registry.workflows:
            return SCHEDULE_LOOK_SECONDS
        now = self.now
        after = advanced(record, now, is_busy=await self._is_busy(record))
        if after != record and not await self.store.replace_schedule(record, after):
            return 0.0  # somebody else has changed it: look again
        await self._start_pending(after)
        following = ScheduleRule.from_json(record.rule).next_after(now)
        return SCHEDULE_LOOK_SECONDS if following is None else max(0.0, (following - self.now).total_seconds())

    async def _is_busy(self, record: ScheduleRecord) -> bool:
        """Whether the run that a time has started last is open. Where it is, its end makes this look again."""
        if record.last_run is None or record.rule["overlap"] == "allow":
            return False
        of, key = self._tenants.of(record.tenant), (record.tenant, record.last_run)
        try:
            if (await of.record(record.last_run)).status in RUN_ENDED:
                return False
        except UnknownRun:  # it has ended, and was removed
            return False
        if key not in self._ends and len(self._ends) < bounds.SCHEDULES:
            self._ends[key] = asyncio.get_running_loop().create_task(self._wait_for_end(*key))
        return True

    async def _wait_for_end(self, tenant: str, run_id: str) -> None:
        try:
            await (await self._tenants.of(tenant).get(run_id)).ended()
        except (UnknownRun, LogLost, LogUnavailable):
            return  # the next look asks the log
        finally:
            self._ends.pop((tenant, run_id), None)
        self._wake.set()

    async def _start_pending(self, record: ScheduleRecord) -> None:
        for time in record.pending:
            if record.paused is not None or await self._is_busy(record):
                return
            run_id = schedule_run_id(record.name, as_time(time))
            try:
                await self.start(record, run_id, by=record.owner)
            except RunExists:
                pass  # this time has started: by another engine, or before a crash
            except (EngineClosed, LogUnavailable, LogLost, Unanswered):
                raise  # it stays pending
            except Exception as error:  # it can never start, such as an input that does not fit any more
                logger.error("a schedule could not start a run", schedule=record.name, run_id=run_id, exc_info=error)
                run_id = ""
            record = await self._settle(record, time, run_id or None)

    async def _settle(self, record: ScheduleRecord, time: str, run_id: str | None) -> ScheduleRecord:
        """Stores that a pending time is dealt with. One that was removed meanwhile has none any more."""

        def settle(one: ScheduleRecord) -> ScheduleRecord:
            return settled(one, time, run_id) if time in one.pending else one

        after = settle(record)
        if await self.store.replace_schedule(record, after):
            return after
        try:
            return await keeping.change(self.store, record.name, record.tenant, settle)
        except UnknownSchedule:
            return replace(after, paused="removed")  # nothing more of it starts
