"""A child run that has ended may be gone: a body that runs again gets from its own log what it got at first."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from reactor import Context, Engine, Retry, RunCancelled, RunExists, RunFailed, Workflow
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from tests.events.test_restoring import LEAVES, looks_the_same
from tests.helpers.crash import crashed_log, read_with_blobs
from tests.helpers.events import of_type, only
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE, full_log, result, wait_until


class Offer(BaseModel):
    price: Decimal
    until: datetime | None = None


class Witness:
    """How often bodies of child runs ran, and what the body that asked was given, time after time."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.given: dict[str, list[Any]] = {}
        self.go_on = asyncio.Event()

    def note(self, who: str, value: Any) -> None:
        self.given.setdefault(who, []).append(value)


def worker(seen: Witness, ends: str = "completed", size: int = 1) -> Workflow:
    """A child run: outputs of several types, one of them of a map; or it fails, or is cancelled."""
    flow = Workflow("work")

    @flow.task
    async def offer(n: int, ctx: Context) -> Offer:
        seen.ran[ctx.run_id] += 1
        await ctx.spend(cost="0.5")
        if ends == "failed":
            raise ValueError("no such thing")
        if ends == "cancelled":
            raise asyncio.CancelledError
        return Offer(price=Decimal("1.10"), until=datetime(2026, 1, n, tzinfo=ZoneInfo("Europe/Berlin")))

    flow.task(lambda: "x" * size, name="text")
    flow.task(lambda: [0, 1, 2, 3], name="items")

    @flow.task(map="items")
    async def each(items: int) -> Decimal | int:
        return Decimal(items) if items % 2 else items

    return flow


async def ask(seen: Witness, ctx: Context, workflow: str, n: int) -> Any:
    try:
        value = await ctx.run(workflow, {"n": n})
    except (RunFailed, RunCancelled) as error:
        value = (type(error), str(error), getattr(error, "errors", None))
    seen.note(ctx.task_id if workflow == "work" else "top", value)
    return value


def family(seen: Witness, shape: str) -> list[Workflow]:
    """The workflows of a run that asks for ``work``: by itself, through a child run, or from a mapped task."""
    middle = Workflow("middle")

    @middle.task
    async def pass_on(n: int, ctx: Context) -> Decimal:
        return (await ask(seen, ctx, "work", n))["offer"].price

    top = Workflow("top")
    top.task(lambda: [1, 2], name="numbers")

    async def body(ctx: Context, numbers: Any) -> str:
        await ask(seen, ctx, "middle" if shape == "grandchild" else "work", numbers if shape == "map" else 1)
        await seen.go_on.wait()
        return "done"

    top.task(body, name="body", map="numbers" if shape == "map" else None)
    return [top, middle]


async def ids_in(log: SqliteLog | MemoryLog) -> list[str]:
    return [record.run_id for record in await log.records(status=None, workflow=None, before=None, limit=99)][::-1]


@pytest.mark.parametrize("shape", ["child", "grandchild", "map"])
@pytest.mark.parametrize(
    ("options", "is_kept"),
    [({"keep_days": 0}, False), ({"keep_runs": 0}, True), ({"keep_days": 0, "keep_runs": 0}, False), ({}, False)],
    ids=["keep_days", "keep_runs", "both", "by hand"],
)
async def test_after_a_restart_no_child_runs_again(
    shape: str, options: dict[str, Any], is_kept: bool, tmp_path: Path
) -> None:
    """However its log lets go of ended children, the body gets what it got at first, and they cost what they cost."""
    path, seen = tmp_path / "runs.db", Witness()
    flows = [*family(seen, shape), worker(seen)]
    log = SqliteLog(path, **options)
    waiting = 2 if shape == "map" else 1
    async with Engine(log, workflows=flows, grace=0) as engine:
        run = await engine.start("top", run_id="r")
        await wait_until(lambda: sum(map(len, seen.given.values())) == waiting * (2 if shape == "grandchild" else 1))
        if options:
            await log.expire()
        else:
            for child in (await ids_in(log))[1:]:
                await engine.delete(child)
        assert (await ids_in(log) == ["r"]) is not is_kept
        cost = run.state.cost
    seen.go_on.set()
    async with Engine(SqliteLog(path, **options), workflows=flows) as engine:
        run = await engine.get("r")
        await asyncio.wait_for(run.ended(), PATIENCE)
        assert run.status == "completed"
        assert run.state.cost == cost == Decimal("0.5") * waiting
    assert set(seen.ran.values()) == {1}
    assert len(seen.ran) == waiting
    for who, given_ in seen.given.items():
        if who in ("top", "body", "body[0]", "body[1]"):
            assert len(given_) == 2, who
        assert all(looks_the_same(value, given_[0]) for value in given_), who


@pytest.mark.parametrize("last", ["child.started", "child.ended"])
async def test_a_child_whose_end_its_parent_does_not_know_yet_is_kept(last: str, tmp_path: Path) -> None:
    """A crash came in between, or the log is of a version that wrote no such events."""
    seen = Witness()
    seen.go_on.set()
    flows = [*family(seen, "child"), worker(seen)]
    async with Engine(MemoryLog(), workflows=flows) as engine:
        await result(await engine.start("top", run_id="r"))
        own, childs = [await read_with_blobs(engine.log, run_id) for run_id in ("r", "r.body.1")]
    seen.ran.clear()
    prefix = own[: [event.type for event in own].index(last)]
    left = await crashed_log("sqlite", prefix, tmp_path, childs)
    log = SqliteLog(left.path, keep_days=0, keep_runs=0)  # type: ignore[attr-defined]
    async with Engine(log, workflows=flows) as engine:  # opening it lets go of what it may
        await asyncio.wait_for((await engine.get("r")).ended(), PATIENCE)
    assert seen.ran == {}
    assert looks_the_same(*seen.given["body"])


