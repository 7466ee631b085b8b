"""A workflow of about 300 tasks that is killed a lot: bodies note that they ran, and check what they are given."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reactor import Context, Workflow
from reactor.definition.task import Task

WIDTH = 100
LAYERS = 10
LAYER = 10

killed = Workflow("killed")


@dataclass
class Point:
    x: int
    y: tuple[int, str]


def note(journal: str, task_id: str) -> None:
    """One line, one write: whole although the process is killed in between."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, f"{os.getpid()} {task_id}\n".encode())
    os.close(descriptor)


def noted(journal: Path) -> list[tuple[int, str]]:
    """(process, task) of every body that ran, in order."""
    if not journal.exists():
        return []
    return [(int(pid), task) for pid, task in (line.split() for line in journal.read_text().splitlines())]


async def worked(ctx: Context, journal: str, milliseconds: float = 5) -> None:
    note(journal, ctx.task_id)
    await asyncio.sleep(milliseconds / 1000)


@killed.task
async def items(journal: str, ctx: Context) -> list[int]:
    await worked(ctx, journal)
    return list(range(WIDTH))


@killed.task(map="items", concurrency=3)
async def measured(items: int, journal: str, ctx: Context) -> tuple[int, str]:
    await worked(ctx, journal, 35)
    return (items, str(items))


@killed.task(map="measured", concurrency=3)
async def paired(measured: tuple[int, str], journal: str, ctx: Context) -> int:
    assert type(measured) is tuple
    assert measured == (ctx.map_index, str(ctx.map_index))
    await worked(ctx, journal, 30)
    return measured[0]


@killed.task
def point(items: list[int], journal: str, ctx: Context) -> Point:
    note(journal, ctx.task_id)
    time.sleep(0.02)
    return Point(len(items), (1, "one"))


@killed.task
async def opaque(journal: str, ctx: Context):  # type: ignore[no-untyped-def]  # nothing restores a set
    await worked(ctx, journal, 30)
    return {1, 2, 3}


@killed.task(when=lambda items: len(items) < WIDTH)
async def left_out(items: list[int], journal: str, ctx: Context) -> None:
    raise AssertionError


@killed.task
async def fails(items: list[int], journal: str, ctx: Context) -> int:
    await worked(ctx, journal, 40)
    raise ValueError("told to fail")


@killed.task(on_upstream_failure="run")
async def rescued(fails: int | None, journal: str, ctx: Context) -> str:
    assert fails is None
    assert ctx.upstreams["fails"].error == {"type": "ValueError", "message": "told to fail"}
    await worked(ctx, journal)
    return "rescued"


def layered() -> list[str]:
    """LAYERS layers of LAYER tasks; each takes two of the layer before. Every seventh is a ``def``. The last names."""
    before: list[str] = []
    for layer in range(LAYERS):
        names = [f"l{layer}_{i}" for i in range(LAYER)]
        for i, name in enumerate(names):
            needs = {"a": before[i], "b": before[(i + 1) % LAYER]} if before else {}
            body = in_thread if (layer * LAYER + i) % 7 == 0 else on_loop
            killed.task(body, name=name, needs=needs)
        before = names
    return before


async def on_loop(journal: str, ctx: Context, a: int = 0, b: int = 0) -> int:
    await worked(ctx, journal, 90)
    return a + b + 1


def in_thread(journal: str, ctx: Context, a: int = 0, b: int = 0) -> int:
    note(journal, ctx.task_id)
    time.sleep(0.09)
    return a + b + 1


LAST = layered()


@killed.task(needs={"one": LAST[0]}, after=LAST)
async def late(
    one: int,
    paired: list[int],
    measured: list[tuple[int, str]],
    point: Point,
    opaque: Any,
    rescued: str,
    journal: str,
    ctx: Context,
) -> dict[str, Any]:
    """Fails if anything it is given is not what was made."""
    assert one == 2**LAYERS - 1
    assert paired == list(range(WIDTH))
    assert measured == [(i, str(i)) for i in range(WIDTH)]
    assert {type(pair) for pair in measured} == {tuple}
    assert type(point) is Point
    assert point == Point(WIDTH, (1, "one"))
    assert type(opaque) is set
    assert opaque == {1, 2, 3}
    assert ctx.upstreams["rescued"].output == rescued == "rescued"
    await worked(ctx, journal)
    return {"sum": sum(paired), "one": one}


NOT_RECOVERABLE: dict[str, Task[..., Any]] = {"opaque": late}
"""What may run again, and who needs it."""
EXPECTED = {"late": {"sum": sum(range(WIDTH)), "one": 2**LAYERS - 1}}


# --- many events, for those who follow ---------------------------------------------------------------------------

followed = Workflow("followed")
STEPS = 250
EVENTS_EACH = 18


@followed.task
async def steps() -> list[int]:
    return list(range(STEPS))


@followed.task(map="steps", concurrency=2)
async def talk(steps: int, ctx: Context, pause: float = 0.005) -> int:
    for i in range(EVENTS_EACH):
        await ctx.emit("step.made", {"step": steps, "i": i, "text": "ü \u2028 \n" * (i % 5)})
        if i % 9 == 0:
            await asyncio.sleep(pause)
    return steps
