"""What a reader of a tree is told of events that are gone: ``stream.gap`` names just those that it has not seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, UnknownRun, Workflow
from reactor.events.event import Notice
from reactor.runs.positions import START, TreeCursor, TreeEvent
from reactor.runs.tree_events import iterate_tree
from tests.helpers.runs import PATIENCE

kid, top = Workflow("kid"), Workflow("top")


@kid.task
async def say(ctx: Context) -> None:
    """Events in several windows, before and after a question."""
    for number in range(4):
        await ctx.emit("line.said", {"number": number})
    await ctx.receive(str, key="go")
    for number in range(4):
        await ctx.emit("line.said", {"number": number})


@top.task
async def ask(ctx: Context) -> None:
    """Runs a child, then waits."""
    await ctx.run("kid", key="c")
    await ctx.receive(str, key="end")


CHILD = "r.ask.c"


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[kid, top], grace=0) as engine:
        await engine.start("top", run_id="r")
        yield engine


@asynccontextmanager
async def reading(engine: Engine, after: TreeCursor = START) -> AsyncIterator[AsyncIterator[TreeEvent]]:
    """A reader that reads only when it is asked to."""
    async with asyncio.timeout(PATIENCE):
        reader = iterate_tree(await engine.tree_events("r", after))
        try:
            yield reader
        finally:
            await reader.aclose()


async def read_until(reader: AsyncIterator[TreeEvent], run_id: str, type: str) -> list[TreeEvent]:
    """What comes up to the next event of a run of this type."""
    seen: list[TreeEvent] = []
    async for event in reader:
        seen.append(event)
        if (event.message.run_id, event.message.type) == (run_id, type):
            return seen
    raise AssertionError(f"no {type} of {run_id} in {seen}")


async def end_child(engine: Engine) -> None:
    """The child goes on and ends, and the log of its parent says so."""
    async with reading(engine) as other:
        await read_until(other, CHILD, "task.waiting")
        await (await engine.descendant("r", CHILD)).send("say", "go", key="go")
        await read_until(other, "r", "task.waiting")


def seqs_of(events: list[TreeEvent], run_id: str = CHILD) -> list[int]:
    return [event.message.seq for event in events if event.message.run_id == run_id and event.message.seq]


def gaps_of(events: list[TreeEvent]) -> list[tuple[str, Any, Any]]:
    notices = [event.message for event in events if isinstance(event.message, Notice)]
    return [(notice.run_id, notice.data["from"], notice.data["to"]) for notice in notices]


async def test_a_reader_in_the_middle_of_a_deleted_child_is_told_what_it_misses(engine: Engine) -> None:
    """From the event after the last one it has seen to the last one of the child, just before ``child.ended``."""
    async with reading(engine) as reader:
        before = await read_until(reader, CHILD, "task.waiting")
        await end_child(engine)
        await engine.delete(CHILD)
        after = await read_until(reader, "r", "child.ended")
    last = after[-1].message.data["last_seq"]
    seen = seqs_of(before)
    assert seen == [*range(1, len(seen) + 1)]
    assert len(seen) < last
    assert [event.message.type for event in after] == ["stream.gap", "child.ended"]
    assert gaps_of(after) == [(CHILD, len(seen) + 1, last)]


async def test_a_reader_that_has_seen_all_of_a_deleted_child_is_told_no_gap(engine: Engine) -> None:
    """Also one that comes back by the cursor of the last event of the child."""
    async with reading(engine) as reader:
        await read_until(reader, CHILD, "task.waiting")
        await end_child(engine)
        last = (await read_until(reader, CHILD, "run.completed"))[-1]
        await engine.delete(CHILD)
        assert gaps_of(await read_until(reader, "r", "child.ended")) == []
    async with reading(engine, last.cursor) as reader:
        assert [event.message.type for event in await read_until(reader, "r", "child.ended")] == ["child.ended"]


async def test_a_reader_that_comes_back_is_never_left_in_silence_of_a_deleted_child(engine: Engine) -> None:
    """From every cursor, the seqs that it has seen before, those it sees and those of the gap are all of the child."""
    await end_child(engine)
    async with reading(engine) as reader:
        whole = await read_until(reader, "r", "child.ended")
    await engine.delete(CHILD)
    last = whole[-1].message.data["last_seq"]
    for at, event in enumerate(whole[:-1]):
        async with reading(engine, event.cursor) as reader:
            rest = await read_until(reader, "r", "child.ended")
        told = {seq for run_id, start, end in gaps_of(rest) if run_id == CHILD for seq in range(start, end + 1)}
        assert {*seqs_of(whole[: at + 1]), *told} == {*range(1, last + 1)}, f"after {event.cursor}"


async def test_a_reader_that_comes_back_and_reads_on_is_told_exactly_what_it_misses(engine: Engine) -> None:
    """It has read some of the child since, so the gap begins behind that."""
    async with reading(engine) as reader:
        first = (await read_until(reader, CHILD, "run.started"))[-1]
    async with reading(engine, first.cursor) as reader:
        seen = seqs_of(await read_until(reader, CHILD, "task.waiting"))
        await end_child(engine)
        await engine.delete(CHILD)
        after = await read_until(reader, "r", "child.ended")
    assert gaps_of(after) == [(CHILD, seen[-1] + 1, after[-1].message.data["last_seq"])]


async def test_a_reader_in_the_middle_of_a_trimmed_run_is_told_what_it_misses(tmp_path: Path) -> None:
    """Not what it has seen before."""
    async with Engine(f"sqlite:///{tmp_path}/trimmed.db", workflows=[kid, top], grace=0) as engine:
        await engine.start("top", run_id="r")
        log: Any = engine.log
        async with reading(engine) as reader:
            seen = seqs_of(await read_until(reader, CHILD, "task.waiting"))
            await end_child(engine)
            cut = await log.trim(CHILD, 2)
            after = await read_until(reader, CHILD, "run.completed")
    assert gaps_of(after) == [(CHILD, seen[-1] + 1, cut)]
    assert seqs_of(after)[0] == cut + 1


async def test_the_cursor_of_a_gap_skips_nothing(engine: Engine) -> None:
    """What follows the gap follows its cursor, too."""
    await end_child(engine)
    await engine.delete(CHILD)
    async with reading(engine) as reader:
        whole = await read_until(reader, "r", "child.ended")
    gap = whole[-2]
    assert isinstance(gap.message, Notice)
    async with reading(engine, gap.cursor) as reader:
        assert (await read_until(reader, "r", "child.ended"))[-1] == whole[-1]


async def test_a_reader_of_a_deleted_tree_is_told(engine: Engine) -> None:
    """UnknownRun, not an end as of a run that was read to its last event."""
    async with reading(engine) as reader:
        await read_until(reader, CHILD, "task.waiting")
        await end_child(engine)
        run = await engine.get("r")
        await run.send("ask", "end", key="end")
        await run
        await engine.delete("r")
        with pytest.raises(UnknownRun):
            await read_until(reader, "r", "run.completed")


async def test_a_cursor_that_was_never_given_skips_nothing_that_was_not_sent(engine: Engine) -> None:
    """A part above the size of its window: the whole window follows. Above all positions: a gap, then everything."""
    await end_child(engine)
    run = await engine.get("r")
    await run.send("ask", "end", key="end")
    await run
    whole = [event async for event in await engine.tree_events("r")]
    for position in sorted({event.position for event in whole}):
        window = [event for event in whole if event.position == position]
        rest = [event for event in whole if event.position >= position]
        for part in (len(window), len(window) + 1, 999_999):
            cursor = TreeCursor(position - 1, part)
            assert [event async for event in await engine.tree_events("r", cursor)] == rest, f"after {cursor}"
    gap, *rest = [event async for event in await engine.tree_events("r", whole[-1].position + 5)]
    assert (gap.message.type, gap.message.data["reason"]) == ("stream.gap", "ahead")
    assert rest == whole


async def test_a_cursor_is_kept_as_text(engine: Engine) -> None:
    """``str(cursor)`` is the id of ``?children=1``, and leads on after its event, as the cursor does."""
    await end_child(engine)
    async with reading(engine) as reader:
        whole = await read_until(reader, "r", "child.ended")
    for at, event in enumerate(whole[:-1]):
        text = str(event.cursor)
        assert text == (f"{event.position}.{event.part}" if event.part else f"{event.position}")
        assert TreeCursor.of(text) == event.cursor
        for after in (text, event.cursor, *([] if event.part else [event.position])):
            reader = iterate_tree(await engine.tree_events("r", after))
            assert await read_until(reader, "r", "child.ended") == whole[at + 1 :]
            await reader.aclose()


WRONG: list[tuple[Any, type[Exception]]] = [
    ("", ValueError),
    ("x", ValueError),
    ("7.", ValueError),
    ("-1", ValueError),
    ("0.2", ValueError),
    ("TreeCursor(position=7, part=0)", ValueError),
    (-1, ValueError),
    (10**30, ValueError),
    (TreeCursor(0, -1), ValueError),
    (True, TypeError),
    (None, TypeError),
    (1.5, TypeError),
    ((7, 0), TypeError),
]


@pytest.mark.parametrize(("after", "error"), WRONG)
async def test_what_is_no_cursor_is_refused_at_the_call(after: Any, error: type[Exception]) -> None:
    """With one sentence that says what to give instead."""
    async with Engine(workflows=[kid, top], grace=0) as engine:
        await engine.start("top", run_id="r")
        with pytest.raises(error, match=r"^after .*: give the cursor of an event .* str\(cursor\)"):
            await engine.tree_events("r", after)
