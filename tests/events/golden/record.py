"""Records the golden runs: ``python -m tests.events.golden.record [NAME ...]``; one that is there stays as it is.

A recorded run is a promise: whatever becomes of the code, these events fold to the state beside them. Record a new
one when a new kind of event or state is added; an old one is changed by nobody.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from reactor import Budget, Context, Engine, QuestionExpired, Retry, Run, RunFailed, Workflow
from reactor.events.event import Event
from reactor.events.fold import replay

FOLDER = Path(__file__).parent


async def completed_with_map(_: Path) -> list[Event]:
    """A map of three, one of no items, progress, a log line, an event of its own, a join."""
    flow = Workflow("census", version="3")

    @flow.task
    async def files(root: str = "src") -> list[str]:
        return [f"{root}/a", f"{root}/b", f"{root}/ü"]

    @flow.task
    async def nothing() -> list[str]:
        return []

    @flow.task(map={"path": "files"})
    async def measure(path: str, ctx: Context) -> int:
        await ctx.progress(0.5, f"reading {path}")
        await ctx.emit("file.read", {"path": path, "text": '"type":"task.failed"'})
        return len(path)

    @flow.task(map={"path": "nothing"})
    async def unneeded(path: str) -> str:
        return path

    @flow.task
    async def total(measure: list[int], unneeded: list[str]) -> int:
        return sum(measure) + len(unneeded)

    async with Engine("memory://") as engine:
        run = await engine.start(flow, {"root": "lib"}, meta={"by": "golden"})
        await run
        return await events_of(run)


async def failed_with_skips(_: Path) -> list[Event]:
    """One child of a map fails: its siblings finish, dependents are skipped, one cleans up, the run fails."""
    flow = Workflow("fragile")

    @flow.task
    async def numbers() -> list[int]:
        return [1, 0, 2]

    @flow.task(map={"n": "numbers"})
    async def divide(n: int) -> float:
        return 1 / n

    @flow.task
    async def total(divide: list[float]) -> float:
        return sum(divide)

    @flow.task
    async def report(total: float) -> str:
        return str(total)

    @flow.task
    async def other() -> None:
        raise ValueError("no such thing")

    @flow.task(after=["other"], on_upstream_failure="run")
    async def clean_up(ctx: Context) -> str:
        return ctx.upstreams["other"].status

    async with Engine("memory://") as engine:
        run = await engine.start(flow)
        await run.ended()
        return await events_of(run)


async def cancelled_with_an_abandoned_thread(_: Path) -> list[Event]:
    """A coroutine that stops, a thread that does not, a task that never began."""
    flow = Workflow("stubborn")
    began, let_go = threading.Event(), threading.Event()

    @flow.task
    async def polite() -> None:
        await asyncio.Event().wait()

    @flow.task
    def deaf() -> None:
        began.set()
        let_go.wait(30)

    @flow.task
    async def never(polite: None) -> None: ...

    async with Engine("memory://") as engine:
        run = await engine.start(flow)
        while not began.is_set():
            await asyncio.sleep(0.01)
        await run.cancel(reason="asked", by="golden", grace=0.05)
        await run.ended()
        let_go.set()
        return await events_of(run)


async def skipped_by_condition(_: Path) -> list[Event]:
    """``when=`` that is true, false, and raises."""
    flow = Workflow("choosy")

    @flow.task
    async def size() -> int:
        return 7

    @flow.task(when=lambda size: size > 5)
    async def large(size: int) -> str:
        return "large"

    @flow.task(when=lambda size: size <= 5)
    async def small(size: int) -> str:
        return "small"

    @flow.task
    async def after_small(small: str) -> str:
        return small

    @flow.task(when=lambda size: 1 / (size - 7) > 0)
    async def broken(size: int) -> str:
        return "broken"

    async with Engine("memory://") as engine:
        run = await engine.start(flow)
        await run.ended()
        return await events_of(run)


async def recovered(folder: Path) -> list[Event]:
    """A process ended in the middle, twice; the third one completes the run: ``run.resumed``, a second attempt."""
    flow = Workflow("patient")
    lives: list[int] = []

    @flow.task
    async def quick() -> int:
        return 1

    @flow.task
    async def slow(quick: int) -> int:
        if len(lives) < 3:
            await asyncio.Event().wait()
        return quick + 1

    @flow.task
    async def last(slow: int) -> int:
        return slow + 1

    for life in range(3):
        lives.append(life)
        async with Engine(f"sqlite:///{folder}/runs.db", workflows=[flow], grace=0.0) as engine:
            run = await engine.start(flow, run_id="patient") if life == 0 else await engine.get("patient")
            if life < 2:
                while not ("slow" in run.state.tasks and run.state.tasks["slow"].attempt == life + 1):
                    await asyncio.sleep(0.01)
            else:
                await run
                return await events_of(run)
    raise AssertionError("the third process completes it")


async def every_type(_: Path) -> list[Event]:
    """What the other runs do not have: groups, calls, spending, chunks, questions, retries, a pause, a budget."""
    flow = Workflow("agent", version="2")
    paused = asyncio.Event()

    @flow.task(meta={"title": "Research"})
    async def research(ctx: Context) -> str:
        async with ctx.tool_call("search", {"q": "reactor"}) as found:
            found.result = ["a", "b"]
        async with ctx.llm_call("small", estimated_cost=0.25) as answer:
            answer.tokens = 120
        await ctx.chunk("Once ")
        await ctx.chunk("upon a time")
        await ctx.log.info("found", count=2)
        return "two findings"

    @flow.task(retry=Retry(attempts=2, delay=0.0, jitter=0.0))
    async def shaky(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ConnectionError("try again")
        return 1

    @flow.task
    async def stubborn() -> None:
        await asyncio.Event().wait()

    @flow.task
    async def ask(ctx: Context, research: str, shaky: int) -> bool:
        return await ctx.receive("publish?", schema=bool, key="publish")

    @flow.task
    async def publish(ctx: Context, ask: bool) -> None:
        await paused.wait()
        await ctx.spend(cost=0.9, tokens=10)
        await asyncio.Event().wait()

    @flow.task(when=lambda: True, after=["publish"])
    async def never() -> None: ...

    flow.sequence(flow.parallel("research", "shaky"), "ask", "publish")
    async with Engine("memory://") as engine:
        run = await engine.start(flow, budget=Budget(cost=1.0))
        async for event in run:
            if event.type == "task.started" and event.task == "stubborn":
                await run.request_cancel(task="stubborn", reason="not needed", by="golden")
            elif event.type == "task.waiting":
                await run.send("ask", True, key="publish", by="golden")
            elif event.type == "task.started" and event.task == "publish":
                await run.pause(reason="lunch", by="golden")
                await run.resume(by="golden")
                paused.set()
        return await events_of(run)


async def with_children(_: Path) -> list[Event]:
    """A child run that completes, one that fails, one that is cancelled with its body."""
    writes = Workflow("section")
    fails = Workflow("broken")
    waits = Workflow("endless")

    @writes.task
    async def write(title: str, ctx: Context) -> str:
        await ctx.spend(cost=0.25, tokens=40)
        return f"# {title}"

    @fails.task
    async def boom() -> None:
        raise ValueError("no such thing")

    @fails.task
    async def other() -> None:
        raise ConnectionError("nobody is there")

    @waits.task
    async def wait(ctx: Context) -> None:
        await asyncio.Event().wait()

    flow = Workflow("book")

    @flow.task
    async def chapters(ctx: Context) -> list[str]:
        first = await ctx.run(writes, {"title": "One"})
        second = await ctx.run(writes, {"title": "Two"}, key="second")
        return [first["write"], second["write"]]

    @flow.task
    async def careful(ctx: Context) -> str:
        try:
            await ctx.run(fails)
        except RunFailed as failed:
            return str(failed)
        return ""

    @flow.task
    async def stopped(ctx: Context) -> None:
        await ctx.run(waits)

    async with Engine("memory://") as engine:
        run = await engine.start(flow)
        async for event in run:
            if event.type == "child.started" and event.task == "stopped":
                await run.request_cancel(task="stopped", reason="not needed", by="golden")
        return await events_of(run)


async def questions(_: Path) -> list[Event]:
    """A question that expires, one that is withdrawn, one that was answered early, and one asked again by a retry."""
    flow = Workflow("questions")
    sent = asyncio.Event()

    @flow.task(retry=Retry(attempts=2, delay=0.0, jitter=0.0))
    async def ask(ctx: Context) -> list[object]:
        await sent.wait()
        answers: list[object] = [await ctx.receive("name?", schema=str)]
        try:
            await ctx.receive("intern?", timeout=0.01)
        except QuestionExpired:
            answers.append(None)
        try:
            await asyncio.wait_for(ctx.receive("anybody?"), 0.01)
        except TimeoutError:
            answers.append(None)
        if ctx.attempt == 1:
            raise ConnectionError("try again")
        return [*answers, await ctx.receive("manager?", key="manager", timeout=3600)]

    async with Engine("memory://") as engine:
        run = await engine.start(flow)
        await run.send("ask", "Ann", by="golden")
        sent.set()
        async for event in run:
            if event.type == "task.waiting" and event.data["key"] == "manager":
                await run.send("ask", True, by="golden")
        return await events_of(run)


async def session(_: Path) -> list[Event]:
    """What others say: of names that are free, with a key, log lines, spending up to a warning; then it is closed."""
    async with Engine("memory://") as engine:
        written = await engine.session("s1", budget=Budget(cost=1.0))
        await written.emit("agent:started", {"agentName": "reader"}, task="reader", key="start-1")
        await written.emit_all(
            [
                {"type": "ROUTER_THOUGHT", "data": {"text": '"idempotency_key":"x"'}},
                {"type": "page", "task": "read[2]"},
            ],
            key='both "ü"\u2028',
        )
        await written.log.info("hello", rows=12)
        await written.log("warning", "slow", task="reader", ms=1200)
        await written.spend(cost=0.85, tokens=10, task="reader")
        await written.spend(tokens=5)
        await written.close(outputs={"answer": 42})
        return await events_of(written)


async def emitted_beside(_: Path) -> list[Event]:
    """A run with tasks, in which others say something too."""
    flow = Workflow("beside")

    @flow.task
    async def ask(ctx: Context) -> int:
        await ctx.emit("body.said")
        return await ctx.receive("how many?", schema=int)

    async with Engine("memory://") as engine:
        run = await engine.start(flow)
        await run.emit("WorkflowStepStarted", {"step": 1}, task="ask", key="k")
        await run.spend(cost="0.25", task=ask)
        await run.spend(tokens=7)
        await run.log.error("not so good")
        await run.send("ask", 3, by="golden")
        return await events_of(run)


async def idle_session(_: Path) -> list[Event]:
    """Nobody says anything."""
    async with Engine("memory://") as engine:
        return await events_of(await engine.session("s2", idle=0.01))


async def upgraded(folder: Path) -> list[Event]:
    """A later release after a restart: a task is gone that had not begun, two are new, one has another place."""

    def release(version: str) -> Workflow:
        flow = Workflow("release", version)

        @flow.task
        async def items() -> list[int]:
            return [1, 2]

        @flow.task(map="items")
        async def check(items: int) -> int:
            return items

        @flow.task
        async def ask(check: list[int], ctx: Context) -> bool:
            return await ctx.receive("publish?", schema=bool, key="publish")

        @flow.task
        async def publish(ask: bool) -> str:
            return f"published by {version}"

        if version == "1":

            @flow.task
            async def tidy(publish: str) -> None: ...

        else:

            @flow.task(meta={"title": "Tell"})
            async def tell(publish: str) -> str:
                return publish

            @flow.task(map="items", after=[ask])
            async def index(items: int) -> int:
                return items

        return flow

    url = f"sqlite:///{folder}/runs.db"
    async with Engine(url, workflows=[release("1")], grace=0.0) as engine:
        async for event in await engine.start("release", run_id="release"):
            if event.type == "task.waiting":
                break
    async with Engine(url, workflows=[release("2")]) as engine:
        run = await engine.get("release")
        await run.send("ask", True, key="publish", by="golden")
        await run
        return await events_of(run)


Record = Callable[[Path], Awaitable[list[Event]]]

FIRST: tuple[Record, ...] = (
    completed_with_map,
    failed_with_skips,
    cancelled_with_an_abandoned_thread,
    skipped_by_condition,
    recovered,
)
"""Recorded with the first version."""

RUNS: dict[str, Record] = {
    **{record.__name__: record for record in FIRST},
    # 0.2 writes more keys: progress, place, group and others
    **{f"{record.__name__}_2": record for record in (*FIRST, every_type, with_children, questions)},
    **{f"{record.__name__}_2": record for record in (session, emitted_beside, idle_session, upgraded)},
}
"""Name -> how it was recorded, by the version of its time."""


def read(name: str) -> tuple[list[Event], dict[str, object]]:
    """The events of a golden run, and the state they fold to."""
    lines = (FOLDER / f"{name}.jsonl").read_bytes().splitlines()
    return [Event.from_json(line) for line in lines], orjson.loads((FOLDER / f"{name}.json").read_bytes())


async def events_of(run: Run) -> list[Event]:
    """All of them, while the log is open."""
    events = [message async for message in run if isinstance(message, Event)]
    assert replay(run.id, events) == run.state
    return events


def write(name: str, events: list[Event]) -> None:
    """The events as lines, and the state beside them."""
    state = replay(events[0].run_id, events).to_dict()
    (FOLDER / f"{name}.jsonl").write_bytes(b"".join(event.json + b"\n" for event in events))
    (FOLDER / f"{name}.json").write_bytes(orjson.dumps(state, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


async def main(wanted: list[str]) -> None:
    for name, record in RUNS.items():
        if (wanted and name not in wanted) or (FOLDER / f"{name}.jsonl").exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            events = await record(Path(folder))
        write(name, events)
        print(f"recorded {name}: {events[-1].type}, {len(events)} events")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
