"""Bodies in threads where threads are scarce: they wait for one, and fail nobody."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reactor import Engine, Workflow, bounds
from reactor.executors.threads import ThreadExecutor
from reactor.testing import Submitted, work_for
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


class Scarce(threading.Thread):
    """The system gives so many threads and no more."""

    left = 1

    def start(self) -> None:
        if Scarce.left == 0:
            raise RuntimeError("can't start new thread")
        Scarce.left -= 1
        super().start()


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> type[Scarce]:
    Scarce.left = 1
    monkeypatch.setattr(threading, "Thread", Scarce)
    return Scarce


def hold(gate: threading.Event) -> str:
    gate.wait()
    return "held"


def quick() -> str:
    return "quick"


async def test_a_body_waits_where_the_system_gives_no_thread(scarce: type[Scarce], gate: threading.Event) -> None:
    """It runs on the thread that becomes free next, as do those after it; the log says that it waits."""
    executor = ThreadExecutor(asyncio.get_running_loop())
    with log_lines() as lines:
        held = Submitted(executor, work_for(hold, gate=gate))
        waiting = [Submitted(executor, work_for(quick)) for _ in range(3)]
    assert [line["why"] for line in lines] == ["can't start new thread"] * 3
    gate.set()
    assert await held.output() == "held"
    assert [await body.output() for body in waiting] == ["quick"] * 3
    assert [await Submitted(executor, work_for(quick)).output() for _ in range(3)] == ["quick"] * 3
    scarce.left = 1
    gate.clear()
    again = [Submitted(executor, work_for(hold, gate=gate)) for _ in range(2)]  # one on the idle thread, one on its own
    gate.set()
    assert [await body.output() for body in again] == ["held"] * 2
    await executor.close()


async def test_a_body_fails_where_there_is_no_thread_to_wait_for(scarce: type[Scarce], gate: threading.Event) -> None:
    """Neither a new one nor one that could become free."""
    executor = ThreadExecutor(asyncio.get_running_loop())
    scarce.left = 0
    with pytest.raises(RuntimeError, match="can't start"):
        Submitted(executor, work_for(quick))
    scarce.left = 1
    stuck = Submitted(executor, work_for(hold, gate=gate))
    assert not stuck.job.abandon()
    with pytest.raises(RuntimeError, match="can't start"):
        Submitted(executor, work_for(quick))
    await executor.close()


async def test_it_tells_when_it_is_exhausted_and_when_no_longer(gate: threading.Event) -> None:
    """Once each, whatever ends or is abandoned in between; the log line names who holds the threads."""
    executor, told = ThreadExecutor(asyncio.get_running_loop()), list[bool]()
    changed = asyncio.Event()

    def note(has_room: bool) -> None:
        told.append(has_room)
        changed.set()

    executor.watch(note)
    gates = [threading.Event() for _ in range(bounds.ABANDONED_THREADS + 2)]
    stuck = [Submitted(executor, work_for(hold, gate=each)) for each in gates]
    with log_lines() as lines:
        for body in stuck[:-1]:
            body.job.abandon()
            body.job.abandon()
    assert told == [False]
    assert executor.abandoned == bounds.ABANDONED_THREADS + 1
    (line,) = lines
    assert line["held_by"].startswith("task t of run r and 31 more of ")
    assert await Submitted(executor, work_for(quick)).output() == "quick"  # one that was on its way already
    changed.clear()
    for each in gates:
        each.set()
    await changed.wait()
    assert await stuck[-1].output() == "held"
    while executor.abandoned:
        await asyncio.sleep(0)
    assert told == [False, True]
    await executor.close()


async def test_a_body_that_has_ended_meanwhile_holds_no_thread() -> None:
    """It is abandoned while its answer is on its way to the loop."""
    executor: Any = ThreadExecutor(asyncio.get_running_loop())
    body = Submitted(executor, work_for(quick))
    while body.job.ended_at is None:  # type: ignore[attr-defined]
        pass
    assert not body.job.abandon()
    assert executor.abandoned == 0
    assert await Submitted(executor, work_for(quick)).output() == "quick"
    assert not body.has_ended
    await executor.close()


# --- threads that nobody needs ------------------------------------------------------------------------------------


async def busy(executor: ThreadExecutor, bodies: int) -> None:
    """So many bodies at once."""
    gate = threading.Event()
    jobs = [Submitted(executor, work_for(hold, gate=gate)) for _ in range(bodies)]
    gate.set()
    for job in jobs:
        assert await job.output() == "held"


async def test_threads_that_were_not_needed_end_but_for_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a body has needed since the last look stay; the few that are kept stay for good."""
    monkeypatch.setattr(bounds, "IDLE_THREAD_SECONDS", 3600.0)
    executor: Any = ThreadExecutor(asyncio.get_running_loop())
    await busy(executor, 20)
    assert executor.threads == 20
    executor._let_idle_go()  # what the timer does; until now most of them were needed
    await busy(executor, 12)
    executor._let_idle_go()
    assert executor.threads >= 12, "they were needed since the last look"
    executor._let_idle_go()
    assert executor.threads == bounds.IDLE_THREADS
    executor._let_idle_go()
    assert executor.threads == bounds.IDLE_THREADS
    await executor.close()


async def test_a_body_that_comes_as_threads_end_has_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the two meet: none waits for a thread that has ended."""
    monkeypatch.setattr(bounds, "IDLE_THREAD_SECONDS", 3600.0)
    executor: Any = ThreadExecutor(asyncio.get_running_loop())
    for _ in range(20):
        await busy(executor, 12)
        executor._let_idle_go()
        executor._let_idle_go()
        await busy(executor, 12)  # at once: the threads that end have not yet seen it
    await executor.close()


async def test_idle_threads_really_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer runs while more are idle than are kept, and no longer."""
    monkeypatch.setattr(bounds, "IDLE_THREAD_SECONDS", 0.01)
    before = threading.active_count()
    executor: Any = ThreadExecutor(asyncio.get_running_loop())
    await busy(executor, 20)
    async with asyncio.timeout(PATIENCE):
        while threading.active_count() > before + bounds.IDLE_THREADS or executor._looking is not None:
            await asyncio.sleep(0.001)
    assert executor.threads == bounds.IDLE_THREADS
    await executor.close()


# --- what one run does to the bodies of another -------------------------------------------------------------------


async def test_40_cancels_of_bodies_that_do_not_stop_fail_no_other_body(gate: threading.Event) -> None:
    """Those wait until threads are free again, and the log says who holds them."""
    slow, other = Workflow("slow"), Workflow("other")
    slow.task(name="held")(lambda: gate.wait())
    other.task(name="quick")(lambda: quick())
    async with Engine() as engine:
        with log_lines() as lines:
            for _ in range(40):
                run = await engine.start(slow)
                if run.state.tasks["held"].status != "running":
                    break
                await run.cancel(grace=0.0)
            waiting = [await engine.start(other) for _ in range(5)]
            for _ in range(5):
                await asyncio.sleep(0)
            assert [run.status for run in waiting] == ["running"] * 5
        said = [line for line in lines if line["event"].startswith("no thread is left")]
        assert len(said) == 1
        assert "task held of run" in said[0]["held_by"]
        gate.set()
        assert [await asyncio.wait_for(run, PATIENCE) for run in waiting] == [{"quick": "quick"}] * 5
