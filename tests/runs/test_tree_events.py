"""The events of a tree of runs, in the order of their commits: none lost, none twice, the same from every cursor on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, LogLost, UnknownRun, Workflow
from reactor.events.event import Event, Notice
from reactor.events.vocabulary import TERMINAL
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.runs.positions import START, TreeCursor, TreeEvent
from reactor.runs.tree_events import iterate_tree
from reactor.testing import FaultyLog, read_all
from tests.helpers.jittered_log import JITTERS, JitteredLog
from tests.helpers.runs import PATIENCE, wait_until

Shape = list[Any]
"""The child runs of a run, each with its own."""

SHAPES = st.recursive(st.just([]), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=8)
TURNS = st.lists(st.integers(0, 4), min_size=1, max_size=7)

tree = Workflow("tree")


@tree.task
async def grow(ctx: Context, shape: list[Any], turns: list[int], together: bool) -> int:
    """Says something between child runs; some of them run at once, one after the other otherwise."""

    async def branch(at: int, child: Shape) -> int:
        for _ in range(turns[at % len(turns)]):
            await asyncio.sleep(0)
        ctx.emit("branch.begins", {"at": at})
        rest = turns[at % len(turns) :] + turns[: at % len(turns)]
        outputs = await ctx.run("tree", {"shape": child, "turns": rest, "together": together})
        await ctx.emit("branch.ended", {"at": at})
        return outputs["grow"]

    if together:
        return 1 + sum(await asyncio.gather(*(branch(at, child) for at, child in enumerate(shape))))
    return 1 + sum([await branch(at, child) for at, child in enumerate(shape)])


def given_to(shape: Shape, turns: list[int] | None = None, *, together: bool = False) -> dict[str, Any]:
    """The input of a run of the tree."""
    return {"shape": shape, "turns": turns or [1], "together": together}


def size_of(shape: Shape) -> int:
    return 1 + sum(map(size_of, shape))


async def collect(engine: Engine, run_id: str, after: TreeCursor = START) -> list[TreeEvent]:
    """All that comes from a cursor on."""
    events = await engine.tree_events(run_id, after)
    return [event async for event in iterate_tree(events)]


async def check_tree(engine: Engine, found: list[TreeEvent], run_id: str = "r") -> None:
    """Each event of each run of the tree once, in its order; parents say it before their children do it."""
    by_run: dict[str, list[Any]] = {}
    for event in found:
        by_run.setdefault(event.message.run_id, []).append(event.message)
    records = await engine.list(root=(await engine.log.record(run_id)).root, limit=1_000)
    below = {record.run_id for record in records if record.run_id.startswith(run_id)}
    assert by_run.keys() == below
    for id, events in by_run.items():
        assert events == await read_all(engine.log, id), id
    begun, ended = {run_id}, set[str]()
    for event in found:
        message = event.message
        assert message.run_id in begun, f"{message!r} before its child.started"
        if message.type == "child.started":
            begun.add(message.data["child_run"])
        elif message.type == "child.ended":
            assert message.data["child_run"] in ended, f"{message!r} before the child has ended"
        elif message.type in TERMINAL:
            ended.add(message.run_id)
    assert found[-1].message.type in TERMINAL
    assert found[-1].message.run_id == run_id
    places = [(event.position, event.part or 10**9) for event in found]
    assert places == sorted(set(places)), "cursors only grow"


@asynccontextmanager
async def engine_on(log: Any) -> AsyncIterator[Engine]:
    async with Engine(log, workflows=[tree], grace=0) as engine:
        yield engine


async def grow_and_follow(log: Any, shape: Shape, turns: list[int], together: bool) -> None:
    """Followers that begin before, meanwhile and afterwards see the same; so does one from each cursor on."""
    async with engine_on(log) as engine:
        input = given_to(shape, turns, together=together)
        run = await engine.start("tree", input, run_id="r")
        early = asyncio.ensure_future(collect(engine, "r"))
        for _ in range(sum(turns)):
            await asyncio.sleep(0)
        late = asyncio.ensure_future(collect(engine, "r"))
        assert await asyncio.wait_for(run, PATIENCE) == {"grow": size_of(shape)}
        whole = await collect(engine, "r")
        assert await asyncio.wait_for(early, PATIENCE) == await asyncio.wait_for(late, PATIENCE) == whole
        await check_tree(engine, whole)
        for at, event in enumerate(whole):
            assert await collect(engine, "r", event.cursor) == whole[at + 1 :], f"after {event.cursor}"


@given(shape=SHAPES, turns=TURNS, together=st.booleans(), jitters=JITTERS)
@settings(max_examples=25, deadline=None)
def test_every_follower_of_a_random_tree_sees_the_same_from_every_cursor_on(
    shape: Shape, turns: list[int], together: bool, jitters: list[tuple[int, ...]]
) -> None:
    """On a log in memory, whose commits and answers come late and early."""
    asyncio.run(grow_and_follow(JitteredLog(MemoryLog(), jitters), shape, turns, together))


@given(shape=SHAPES, turns=TURNS, together=st.booleans())
@settings(max_examples=8, deadline=None)
def test_the_same_holds_on_a_file(
    tmp_path_factory: pytest.TempPathFactory, shape: Shape, turns: list[int], together: bool
) -> None:
    """With commits of several runs at once; and for a second engine on the same file."""
    path = tmp_path_factory.mktemp("tree") / "runs.db"

    async def both() -> None:
        await grow_and_follow(SqliteLog(path), shape, turns, together)
        async with engine_on(SqliteLog(path)) as engine:
            await check_tree(engine, await collect(engine, "r"))

    asyncio.run(both())


async def test_the_stream_of_a_run_in_the_middle_has_that_run_and_what_is_below(tmp_path: Path) -> None:
    """Its end is the end of that run; the cursor is the same as in the stream of the whole tree."""
    async with engine_on(SqliteLog(tmp_path / "runs.db")) as engine:
        input = given_to([[[], []], [[]]], [1], together=True)
        await asyncio.wait_for(await engine.start("tree", input, run_id="r"), PATIENCE)
        whole = await collect(engine, "r")
        middle = await collect(engine, "r.grow.1")
        assert middle == [event for event in whole if event.message.run_id.startswith("r.grow.1")]
        await check_tree(engine, middle, "r.grow.1")
        for event in whole:
            rest = [later for later in middle if later.position > event.position]
            assert await collect(engine, "r.grow.1", TreeCursor(event.position)) == rest


async def test_other_runs_of_the_same_log_are_not_in_it(tmp_path: Path) -> None:
    """Though their windows lie between those of the tree."""
    async with engine_on(SqliteLog(tmp_path / "runs.db")) as engine:
        input = given_to([[], [[]]], [2, 0, 1])
        runs = [await engine.start("tree", input, run_id=f"{name}") for name in ("r", "s", "t")]
        for run in runs:
            await asyncio.wait_for(run, PATIENCE)
        for name in ("r", "s", "t"):
            await check_tree(engine, await collect(engine, name), name)


async def test_a_follower_goes_on_across_a_restart(tmp_path: Path) -> None:
    """Nothing is sent twice: cut in the middle of a tree, it has the rest from the next engine on the same file."""
    hold = asyncio.Event()
    leaf, middle, top = Workflow("leaf"), Workflow("middle"), Workflow("top")

    @leaf.task
    async def wait(ctx: Context) -> int:
        await ctx.emit("leaf.waits")
        await hold.wait()
        return 1

    @middle.task
    async def ask_leaf(ctx: Context) -> Any:
        return await ctx.run("leaf")

    @top.task
    async def ask_middle(ctx: Context) -> Any:
        return await ctx.run("middle")

    url, flows = f"sqlite:///{tmp_path}/runs.db", [leaf, middle, top]
    seen: list[TreeEvent] = []
    async with Engine(url, workflows=flows, grace=0) as engine:
        await engine.start("top", run_id="r")
        async for event in iterate_tree(await engine.tree_events("r")):
            seen.append(event)
            if event.message.type == "leaf.waits":
                break
    hold.set()
    async with Engine(url, workflows=flows, grace=0) as engine:
        seen += await asyncio.wait_for(collect(engine, "r", seen[-1].cursor), PATIENCE)
        assert seen == await collect(engine, "r")
        await check_tree(engine, seen)


async def test_a_stream_ends_with_an_error_where_the_log_is_lost() -> None:
    """As that of the run alone."""
    log = FaultyLog(MemoryLog(), fails=["r"], after=3)
    async with engine_on(log) as engine:
        await engine.start("tree", given_to([[]]), run_id="r")
        with pytest.raises(LogLost):
            await asyncio.wait_for(collect(engine, "r"), PATIENCE)
        with pytest.raises(UnknownRun):
            await collect(engine, "nobody")


async def test_what_was_trimmed_or_deleted_is_told(tmp_path: Path) -> None:
    """``stream.gap`` names the run: in place of the trimmed beginning of one, and of a whole child run that is gone."""
    async with engine_on(SqliteLog(tmp_path / "runs.db")) as engine:
        log: Any = engine.log
        input = given_to([[], [], []])
        await asyncio.wait_for(await engine.start("tree", input, run_id="r"), PATIENCE)
        whole = await collect(engine, "r")
        cut = await log.trim("r.grow.1", 2)
        await engine.delete("r.grow.2")
        left = await collect(engine, "r")
        gone = len(await read_all(log, "r.grow.3"))
    gaps = [event for event in left if isinstance(event.message, Notice)]
    assert [(gap.message.run_id, gap.message.data) for gap in gaps] == [
        ("r.grow.1", {"from": 1, "to": cut, "reason": "trimmed"}),
        ("r.grow.2", {"from": 1, "to": gone, "reason": "trimmed"}),
    ]
    kept = [
        event
        for event in whole
        if event.message.run_id != "r.grow.2" and not (event.message.run_id == "r.grow.1" and event.message.seq <= cut)
    ]
    assert [event for event in left if isinstance(event.message, Event)] == kept
    assert left[left.index(gaps[1]) + 1].message.type == "child.ended"


async def test_what_a_log_in_memory_has_trimmed_is_told() -> None:
    """Also in the middle of a window; the cursors of what is left are those it always had."""
    talker = Workflow("talker")

    @talker.task
    async def talk(ctx: Context) -> None:
        for number in range(60):
            await ctx.emit("line.said", {"number": number})
            if number % 7 == 0:
                await ctx.committed()

    log = MemoryLog(max_events=25)
    async with Engine(log, workflows=[talker]) as engine:
        run = await engine.start("talker", run_id="r")
        early = asyncio.ensure_future(collect(engine, "r"))
        await asyncio.wait_for(run, PATIENCE)
        whole = await asyncio.wait_for(early, PATIENCE)
        gap, *rest = await collect(engine, "r")
        assert isinstance(gap.message, Notice)
        assert gap.message.data["to"] + 1 == rest[0].message.seq
        assert rest == whole[-len(rest) :]
        for at, event in enumerate(rest):
            assert await collect(engine, "r", event.cursor) == rest[at + 1 :]


async def test_a_cursor_of_another_log_is_noticed(tmp_path: Path) -> None:
    """One above all positions of the tree is ahead, before and after its end; every cursor that was given is not."""
    async with engine_on(SqliteLog(tmp_path / "runs.db")) as engine:
        await (await engine.start("tree", given_to([[]]), run_id="r"))
        whole = await collect(engine, "r")
        last = whole[-1].position
        for event in [*whole, TreeEvent(whole[0].message, 0, 0)]:
            assert not await (await engine.tree_events("r", event.cursor)).is_ahead()
        for cursor in (TreeCursor(last + 1), TreeCursor(last, 3), TreeCursor(10**9)):
            assert await (await engine.tree_events("r", cursor)).is_ahead()
        assert [
            await (await engine.tree_events("r", event.cursor)).has_seen_all() for event in (whole[-2], whole[-1])
        ] == [False, True]


async def test_followers_of_one_tree_cost_the_runs_of_others_nothing(tmp_path: Path) -> None:
    """They are woken by their own tree alone, and forgotten when they stop."""
    async with engine_on(SqliteLog(tmp_path / "runs.db")) as engine:
        woken: list[int] = []
        gate = asyncio.Event()
        holds = Workflow("holds")

        @holds.task
        async def hold(ctx: Context) -> None:
            await gate.wait()

        run = await engine.start(holds, run_id="r")
        events = await engine.tree_events("r")
        stop = events.watch(lambda: woken.append(1))
        await wait_until(lambda: run.state.seq >= 2)
        woken.clear()
        await (await engine.start("tree", given_to([[]]), run_id="s"))
        assert woken == []
        gate.set()
        await asyncio.wait_for(run, PATIENCE)
        assert woken
        stop()
        assert not engine.tenant("").runs.watchers  # type: ignore[reportPrivateUsage]