@pytest.mark.parametrize("ends", ["completed", "failed", "cancelled"])
@pytest.mark.parametrize("size", [1, 40_000])
async def test_a_body_that_is_tried_again_gets_the_same_from_a_child_that_memory_has_forgotten(
    ends: str, size: int
) -> None:
    """The bound of the log in memory is none for the body: same outputs of same types, or the same error."""
    seen = Witness()
    top = Workflow("top")

    @top.task(retry=Retry(attempts=3, delay=0))
    async def body(ctx: Context) -> str:
        for n in (1, 2):  # the second takes the place of the first
            await ask(seen, ctx, "work", n)
        assert await ids_in(log) == ["r", "r.body.2"]
        assert ctx.attempt == 3
        return "done"

    log = MemoryLog(max_ended=1)
    async with Engine(log, workflows=[top, worker(seen, ends, size)]) as engine:
        run = await engine.start("top", run_id="r")
        assert await result(run) == {"body": "done"}
        events = await full_log(engine, run)
    assert seen.ran == {"r.body.1": 1, "r.body.2": 1}
    at_first, again, at_last = (seen.given["body"][i : i + 2] for i in (0, 2, 4))
    assert looks_the_same(again, at_first)
    assert looks_the_same(at_last, at_first)
    assert len(of_type(events, "child.ended")) == 2


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LEAVES).flatmap(lambda leaf: st.tuples(st.just(leaf[0]), leaf[1])), st.booleans())
def test_every_type_of_output_comes_back_from_a_child_that_is_gone(given: tuple[Any, Any], is_mapped: bool) -> None:
    """Over the value types, alone and in a map: the same again, or the child said that it cannot be given back."""
    annotation, value = given
    seen = Witness()
    child = Workflow("child")

    async def make():  # type: ignore[no-untyped-def]
        return value

    async def each(items):  # type: ignore[no-untyped-def]
        return value if items else 0

    make.__annotations__["return"] = each.__annotations__["return"] = annotation
    if is_mapped:
        child.task(lambda: [0, 1, 1, 0], name="items")
        child.task(each, name="made", map="items")
    else:
        child.task(make, name="made")
    top = Workflow("top")
    is_lost: list[bool] = []

    @top.task(retry=Retry(attempts=2, delay=0))
    async def body(ctx: Context) -> None:
        seen.note("body", await ctx.run(child))
        run = await engine.get(ctx.run_id)
        is_lost.extend(task.recoverable is False for task in run.state.tasks.values())
        if ctx.attempt == 1:
            states = [e async for e in (await engine.get("r.body.1"))] if "r.body.1" in await ids_in(log) else []
            is_lost.extend(e.data.get("recoverable") is False for e in states if e.type == "task.completed")
            await log.delete("r.body.1")
            raise ConnectionError

    async def main() -> None:
        nonlocal engine
        async with Engine(log) as engine:
            await result(await engine.start(top, run_id="r"))

    log, engine = MemoryLog(), Engine()
    asyncio.run(main())
    first, second = seen.given["body"]
    assert any(is_lost) or looks_the_same(first, second), (first, second)


async def test_what_needs_more_than_there_is_room_for_keeps_its_child(tmp_path: Path) -> None:
    """The log of the parent does not say all of the outputs: the child stays until the parent has ended."""
    child, top = Workflow("child"), Workflow("top")
    go_on = asyncio.Event()
    given_: list[Any] = []
    child.task(lambda: list(range(400)), name="items")

    @child.task(map="items")
    async def each(items: int) -> Offer:
        return Offer(price=Decimal(items), until=None) if items % 2 else Offer(price=Decimal(items))

    @top.task(retry=Retry(attempts=2, delay=0))
    async def body(ctx: Context) -> None:
        given_.append(await ctx.run("child"))
        await go_on.wait()
        if ctx.attempt == 1:
            raise ConnectionError

    log = SqliteLog(tmp_path / "runs.db", keep_days=0)
    async with Engine(log, workflows=[child, top]) as engine:
        run = await engine.start("top", run_id="r")
        await wait_until(lambda: given_)
        await log.expire()
        assert await ids_in(log) == ["r", "r.body.1"]
        go_on.set()
        events = await full_log(engine, run)
        assert only(events, "child.ended").data["typed_outputs"] is None
        await log.expire()
        assert await ids_in(log) == []
    assert looks_the_same(given_[1], given_[0])


async def test_outputs_that_nobody_can_restore_any_more_are_not_handed_on_as_something_else() -> None:
    """The annotation takes them no longer: the body is told, and does not get their JSON in place of them."""
    child, top = Workflow("child"), Workflow("top")
    is_open = True

    class Picky(BaseModel):
        n: int

        def model_post_init(self, context: Any) -> None:
            if not is_open:
                raise ValueError("no more")

    async def make():  # type: ignore[no-untyped-def]
        return Picky(n=1)

    make.__annotations__["return"] = Picky
    child.task(make)

    @top.task(retry=Retry(attempts=2, delay=0))
    async def body(ctx: Context) -> str:
        nonlocal is_open
        if ctx.attempt == 2:
            is_open = False
            with pytest.raises(RunExists, match="does not have its outputs"):
                await ctx.run(child)
            return "told"
        await ctx.run(child)
        raise ConnectionError

    with log_lines() as lines:
        async with Engine(MemoryLog(max_ended=0)) as engine:
            assert await result(await engine.start(top)) == {"body": "told"}
    assert [line for line in lines if line["event"] == "outputs of a child run cannot be restored"]
