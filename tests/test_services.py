"""Services start and end with their engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reactor import Engine, EngineClosed, Workflow
from reactor.executors.kinds import KINDS, Kind
from tests.helpers.log_lines import log_lines

flow = Workflow("noted")
flow.task(lambda: 1, name="one")


class Noted:
    """Notes what happens to it, and what its engine can do then."""

    def __init__(self, name: str, notes: list[str], *, fails: str = "") -> None:
        self.name = name
        self.notes = notes
        self.fails = fails

    async def start(self, engine: Engine) -> None:
        self.engine = engine
        if self.fails == "start":
            raise RuntimeError(f"{self.name} does not start")
        self.notes.append(f"{self.name} starts")

    async def stop(self) -> None:
        self.notes.append(f"{self.name} stops")
        if self.fails == "stop":
            raise RuntimeError(f"{self.name} does not stop")


async def test_they_start_in_order_and_stop_in_the_reverse_order() -> None:
    """One that fails to stop is logged, and the others stop all the same."""
    notes: list[str] = []
    services = [Noted("a", notes), Noted("b", notes, fails="stop"), Noted("c", notes)]
    with log_lines() as lines:
        async with Engine(services=services):
            assert notes == ["a starts", "b starts", "c starts"]
    assert notes[3:] == ["c stops", "b stops", "a stops"]
    assert [line["service"] for line in lines] == ["Noted"]


async def test_one_that_does_not_start_ends_the_engine_and_those_before_it() -> None:
    """The error is the caller's; the log is let go of, and the engine takes no runs."""
    notes: list[str] = []
    engine = Engine(services=[Noted("a", notes), Noted("b", notes, fails="start"), Noted("c", notes)])
    with pytest.raises(RuntimeError, match="b does not start"):
        await engine.__aenter__()
    assert notes == ["a starts", "a stops"]
    with pytest.raises(EngineClosed):
        await engine.start(flow)


class WithoutStop:
    async def start(self, engine: Engine) -> None: ...


class Blocking(WithoutStop):
    def stop(self) -> None: ...


@pytest.mark.parametrize(
    ("services", "why"),
    [
        ([WithoutStop()], "the service WithoutStop needs a method: async def stop"),
        ([Blocking()], "the service Blocking needs a method: async def stop"),
        ([Noted], "Noted is a class; a service is an object"),
        (WithoutStop(), "services is a list of services, not WithoutStop"),
    ],
)
def test_what_is_no_service_is_refused_when_the_engine_is_made(services: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        Engine(services=services)


async def test_a_service_may_start_runs_of_its_own() -> None:
    """From its start on, in a task that it holds; at its stop no new run starts any more."""

    class Starter:
        def __init__(self) -> None:
            self.outcomes: list[Any] = []

        async def start(self, engine: Engine) -> None:
            self.engine = engine
            self.job = asyncio.create_task(self.work())

        async def work(self) -> None:
            self.outcomes.append(await (await self.engine.start(flow)))

        async def stop(self) -> None:
            with pytest.raises(EngineClosed):
                await self.engine.start(flow)

    starter = Starter()
    async with Engine(services=[starter]):
        await starter.job
    assert starter.outcomes == [{"one": 1}]


async def test_a_service_that_cancels_its_own_task_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """``task.cancel(); await task`` raises CancelledError in the service: the engine drains all the same."""
    notes: list[str] = []

    class Cancels(Noted):
        async def stop(self) -> None:
            job = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            job.cancel()
            await job

    async with Engine(services=[Noted("a", notes), Cancels("b", notes)]):
        pass
    assert notes[-1] == "a stops"


async def test_a_service_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reactor.services.SERVICE_STOP_SECONDS", 0.01)
    notes: list[str] = []

    class Hangs(Noted):
        async def stop(self) -> None:
            await asyncio.Event().wait()

    with log_lines() as lines:
        async with Engine(services=[Noted("a", notes), Hangs("b", notes)]):
            pass
    assert (notes[-1], [line["event"] for line in lines]) == ("a stops", ["a service did not stop"])


async def test_an_engine_that_cannot_start_lets_go_of_its_log(tmp_path: Path) -> None:
    """Whatever raises on the way, the next engine may open the file."""
    url = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(RuntimeError, match="does not start"):
        await Engine(url, services=[Noted("a", [], fails="start")]).__aenter__()

    def broken(loop: object, blocked: object) -> Any:
        raise RuntimeError("no such device")

    KINDS["broken"] = Kind(broken, slots=1, waiting=None, can_kill=False)
    try:
        with pytest.raises(RuntimeError, match="no such device"):
            await Engine(url).__aenter__()
    finally:
        del KINDS["broken"]
    async with Engine(url) as engine:
        assert await (await engine.start(flow)) == {"one": 1}


async def test_a_drain_that_is_cut_lets_go_of_the_log(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    waits = Workflow("waits")
    waits.task(asyncio.Event().wait, name="for_ever")
    engine = await Engine(url).__aenter__()
    await engine.start(waits)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(engine.drain(60), 0.05)
    async with Engine(url, grace=0):
        pass
