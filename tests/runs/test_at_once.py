"""What many clients ask for at the same time is made once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from reactor import Engine, Workflow
from reactor.errors import LogUnavailable
from reactor.events.event import Event
from reactor.logs.memory import MemoryLog
from reactor.waiting import Flights
from reactor_web import create_app

flow = Workflow("some")


@flow.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@flow.task(map={"number": "numbers"})
async def doubled(number: int) -> int:
    return 2 * number


class Counted(MemoryLog):
    """Counts the events that were read, and may fail or hold every read."""

    events_read = 0
    error: Exception | None = None
    gate: asyncio.Event | None = None

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        events = await super().read(run_id, after, limit, tenant=tenant)
        self.events_read += len(events)
        return events


async def ended_in(log: MemoryLog, count: int = 200) -> tuple[str, int]:
    """The id and the last seq of a run that no engine has in memory."""
    async with Engine(log, workflows=[flow]) as engine:
        run = await engine.start(flow, {"count": count})
        await run
        return run.id, run.feed.last_seq


async def test_many_who_ask_for_an_ended_run_fold_its_log_once() -> None:
    """Each has the same state; afterwards it is in memory."""
    log = Counted()
    run_id, last = await ended_in(log)
    async with Engine(log, workflows=[flow]) as engine:
        log.events_read = 0
        runs = await asyncio.gather(*(engine.get(run_id) for _ in range(30)))
        assert log.events_read == last
        assert {run.state.seq for run in runs} == {last}
        await engine.get(run_id)
        assert log.events_read == last


@pytest.mark.parametrize("dialect", ["agents", "execution", "native"])
async def test_many_first_gets_read_the_log_once(dialect: str) -> None:
    """Over HTTP, also where a dialect shows its own state: thirty cost hardly more events than one."""
    log = Counted()
    run_id, last = await ended_in(log)
    app = create_app(Engine(log), [flow])
    async with TestClient(TestServer(app)) as client:
        url = f"/api/v1/runs/{run_id}" + ("" if dialect == "native" else f"?dialect={dialect}")
        log.events_read = 0

        async def status() -> tuple[int, bytes]:
            answer = await client.get(url)
            return answer.status, await answer.read()

        answers = await asyncio.gather(*(status() for _ in range(30)))
        assert len(set(answers)) == 1
        if answers[0][0] == 200:
            folds = 1 if dialect == "native" else 2
            assert log.events_read <= folds * last + 30 * 3  # its first and its last event are read for each
        else:
            assert (dialect, answers[0][0]) == ("execution", 400)  # it has no form for those who ask


async def test_who_leaves_takes_nobody_along() -> None:
    """The first is cancelled, and the others have their run."""
    log = Counted()
    run_id, last = await ended_in(log)
    async with Engine(log, workflows=[flow]) as engine:
        log.gate = asyncio.Event()
        first, second = (asyncio.ensure_future(engine.get(run_id)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0)
        log.gate.set()
        assert (await second).state.seq == last
        assert first.cancelled()


async def test_an_error_is_told_to_all_and_not_kept() -> None:
    """A log that fails fails all who wait; the next one asks it again."""
    log = Counted()
    run_id, last = await ended_in(log)
    async with Engine(log, workflows=[flow]) as engine:
        log.error = LogUnavailable("it is gone", path="x")
        errors = await asyncio.gather(*(engine.get(run_id) for _ in range(5)), return_exceptions=True)
        assert [type(error) for error in errors] == [LogUnavailable] * 5
        log.error = None
        assert (await engine.get(run_id)).state.seq == last


class Made:
    """Something that is made when its gate opens; counts how often, and how often in vain."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.gate = asyncio.Event()

    def __call__(self) -> Coroutine[Any, Any, int]:
        return self._make()

    async def _make(self) -> int:
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.begun


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_nobody_waits_for_is_not_made() -> None:
    """The last who leaves cancels it; who comes then begins anew and is not cancelled with it."""
    flights: Flights[str, int] = Flights()
    made = Made()
    left = [asyncio.ensure_future(flights.join("a", made)) for _ in range(3)]
    other = asyncio.ensure_future(flights.join("b", made))
    await turns()
    for task in left:
        task.cancel()
    await turns(1)
    late = asyncio.ensure_future(flights.join("a", made))
    await turns()
    made.gate.set()
    assert await late == await other == 3
    assert (made.begun, made.cancelled) == (3, 1)


async def test_who_comes_at_the_end_begins_anew() -> None:
    """What was made before it asked may be too old; and those who waited go on before it begins."""
    flights: Flights[str, list[str]] = Flights()
    order: list[str] = []

    async def make(name: str) -> list[str]:
        await asyncio.sleep(0)
        order.append(f"{name} made")
        asyncio.get_running_loop().call_soon(lambda: None if name == "second" else tasks.append(ask("second")))
        return order

    def ask(name: str) -> asyncio.Future[None]:
        async def wait(begin: Callable[[], Coroutine[Any, Any, list[str]]]) -> None:
            await flights.join("a", begin)
            order.append(f"{name} told")

        return asyncio.ensure_future(wait(lambda: make(name)))

    tasks = [ask("first"), ask("with the first")]
    await asyncio.gather(*tasks)
    await asyncio.gather(*tasks)
    assert order == ["first made", "first told", "with the first told", "second made", "second told"]
