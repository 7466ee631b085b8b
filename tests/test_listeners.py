"""Listeners are told what happens: each thing once, with its time; one that raises harms nobody."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, Limit, LogLost, Workflow
from reactor.clock import sleep
from reactor.events.event import Window
from reactor.listeners import Listener, Stall
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog, SlowLog, VirtualClock
from tests.helpers.log_lines import log_lines


class Windows:
    """Hears of windows."""

    def __init__(self) -> None:
        self.seqs: dict[str, list[int]] = {}
        self.seconds: list[float] = []

    def window_appended(self, window: Window, seconds: float) -> None:
        self.seqs.setdefault(window[0].run_id, []).extend(event.seq for event in window)
        self.seconds.append(seconds)


class Waits:
    """Hears of waits."""

    def __init__(self) -> None:
        self.waits: list[tuple[str, str, float]] = []

    def body_waited(self, run_id: str, task_id: str, seconds: float) -> None:
        self.waits.append((run_id, task_id, seconds))


class Stalls:
    """Hears of stalls."""

    def __init__(self) -> None:
        self.stalls: list[Stall] = []

    def stalled(self, stall: Stall) -> None:
        self.stalls.append(stall)


class Later:
    """Is no listener: nobody would await it."""

    async def stalled(self, stall: Stall) -> None: ...


@pytest.mark.parametrize("scheme", ["memory://", "sqlite:///"])
async def test_each_window_is_told_once_and_before_anybody_sees_it(scheme: str, tmp_path: Path) -> None:
    """All events of all runs, in order, whether the log is in memory or a file."""
    flow = Workflow("flow")

    @flow.task
    async def work(ctx: Context) -> None:
        for n in range(50):
            await ctx.emit("step.made", {"n": n})

    windows, ahead = Windows(), list[bool]()
    async with Engine(f"{scheme}{tmp_path}/runs.db" if "sqlite" in scheme else scheme, listeners=[windows]) as engine:
        run, other = await engine.start(flow), await engine.start(flow)
        async for event in run:
            ahead.append(event.seq in windows.seqs[event.run_id])
        await run
        await other
        assert windows.seqs == {r.id: list(range(1, r.feed.last_seq + 1)) for r in (run, other)}
        assert ahead == [True] * run.feed.last_seq
    assert all(seconds >= 0 for seconds in windows.seconds)
    assert any(seconds > 0 for seconds in windows.seconds) or "memory" in scheme, "a file takes time"


async def test_the_time_of_a_window_is_what_the_log_took() -> None:
    """A log that answers after 50 ms is told as such."""
    flow, windows = Workflow("flow"), Windows()
    flow.task(lambda: 1, name="one")
    async with Engine(SlowLog(MemoryLog(), 0.05), listeners=[windows]) as engine:
        await (await engine.start(flow))
    assert all(seconds >= 0.045 for seconds in windows.seconds)


async def test_a_body_that_waited_for_a_slot_is_told_when_it_starts() -> None:
    """Of four bodies of a second each with one slot three have waited, 1 s, 2 s and 3 s; without a limit nobody has."""
    flow, free, waits, clock = Workflow("flow"), Workflow("free"), Waits(), VirtualClock()

    async def body() -> None:
        await sleep(clock, 1)

    for n in range(4):
        flow.task(body, name=f"t{n}", limits="one")
        free.task(body, name=f"t{n}")
    async with Engine(limits=[Limit("one", 1)], listeners=[waits], clock=clock) as engine:
        run, other = await engine.start(flow), await engine.start(free)
        assert waits.waits == []
        await run
        await other
    assert waits.waits == [(run.id, f"t{n}", pytest.approx(n)) for n in (1, 2, 3)]


@pytest.mark.usefixtures("blames_bodies")
async def test_a_body_that_holds_the_loop_and_a_log_that_hangs_are_stalls() -> None:
    """A stall names what it is, where, and how long it has lasted."""
    flow, stalls = Workflow("flow"), Stalls()

    @flow.task
    async def hold() -> None:
        time.sleep(0.3)  # noqa: ASYNC251  # the fault

    log = FaultyLog(MemoryLog(), hangs={"hung"}, after=1)
    async with Engine(log, listeners=[stalls], append_timeout=0.2) as engine:
        await (await engine.start(flow, run_id="held"))
        with pytest.raises(LogLost):
            await (await engine.start(flow, run_id="hung"))
    loops = [stall for stall in stalls.stalls if stall.kind == "loop"]
    assert {(stall.run_id, stall.task_id) for stall in loops} == {("held", "hold"), ("hung", "hold")}
    assert all(stall.seconds >= 0.3 for stall in loops)
    (hung,) = [stall for stall in stalls.stalls if stall.kind == "log"]
    assert (hung.run_id, hung.task_id) == ("hung", None)
    assert hung.seconds >= 0.2


@pytest.mark.parametrize("kind", [RuntimeError, asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_a_listener_that_raises_is_logged_and_told_nothing_more(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises, in none of its methods; the runs end, and other listeners hear everything."""
    monkeypatch.setattr(signal, "getsignal", lambda _: None)  # else a KeyboardInterrupt is the user's Ctrl-C

    class Broken(Windows):
        calls = 0

        def window_appended(self, window: Window, seconds: float) -> None:
            self.calls += 1
            raise kind("no")

        def stalled(self, stall: Stall) -> None:
            self.calls += 1

    flow, broken, windows = Workflow("flow"), Broken(), Windows()
    flow.task(lambda: 1, name="one")
    with log_lines() as lines:
        async with Engine(listeners=[broken, windows]) as engine:
            runs = [await engine.start(flow) for _ in range(2)]
            assert [await run for run in runs] == [{"one": 1}] * 2
    assert broken.calls == 1
    assert {run.id for run in runs} == set(windows.seqs)
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (line["event"], line["listener"]) == ("a listener raised, and is told nothing more", "Broken")
    assert f"{kind.__name__}: no" in line["traceback"]
    assert not engine.listeners.stalled


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([object()], "object hears nothing; a listener has at least one of the methods window_appended, body_waited"),
        ([Windows], "Windows is a class; a listener is an object: Windows()"),
        (Windows(), "listeners is a list of listeners, not Windows"),
        ([type("Half", (), {"stream_opened": print})()], "the listener Half needs a method stream_closed as well"),
        ([Later()], "stalled of the listener Later is called on the event loop: write def, not async def"),
    ],
)
def test_what_is_not_a_listener_is_refused(wrong: Any, sentence: str) -> None:
    """With a sentence that names it and what to write."""
    listeners: list[Listener] = wrong
    with pytest.raises(TypeError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        Engine(listeners=listeners)
