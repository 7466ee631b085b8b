"""Runs that start at their times, in virtual time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis.strategies import from_regex, text
from pydantic import SecretStr

from reactor import Engine, Workflow, bounds
from reactor.clock import sleep
from reactor.errors import InputError, InvalidRunId, UnknownSchedule, UnknownWorkflow
from reactor.logs.memory import MemoryLog
from reactor.runs.children import child_ids
from reactor.schedules import keeping
from reactor.testing import LogAround, VirtualClock, virtual_engine
from tests.schedules.waiting import found

MINUTE = timedelta(minutes=1)


class KeptLog(LogAround):
    """A log in memory that outlives its engine."""

    @property
    def durable(self) -> bool:
        return True

    async def open(self) -> None: ...

    async def close(self) -> None: ...


def flow_of(name: str = "census", *, seconds: float = 0.0, clock: VirtualClock | None = None) -> Workflow:
    """Its one task takes so long."""
    flow = Workflow(name)

    @flow.task
    async def work(given: int = 0) -> int:
        if clock is not None:
            await sleep(clock, seconds)
        return given

    return flow


async def started(engine: Engine, tenant: str = "") -> list[str]:
    """The ids of all runs, in their order."""
    return [record.run_id for record in reversed(await engine.list(tenant=tenant, limit=1_000))]


def ids(*times: str, name: str = "census") -> list[str]:
    return [f"{name}~20260101T{time}00Z" for time in times]


async def test_each_time_starts_a_run_with_the_input() -> None:
    """The run has the schedule in its meta, and the id that follows from its time."""
    clock = VirtualClock("2026-01-01T06:58:30Z", jumps=False)
    async with virtual_engine(clock=clock, workflows=[flow_of()]) as (engine, _):
        record = await engine.schedule("census", "*/2 8 * * *", tz="Europe/Berlin", input={"given": 7}, by="ada")
        assert (record.name, record.owner, record.last) == ("census", "ada", "2026-01-01T06:58:30Z")
        await clock.advance(89)
        assert await started(engine) == []
        await clock.advance(1)
        assert await started(engine) == ids("0700")
        await clock.advance(240)
        assert await started(engine) == ids("0700", "0702", "0704")
        run = await engine.get(ids("0702")[0])
        assert (await run, run.state.meta) == ({"work": 7}, {"schedule": "census"})


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", ["0001", "0004", "0007"]),
        ("queue", ["0001", "0002", "0003"]),
        ("allow", ["0001", "0002", "0003", "0004", "0005", "0006", "0007"]),
    ],
)
async def test_overlap(overlap: Any, expected: list[str]) -> None:
    """Runs of two and a half minutes, a time each minute, for seven minutes."""
    clock = VirtualClock(jumps=False)
    async with virtual_engine(clock=clock, workflows=[flow_of(seconds=150, clock=clock)]) as (engine, _):
        await engine.schedule("census", every=MINUTE, overlap=overlap)
        most = 0
        for _ in range(14):
            await clock.advance(30)
            most = max(most, engine.open_runs)
        assert await started(engine) == ids(*expected)
        assert most == (3 if overlap == "allow" else 1)
        assert (await engine.get_schedule("census")).last == "2026-01-01T00:07:00Z"


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [("one", ["0005", "0020", "0025"]), ("all", ["0005", "0010", "0015", "0020", "0025"]), ("none", ["0005", "0025"])],
)
async def test_a_restart_over_missed_times(catch_up: Any, expected: list[str]) -> None:
    """No engine from 00:06 to 00:23, so three times were missed; then for three minutes."""
    log, clock = KeptLog(MemoryLog()), VirtualClock(jumps=False)
    async with virtual_engine(log, clock=clock, workflows=[flow_of()]) as (engine, _):
        await engine.schedule("census", "*/5 * * * *", catch_up=catch_up)
        await clock.advance(360)
    clock = VirtualClock("2026-01-01T00:23:00Z", jumps=False)
    async with virtual_engine(log, clock=clock, workflows=[flow_of()]) as (engine, _):
        await clock.advance(180)
        assert await started(engine) == ids(*expected)


async def test_what_comes_while_an_engine_restarts_is_not_missed() -> None:
    """A time that is dealt with within a minute starts, whatever catch_up says."""
    log = KeptLog(MemoryLog())
    async with virtual_engine(log, clock=VirtualClock(jumps=False), workflows=[flow_of()]) as (engine, _):
        await engine.schedule("census", "0 7 * * *", catch_up="none")
    clock = VirtualClock("2026-01-01T07:00:59Z", jumps=False)
    async with virtual_engine(log, clock=clock, workflows=[flow_of()]) as (engine, _):
        await clock.advance(1)
        assert await started(engine) == ids("0700")


async def test_all_that_were_missed_are_a_hundred_at_most() -> None:
    """The last hundred."""
    log = KeptLog(MemoryLog())
    async with virtual_engine(log, clock=VirtualClock(jumps=False), workflows=[flow_of()]) as (engine, _):
        await engine.schedule("census", "* * * * *", catch_up="all")
    clock = VirtualClock("2026-01-01T10:00:30Z", jumps=False)
    async with virtual_engine(log, clock=clock, workflows=[flow_of()]) as (engine, _):
        await clock.advance(1)
        found = await started(engine)
        assert (len(found), found[0], found[-1]) == (100, *ids("0821", "1000"))


async def test_two_engines_over_one_store_start_each_time_once() -> None:
    """Both look at the same moments; one of them starts a time, and neither fails."""
    log, clock = KeptLog(MemoryLog()), VirtualClock(jumps=False)
    async with (
        virtual_engine(log, clock=clock, workflows=[flow_of()]) as (one, _),
        virtual_engine(log, clock=clock, workflows=[flow_of()]) as (other, _),
    ):
        await one.schedule("census", every=MINUTE)
        other._scheduler.look()  # on a shared log it looks each minute by itself
        await clock.advance(600)
        expected = ids(*(f"00{i:02}" for i in range(1, 11)))
        assert await started(one) == expected
        record = await other.get_schedule("census")
        assert (record.pending, record.last_run) == ((), expected[-1])


async def test_pause_resume_and_trigger() -> None:
    """What comes during a pause is not made up for; a trigger starts now, and changes no time."""
    clock = VirtualClock(jumps=False)
    async with virtual_engine(clock=clock, workflows=[flow_of()]) as (engine, _):
        await engine.schedule("census", every=MINUTE, catch_up="all")
        await clock.advance(60)
        assert (await engine.pause_schedule("census", by="ada")).paused == "ada"
        await clock.advance(300.25)
        run = await engine.trigger_schedule("census", by="bo")
        assert run.id == "census~20260101T000600.250000Z"
        assert (await engine.resume_schedule("census")).paused is None
        await clock.advance(60)
        assert await started(engine) == [*ids("0001"), run.id, *ids("0007")]
        await engine.remove_schedule("census")
        await clock.advance(300)
        assert len(await started(engine)) == 3
        for method in (engine.get_schedule, engine.pause_schedule, engine.resume_schedule, engine.trigger_schedule):
            with pytest.raises(UnknownSchedule):
                await method("census")


async def test_nobody_else_may_take_the_id_of_a_schedules_run() -> None:
    """Not by a start, a session or a retry, with or without such a schedule; other ids with ``~`` are free."""
    flow = flow_of()
    async with virtual_engine(workflows=[flow]) as (engine, _):
        ended = await engine.start(flow, run_id="thread~2")
        await ended
        for run_id in ("census~20260101T000100Z", "other~20260101T000100.123456Z"):
            for call in (
                engine.start(flow, run_id=run_id),
                engine.ensure(flow, run_id=run_id),
                engine.session(run_id),
                engine.retry(ended.id, new_run_id=run_id),
            ):
                with pytest.raises(InvalidRunId, match="a schedule starts"):
                    await call
        assert await started(engine) == ["thread~2"]


async def test_tenants_see_nothing_of_each_others_schedules() -> None:
    """Of one name and one time each has its own."""
    clock = VirtualClock(jumps=False)
    async with virtual_engine(clock=clock, workflows=[flow_of()]) as (engine, _):
        await engine.schedule("census", every=MINUTE, input={"given": 1}, tenant="acme")
        await engine.schedule("census", every=MINUTE, input={"given": 2}, tenant="zeta")
        assert [one.input for one in await engine.schedules(tenant="acme")] == [{"given": 1}]
        assert await engine.schedules() == []
        await engine.pause_schedule("census", tenant="zeta")
        await clock.advance(60)
        assert (await started(engine, "acme"), await started(engine, "zeta"), await started(engine)) == (
            ids("0001"),
            [],
            [],
        )
        with pytest.raises(UnknownSchedule):
            await engine.trigger_schedule("census")


async def test_what_the_code_says_is_stored_by_name() -> None:
    """A later release changes it; where it says it no longer it is paused, and goes on when it says it again."""
    log, flow = KeptLog(MemoryLog()), flow_of()
    flow.schedule("0 7 * * *", name="morning")
    async with virtual_engine(log, workflows=[flow], clock=VirtualClock(jumps=False)) as (engine, _):
        await engine.schedule(flow, "0 9 * * *", name="mine")
    later = flow_of()
    later.schedule("0 8 * * *", name="morning")
    for release, rule, paused in (
        (later, "0 8 * * *", None),
        (flow_of(), "0 8 * * *", "gone from the code"),
        (flow_of("another"), "0 8 * * *", "gone from the code"),
        (flow, "0 7 * * *", None),
    ):
        async with virtual_engine(log, workflows=[release], clock=VirtualClock(jumps=False)) as (engine, _):
            mine, morning = await engine.schedules()
            assert (mine.paused, morning.rule["cron"], morning.paused) == (None, rule, paused)


async def test_what_somebody_has_paused_stays_paused_when_the_code_says_it_again() -> None:
    log, flow = KeptLog(MemoryLog()), flow_of()
    flow.schedule("0 7 * * *", name="morning")
    for _ in range(2):
        async with virtual_engine(log, workflows=[flow], clock=VirtualClock(jumps=False)) as (engine, _):
            await engine.pause_schedule("morning")
    assert (await log.schedules())[0].paused == "requested"


async def test_a_bad_schedule_is_refused_and_nothing_is_stored() -> None:
    flow = flow_of()
    async with virtual_engine(workflows=[flow]) as (engine, _):
        with pytest.raises(UnknownWorkflow):
            await engine.schedule("cenus", every=MINUTE)
        with pytest.raises(ValueError, match="another workflow 'census'"):
            await engine.schedule(flow_of(), every=MINUTE)
        with pytest.raises(InputError):
            await engine.schedule(flow, every=MINUTE, input={"given": "x"})
        with pytest.raises(ValueError, match="1 to 40 of"):
            await engine.schedule(flow, every=MINUTE, name="a" * 41)
        assert await engine.schedules() == []


async def test_schedules_are_in_the_file(tmp_path: Path) -> None:
    """A SQLite file keeps them, and how far they have come."""
    url = f"sqlite:///{tmp_path}/runs.db"
    clock = VirtualClock(jumps=False)
    async with Engine(url, clock=clock, workflows=[flow_of()]) as engine:
        await engine.schedule("census", every=MINUTE)
        clock.jump(60)
        await (await found(engine, *ids("0001")))
    async with Engine(url) as engine:
        (record,) = await engine.schedules()
        assert record.last == "2026-01-01T00:01:00Z"


async def test_a_schedule_that_is_removed_in_the_middle_starts_nothing_more() -> None:
    """Of three times that wait, the first run removes the schedule."""
    clock, log = VirtualClock(jumps=False), KeptLog(MemoryLog())
    flow = Workflow("census")

    @flow.task
    async def work() -> None:
        await engines[0].remove_schedule("census")

    engines = list[Engine]()
    async with virtual_engine(log, clock=clock, workflows=[flow]) as (engine, _):
        await engine.schedule("census", "* * * * *", catch_up="all")
    clock = VirtualClock("2026-01-01T00:03:00Z", jumps=False)
    async with virtual_engine(log, clock=clock, workflows=[flow]) as (engine, _):
        engines.append(engine)
        await clock.advance(120)
        assert (await started(engine), await engine.schedules()) == (ids("0001"), [])


async def test_a_schedule_stores_no_secret_and_no_large_input() -> None:
    """Who may read schedules would read it, too; and all schedules are read at once."""
    flow = Workflow("census")

    @flow.task
    async def work(token: SecretStr, text: str = "") -> None: ...

    async with virtual_engine(workflows=[flow]) as (engine, _):
        with pytest.raises(ValueError, match="'token' has a secret"):
            await engine.schedule(flow, every=MINUTE, input={"token": "hunter2"})
        assert await engine.schedules() == []
    plain = flow_of()
    plain.task(lambda text: text, name="say")
    async with virtual_engine(workflows=[plain]) as (engine, _):
        with pytest.raises(ValueError, match="16,384 bytes"):
            await engine.schedule(plain, every=MINUTE, input={"text": "x" * 16_384})


async def test_there_is_room_for_so_many_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all tenants, and of one: none can take the room of the others. One that there is can be changed."""
    monkeypatch.setattr(keeping, "SCHEDULES", 3)
    monkeypatch.setattr(keeping, "TENANT_SCHEDULES", 2)
    async with virtual_engine(workflows=[flow_of()]) as (engine, _):
        for name in ("a", "b"):
            await engine.schedule("census", every=MINUTE, name=name, tenant="acme")
        with pytest.raises(ValueError, match="the tenant has 2 schedules"):
            await engine.schedule("census", every=MINUTE, name="c", tenant="acme")
        await engine.schedule("census", every=MINUTE, name="c")
        with pytest.raises(ValueError, match="there are 3 schedules"):
            await engine.schedule("census", every=MINUTE, name="d")
        await engine.schedule("census", every=2 * MINUTE, name="b", tenant="acme")


async def test_two_triggers_in_one_moment_start_two_runs() -> None:
    clock = VirtualClock(jumps=False)
    async with virtual_engine(clock=clock, workflows=[flow_of()]) as (engine, _):
        await engine.schedule("census", every=MINUTE)
        runs = [await engine.trigger_schedule("census") for _ in range(2)]
        assert [run.id[-7:] for run in runs] == ["000000Z", "000001Z"]


@example("a~20260101T000000", "a", "123456Z")
@given(from_regex(bounds.RUN_ID, fullmatch=True), from_regex(bounds.TASK_NAME, fullmatch=True), text(max_size=20))
def test_no_child_has_the_id_of_a_schedules_run(run_id: str, task: str, name: str) -> None:
    """Whatever its parent, its task and its key are called."""
    assert not any(map(bounds.SCHEDULE_RUN_ID.fullmatch, child_ids(run_id, task, name, b"key")))
