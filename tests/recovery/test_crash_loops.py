"""A body that kills its process again and again is not begun for ever; nobody else is ended for a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, Retry, Run, RunFailed, Workflow
from reactor.bounds import CRASH_LOOP
from reactor.errors import UnknownRun
from reactor.events.fold import replay
from reactor.logs.memory import MemoryLog
from reactor.stream.checkpoints import decode_state, encode_state
from tests.helpers.crash import check_laws, in_log, read_with_blobs
from tests.helpers.killers import KILLER_LIVES
from tests.helpers.runs import PATIENCE
from tests.helpers.warm import start_python

RUN_ID = "r1"
LIVES = CRASH_LOOP + 10
"""Restarts: more than a crash loop has."""


class Kept(MemoryLog):
    """A log that survives its engine. ``kills``: it is as if the process were killed, so there is no mark of a stop."""

    durable = True

    def __init__(self, *, kills: bool) -> None:
        super().__init__()
        self.kills = kills

    async def mark_stop(self) -> None:
        if not self.kills:
            await super().mark_stop()


async def live(log: Kept, flows: list[Workflow], until: Callable[[Run, Engine], Awaitable[bool]]) -> Run:
    """One life of an engine, which ends as soon as ``until`` holds of the run, or as the run has ended."""
    async with Engine(log, workflows=flows, grace=0.0) as engine, asyncio.timeout(PATIENCE):
        try:
            run = await engine.get(RUN_ID)
        except UnknownRun:
            run = await engine.start(flows[0], run_id=RUN_ID)
        while not (run.state.has_ended or await until(run, engine)):
            await asyncio.sleep(0)
        return run


# --- runs that do nothing but wait --------------------------------------------------------------------------------


def asking() -> list[Workflow]:
    flow = Workflow("asking")

    @flow.task
    async def wait(ctx: Context) -> Any:
        return await ctx.receive("yes?")

    return [flow]


def parent() -> list[Workflow]:
    child, flow = asking()[0], Workflow("parent")

    @flow.task
    async def wait(ctx: Context) -> Any:
        return (await ctx.run("asking", key="c"))["wait"]

    return [flow, child]


def sleeping() -> list[Workflow]:
    flow, failed = Workflow("sleeping"), list[int]()

    @flow.task(retry=Retry(2, delay=86_400))
    async def wait() -> None:
        failed.append(1)
        raise ValueError("later")

    return [flow]


def resting() -> list[Workflow]:
    flow = Workflow("resting")

    @flow.task
    async def wait(ctx: Context) -> str:
        while not ctx.cancelled:
            await ctx.checkpoint()
        return "on"

    return [flow]


async def waits(run: Run, engine: Engine) -> bool:
    task = run.state.tasks["wait"]
    return task.status == "waiting"


async def child_waits(run: Run, engine: Engine) -> bool:
    try:
        child = await engine.get(f"{RUN_ID}.wait.c")
    except UnknownRun:
        return False
    return child.state.tasks["wait"].status == "waiting"


async def sleeps(run: Run, engine: Engine) -> bool:
    return run.state.tasks["wait"].status == "retrying"


async def rests(run: Run, engine: Engine) -> bool:
    if run.state.tasks["wait"].status == "running" and run.status == "running":
        await run.pause()
    return run.status == "paused"


WAITING = {
    "asks": (asking, waits),
    "waits for a child": (parent, child_waits),
    "sleeps until its retry": (sleeping, sleeps),
    "is paused": (resting, rests),
}


@pytest.mark.parametrize("kills", [False, True], ids=["stops", "kills"])
@pytest.mark.parametrize("kind", WAITING)
async def test_restarts_harm_no_run_that_waits(kind: str, kills: bool) -> None:
    """Whether the engine stops or is killed each time: the run is what it was, and nobody is held guilty."""
    flows, until = WAITING[kind]
    log, made = Kept(kills=kills), flows()
    for _ in range(LIVES):
        run = await live(log, made, until)
        assert not run.state.has_ended, run.state.error
    assert run.state.recoveries == LIVES - 1
    assert run.state.crashes is None


async def test_clean_stops_harm_no_body_that_runs() -> None:
    """A stop that left its mark is no crash, also where a body never says anything."""
    log, flow = Kept(kills=False), busy(speaks=False)
    for _ in range(CRASH_LOOP + 5):
        run = await live(log, [flow], runs)
        assert not run.state.has_ended
        assert run.state.crashes is None


# --- bodies that kill their process -------------------------------------------------------------------------------


def busy(*, speaks: bool) -> Workflow:
    flow = Workflow("busy")

    @flow.task
    async def bad(ctx: Context) -> None:
        if speaks:
            await ctx.emit("life", {"attempt": ctx.attempt})
        await asyncio.Event().wait()

    @flow.task
    async def after(bad: None) -> None: ...

    @flow.task
    async def asks(ctx: Context) -> Any:
        return await ctx.receive()

    return flow


async def runs(run: Run, engine: Engine) -> bool:
    """Both bodies do what they do for ever: the log says so."""
    tasks = run.state.tasks
    return tasks["bad"].status == "running" and tasks["asks"].status == "waiting"


async def test_a_body_that_runs_at_50_kills_in_a_row_fails_its_run_and_is_named() -> None:
    """It is begun 50 times and no more. The body beside it, which waits for an answer, is not named."""
    log, flow = Kept(kills=True), busy(speaks=False)
    for life in range(CRASH_LOOP):
        run = await live(log, [flow], runs)
        assert not run.state.has_ended
        assert run.state.crashes == ({"bad": life} if life else None)
    run = await live(log, [flow], runs)
    state = check_laws(await read_with_blobs(log, RUN_ID))
    assert (state.status, state.reason, state.tasks["bad"].attempt) == ("failed", "crash_loop", CRASH_LOOP)
    with pytest.raises(RunFailed, match=r"killed 50 times in a row while task bad ran"):
        await run


async def test_a_body_that_says_something_before_each_kill_is_no_crash_loop() -> None:
    """Whatever a body says is a sign that it gets somewhere, and begins the count anew."""
    log, flow = Kept(kills=True), busy(speaks=True)
    for life in range(1, CRASH_LOOP + 10):
        run = await live(log, [flow], spoke)
        assert not run.state.has_ended
        assert (run.state.crashes, run.state.tasks["bad"].attempt) == (None, life)


async def spoke(run: Run, engine: Engine) -> bool:
    last = await read_with_blobs(engine.log, RUN_ID)
    said = [event.data["attempt"] for event in last if event.type == "life"]
    return await runs(run, engine) and said[-1:] == [run.state.tasks["bad"].attempt]


async def test_a_clean_stop_between_kills_does_not_clear_a_body() -> None:
    """In a row means: since it last said something. So a restart by hand does not let a bad body go on for ever."""
    log, flow = Kept(kills=True), busy(speaks=False)
    for life in range(10):
        log.kills = life % 2 == 0
        run = await live(log, [flow], runs)
    assert run.state.crashes == {"bad": 5}


async def test_a_kept_state_has_the_count() -> None:
    """A long run is loaded from a checkpoint: a body is guilty there, too."""
    state = replay(RUN_ID, [])
    state.crashes = {"bad": 49}
    kept = await decode_state(await encode_state(state))
    assert kept is not None
    assert kept.crashes == {"bad": 49}


# --- real processes -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("body", ["at_once", "after_another", "in_thread"])
def test_a_body_that_kills_its_process_as_it_begins_fails_its_run(body: str, tmp_path: Path) -> None:
    """Also where nothing that it began is in the log yet: then it is begun again only once that is there."""
    store = tmp_path / "log.db"
    life = ("-m", "tests.helpers.killers", f"sqlite:///{store}", body)
    with start_python(*life, quiet=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.kill()
    died, out = 0, ""
    while "ended" not in out:
        with start_python(*life, quiet=True) as process:
            out, _ = process.communicate(timeout=60)
        died += process.returncode == -9
        assert died <= KILLER_LIVES + 3, "in few lives nothing of the body comes into the log"
    assert out == "ended failed crash_loop\n"
    state = check_laws(in_log(store, "k"))
    assert state.error is not None
    assert "task bad " in state.error["message"]
