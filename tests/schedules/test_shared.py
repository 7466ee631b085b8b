"""Schedules of a log that several engines share, or that outlives one. The clock is virtual, the log is real."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reactor import Engine, Workflow
from reactor.errors import UnknownWorkflow
from reactor.testing import VirtualClock
from tests.helpers.redis import RedisServer, redis_server
from tests.schedules.waiting import found

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def counting(began: list[str]) -> Workflow:
    """Its body says of which run it is."""
    flow = Workflow("census")

    @flow.task
    async def work(name: str = "") -> str:
        began.append(name)
        return name

    return flow


def run_id(minute: int, name: str = "census") -> str:
    return f"{name}~20260101T00{minute:02}00Z"


async def pass_minutes(clock: VirtualClock, minutes: range, *engines: Engine) -> None:
    """Lets minutes pass; in each the run of its time begins, and ends, and all engines see it."""
    for minute in minutes:
        clock.jump(60)
        for engine in engines:
            await (await found(engine, run_id(minute)))


async def test_two_engines_on_one_redis_start_each_time_once(server: RedisServer) -> None:
    """Also where the one that made the schedule has ended; what one changes holds for the other."""
    url, clock, began = server.url(), VirtualClock(jumps=False), list[str]()
    async with Engine(url, workflows=[counting(began)], clock=clock) as other:
        async with Engine(url, workflows=[counting(began)], clock=clock) as one:
            await one.schedule("census", every=MINUTE, input={"name": "x"}, by="ada")
            assert (await other.get_schedule("census")).owner == "ada"
            await pass_minutes(clock, range(1, 6), one, other)
        await pass_minutes(clock, range(6, 9), other)
        records = await other.list()
        assert [record.run_id for record in reversed(records)] == [run_id(minute) for minute in range(1, 9)]
        assert began == ["x"] * 8


async def test_a_node_without_the_workflow_leaves_its_times_to_others(server: RedisServer) -> None:
    """It sees the schedule, pauses and resumes it; it starts nothing, and no time is lost."""
    url, clock, began = server.url(), VirtualClock(jumps=False), list[str]()
    async with Engine(url, clock=clock) as without:
        async with Engine(url, workflows=[counting(began)], clock=clock) as one:
            await one.schedule("census", every=MINUTE, catch_up="all")
            await pass_minutes(clock, range(1, 3), one, without)
            assert (await without.pause_schedule("census", by="bo")).paused == "bo"
            assert (await one.get_schedule("census")).paused == "bo"
            await without.resume_schedule("census")
            with pytest.raises(UnknownWorkflow):
                await without.trigger_schedule("census")
        clock.jump(60)
        await without._scheduler._look()
        assert len(await without.list()) == 2
        async with Engine(url, workflows=[counting(began)], clock=clock) as later:
            await (await found(later, run_id(3)))
            await pass_minutes(clock, range(4, 5), later, without)
        assert len(began) == 4


async def test_a_schedule_of_the_code_stays_where_a_node_has_other_workflows(server: RedisServer) -> None:
    """Only a node that has the workflow, and does not say the schedule, pauses it."""
    url, flow, another = server.url(), counting([]), Workflow("another")
    another.task(lambda: 1, name="work")
    flow.schedule("0 7 * * *", name="morning")
    async with Engine(url, workflows=[flow]) as one:
        async with Engine(url, workflows=[another]):
            assert (await one.get_schedule("morning")).paused is None
        async with Engine(url, workflows=[counting([])]):
            assert (await one.get_schedule("morning")).paused == "gone from the code"


async def test_a_restart_in_the_second_of_a_time_starts_it_once(tmp_path: Path) -> None:
    """Each engine over a SQLite file goes on behind the times of the one before."""
    url, clock, began = f"sqlite:///{tmp_path}/runs.db", VirtualClock(jumps=False), list[str]()
    for life in range(3):
        async with Engine(url, workflows=[counting(began)], clock=clock) as engine:
            await engine.schedule("census", every=MINUTE)
            await pass_minutes(clock, range(2 * life + 1, 2 * life + 3), engine)
    async with Engine(url, workflows=[counting(began)], clock=clock) as engine:
        records = await engine.list()
        assert [record.run_id for record in reversed(records)] == [run_id(minute) for minute in range(1, 7)]
    assert len(began) == 6
