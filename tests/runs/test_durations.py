"""``engine.durations``: how long the last runs of a workflow and their tasks have taken."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import Engine, Workflow
from reactor.events.event import Event
from reactor.logs.memory import MemoryLog
from reactor.runs.durations import Durations
from reactor_web import Client
from tests.helpers.server import Server

flow = Workflow("some")


@flow.task
async def numbers(count: int) -> list[int]:
    if count == 0:
        raise ValueError("as it must")
    return list(range(count))


@flow.task(map={"number": "numbers"})
async def doubled(number: int) -> int:
    return 2 * number


class Counted(MemoryLog):
    """Counts what is read."""

    reads = 0

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        self.reads += 1
        return await super().read(run_id, after, limit, tenant=tenant)


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=300))
def test_percentiles_are_values_that_so_many_do_not_exceed(seconds: list[float]) -> None:
    """The smallest such ones."""
    found = Durations.of(seconds)
    assert (found.count, found.max) == (len(seconds), max(seconds))
    for percent, value in ((50, found.p50), (90, found.p90)):
        needed = ceil(len(seconds) * percent / 100)
        assert value in seconds
        assert sum(one <= value for one in seconds) >= needed
        assert sum(one < value for one in seconds) < needed


async def test_they_are_those_of_the_last_completed_runs(tmp_path: Path) -> None:
    """As the states of the runs have them; runs that failed, and those of other workflows, do not count."""
    async with Engine(f"sqlite:///{tmp_path}/runs.db", workflows=[flow]) as engine:
        for n in range(5):
            await (await engine.start(flow, {"count": 2}, run_id=f"r{n}"))
        await (await engine.start(flow, {"count": 0}, run_id="bad")).ended()
        found = await engine.durations("some", runs=3)
        assert [run.run_id for run in found.runs] == ["r4", "r3", "r2"]
        states = [(await engine.get(run.run_id)).state for run in found.runs]
        assert [run.seconds for run in found.runs] == [(state.duration_ms or 0.0) / 1000 for state in states]
        assert found.run is not None
        assert found.run == Durations.of(run.seconds for run in found.runs)
        assert found.tasks.keys() == {"numbers", "doubled"}
        assert found.tasks["numbers"] == Durations.of((s.tasks["numbers"].duration_ms or 0.0) / 1000 for s in states)
        assert found.tasks["doubled"].count == 3
        assert 0 < found.tasks["doubled"].max <= found.run.max
        assert (await engine.durations("some")).run == (await engine.durations("some", runs=200)).run
        nothing = await engine.durations("other")
        assert (nothing.runs, nothing.run, nothing.tasks) == ([], None, {})
        for bad in (0, -1, 201, 1.5):
            with pytest.raises(ValueError, match="must be 1 to 200"):
                await engine.durations("some", runs=bad)  # type: ignore[arg-type]


async def test_what_a_run_has_taken_is_read_once() -> None:
    """A run that is new is read, the others are not read again; a deleted one is gone, and so is a hidden one."""
    log = Counted()
    async with Engine(log, workflows=[flow]) as engine:
        for n in range(3):
            await (await engine.start(flow, {"count": 1}, run_id=f"r{n}"))
        first = await engine.durations("some")
        before = log.reads
        assert await engine.durations("some") == first
        assert log.reads == before
        await (await engine.start(flow, {"count": 1}, run_id="r3"))
        before = log.reads
        assert len((await engine.durations("some")).runs) == 4
        assert log.reads > before
        await engine.delete("r3")
        assert await engine.durations("some") == first
        seen = await engine.tenant("").durations("some", admits=lambda run_id, workflow: run_id == "r1")
        assert [run.run_id for run in seen.runs] == ["r1"]
        assert (await engine.durations("some", tenant="acme")).runs == []


async def test_they_are_told_over_http(server: Server) -> None:
    """The client has what the engine has; what is none is told."""
    for _ in range(3):
        run = await server.start("small")
        await (await server.engine.get(run["run_id"]))
    async with Client(server.url) as client:
        assert await client.durations("small", runs=2) == await server.engine.durations("small", runs=2)
    assert (await server.get("/workflows/none/durations"))[0] == 404
    for bad in ("0", "201", "x"):
        assert (await server.get(f"/workflows/small/durations?runs={bad}"))[0] == 400, bad
