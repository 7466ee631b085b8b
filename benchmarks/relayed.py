"""E10: how much later who follows a run hears of an event on another node than on the one that executes it.

Two nodes, each a process, share a log in Redis. On one a body emits 1,000 events a second; on each somebody follows the
run in process. Late is what has passed since the time stamp of an event, by the clock of the machine that both are on.

As a program, ``python -m benchmarks.relayed URL run|follow EVENTS``, it is one of the nodes.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from statistics import median, quantiles
from time import time
from typing import Any, Final

import orjson

from benchmarks.child import Child
from benchmarks.figure import Figure, spread
from benchmarks.redis_log import redis_url
from reactor import Context, Engine, Run, Workflow
from reactor.errors import UnknownRun

RATE: Final = 1_000
"""Events a second."""
TARGET_MS: Final = 5.0


def e10(quick: bool) -> Figure:
    """The median of the rounds' medians; the comparison is a difference, so it has no ratio."""
    rows = [measure(500 if quick else 5_000) for _ in range(1 if quick else 3)]
    later = [row["other"]["p50"] - row["local"]["p50"] for row in rows]
    last = rows[-1]
    return Figure(
        id="E10",
        what=f"an event of {RATE:,} a second on another node, later than where it was made, p50",
        unit="ms",
        **spread(later),
        target=f"≤ {TARGET_MS:g} ms later",
        met=median(later) <= TARGET_MS,
        note=f"where it was made p50 {last['local']['p50']:.2f}, p99 {last['local']['p99']:.2f} ms; "
        f"on the other node p50 {last['other']['p50']:.2f}, p99 {last['other']['p99']:.2f} ms",
        bars={"the same node": median(row["local"]["p50"] for row in rows),
              "another node": median(row["other"]["p50"] for row in rows)},
        details={"rounds": rows},
    )  # fmt: skip


def measure(events: int) -> dict[str, dict[str, float]]:
    """One run of so many events, followed on both nodes; every event must have come once to both."""
    with redis_url() as url, Child.module("relayed", url, "run", str(events)) as runs:
        runs.answer()
        with Child.module("relayed", url, "follow", str(events)) as follows:
            follows.answer()
            runs.tell("go")
            return {"local": runs.answer(60), "other": follows.answer(60)}


# --- the nodes ----------------------------------------------------------------------------------------------------


def ticking(events: int) -> Workflow:
    """Waits for a word, then emits so many events, evenly."""
    flow = Workflow("ticking")

    @flow.task
    async def tick(ctx: Context) -> None:
        await ctx.receive("go?", key="go")
        began = asyncio.get_running_loop().time()
        for number in range(events):
            await ctx.emit("tick.made", {"number": number})
            early = began + number / RATE - asyncio.get_running_loop().time()
            if early > 0:
                await asyncio.sleep(early)

    return flow


async def late(run: Run, events: int) -> dict[str, float]:
    """Milliseconds from each event's time stamp until it is heard."""
    found: list[float] = []
    async for event in run:
        if event.type == "tick.made":
            made = datetime.fromisoformat(event.decode()["time"]).replace(tzinfo=UTC)
            found.append((time() - made.timestamp()) * 1e3)
    if len(found) != events:
        raise AssertionError(f"{len(found)} of {events} events were heard")
    return {"p50": median(found), "p99": quantiles(found, n=100)[-1]}


async def node(url: str, job: str, events: int) -> None:
    async with Engine(url, workflows=[ticking(events)] if job == "run" else []) as engine:
        run = await engine.start("ticking", run_id="r") if job == "run" else await followed(engine)
        hearing = asyncio.ensure_future(late(run, events))
        await asyncio.sleep(0.2)  # it hears what is live by now
        say("ready")
        if job == "run":
            await asyncio.to_thread(sys.stdin.readline)
            await run.send("tick", "go", key="go")
        say(await hearing)
        await asyncio.to_thread(sys.stdin.readline)


async def followed(engine: Engine) -> Run:
    try:
        return await engine.get("r")
    except UnknownRun:
        return await engine.wait_for("r")


def say(answer: Any) -> None:
    print(orjson.dumps(answer).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(node(sys.argv[1], sys.argv[2], int(sys.argv[3])))
