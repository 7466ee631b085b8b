"""The events of all runs in the order of their commits: none lost, none twice, the same from every cursor on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, Workflow, bounds
from reactor.errors import LogUnavailable
from reactor.events.event import Notice
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite import whole
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.order import Committed, Removed
from reactor.runs.all_events import AllEvents
from reactor.runs.positions import START, TreeEvent
from reactor.testing import WHOLE_LAWS, LogAround, read_all
from reactor.testing.log_laws import completed, started
from reactor.testing.log_laws import event as an_event
from reactor.testing.store_laws import WholeLaw
from tests.helpers.runs import PATIENCE

talk, pair = Workflow("talk"), Workflow("pair")


@talk.task
async def say(ctx: Context, n: int = 3) -> None:
    """Says something in several windows."""
    for number in range(n):
        await ctx.emit("line.said", {"number": number})
        await ctx.committed()


@pair.task
async def two(ctx: Context) -> None:
    """Two runs below it."""
    await asyncio.gather(ctx.run("talk", {}), ctx.run("talk", {"n": 2}))


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[talk, pair], grace=0) as engine:
        yield engine


async def read_until(events: AllEvents, done: Any) -> list[TreeEvent]:
    """What comes until ``done`` of all that was seen."""
    woken = asyncio.Event()
    stop = events.watch(woken.set)
    seen: list[TreeEvent] = []
    try:
        async with asyncio.timeout(PATIENCE):
            if (ahead := await events.begin()) is not None:
                seen.append(TreeEvent(ahead, *START))
            while True:
                woken.clear()
                while (found := await events.read()) or events.is_behind:
                    seen += found
                if done(seen):
                    return seen
                await woken.wait()
    finally:
        stop()


async def everything(engine: Engine, after: Any = START, **selection: Any) -> list[TreeEvent]:
    """All that is there now."""
    return await read_until(engine.all_events(after, **selection), lambda seen: True)


async def grow(engine: Engine) -> list[str]:
    """Some runs that have ended, at once and one after the other."""
    runs = [
        await engine.start("pair", run_id="p"),
        await engine.start("talk", run_id="t", meta={"customer": "c1", "n": 7}),
    ]
    for run in runs:
        await run
    await (await engine.start("talk", {"n": 1}, run_id="late", meta={"customer": "c2"}))
    return [record.run_id for record in await engine.list(limit=100)]


def key_of(event: TreeEvent) -> tuple[str, int | None]:
    return event.message.run_id, event.message.seq


async def test_every_event_of_every_run_comes_once_in_the_order_of_its_run(engine: Engine) -> None:
    """Live and afterwards the same; from the cursor of any event on exactly the rest."""
    live = asyncio.ensure_future(
        read_until(engine.all_events(), lambda seen: seen and key_of(seen[-1])[0] == "late" and seen[-1].part == 0
                   and seen[-1].message.type == "run.completed")
    )  # fmt: skip
    await asyncio.sleep(0)
    ids = await grow(engine)
    whole_log = await everything(engine)
    assert await live == whole_log
    assert len(ids) == 5
    for run_id in ids:
        assert [e.message for e in whole_log if e.message.run_id == run_id] == await read_all(engine.log, run_id)
    places = [(e.position, e.part or 10**9) for e in whole_log]
    assert places == sorted(set(places))
    for at, event in enumerate(whole_log):
        assert await everything(engine, str(event.cursor)) == whole_log[at + 1 :], f"after {event.cursor}"


@pytest.mark.parametrize(
    ("selection", "runs"),
    [
        ({"workflow": "pair"}, {"p"}),
        ({"workflow": "talk"}, {"t", "late", "p.two.1", "p.two.2"}),
        ({"parent": "p"}, {"p.two.1", "p.two.2"}),
        ({"meta": {"customer": "c1"}}, {"t"}),
        ({"meta": {"customer": "c1", "n": "7"}}, {"t"}),
        ({"meta": {"customer": "c1", "n": "8"}}, set()),
        ({"workflow": "talk", "meta": {"customer": "c2"}}, {"late"}),
        ({"workflow": "nothing"}, set()),
    ],
)
async def test_a_selection_of_runs(engine: Engine, selection: dict[str, Any], runs: set[str]) -> None:
    """Exactly their events, also from the middle of the log on, where the beginning of a run is not read."""
    await grow(engine)
    whole_log = await everything(engine)
    wanted = [event for event in whole_log if event.message.run_id in runs]
    assert await everything(engine, **selection) == wanted
    for event in whole_log:
        rest = [other for other in wanted if other.cursor > event.cursor]
        assert await everything(engine, event.cursor, **selection) == rest, f"after {event.cursor}"


async def test_a_deleted_run_is_told_with_what_the_reader_has_not_seen(engine: Engine) -> None:
    """``stream.gap {from, to, reason: deleted}`` with its id; a reader that has seen all of it is told nothing."""
    await grow(engine)
    before = await everything(engine)
    reader = engine.all_events()
    first = await reader.read()
    await engine.delete("t")
    mine = [event for event in before if event.message.run_id == "t"]
    for at, cursor in enumerate([START, *(event.cursor for event in before)]):
        found = await everything(engine, cursor)
        gaps = [event.message for event in found if isinstance(event.message, Notice)]
        if cursor < mine[-1].cursor:
            (gap,) = gaps
            assert (gap.type, gap.run_id) == ("stream.gap", "t")
            assert gap.data == {"from": 1, "to": mine[-1].message.seq, "reason": "deleted"}
        else:
            assert gaps == []
        left = [event for event in before[at:] if event.message.run_id != "t"]
        assert [event for event in found if not isinstance(event.message, Notice)] == left
    seen = [event.message.seq for event in first if event.message.run_id == "t"]
    rest = [event for event in await read_until(reader, lambda seen: True) if event.message.run_id == "t"]
    last = mine[-1].message.seq
    assert [event.message.data for event in rest] == (
        [] if seen and seen[-1] == last else [{"from": (seen[-1] if seen else 0) + 1, "to": last, "reason": "deleted"}]
    )


async def test_a_deleted_run_is_told_to_who_may_have_wanted_it(engine: Engine) -> None:
    """By its workflow and parent; of its meta nothing is known any more."""
    await grow(engine)
    await engine.delete("t")

    async def gaps(**selection: Any) -> list[str]:
        found = await everything(engine, **selection)
        return [event.message.run_id for event in found if isinstance(event.message, Notice)]

    assert await gaps(workflow="talk") == ["t"]
    assert await gaps(meta={"customer": "c9"}) == ["t"]
    assert await gaps(workflow="pair") == await gaps(parent="p") == []


async def test_a_trimmed_run_is_told(tmp_path: Path) -> None:
    """``trimmed``, in front of its first event that is kept."""
    async with Engine(MemoryLog(max_events=50), workflows=[talk]) as engine:
        await (await engine.start("talk", {"n": 200}, run_id="t"))
        gap, first, *_ = await everything(engine)
    assert (gap.message.type, gap.message.run_id) == ("stream.gap", "t")
    assert gap.message.data == {"from": 1, "to": (first.message.seq or 0) - 1, "reason": "trimmed"}


async def test_a_cursor_of_another_log_is_told_and_everything_follows(engine: Engine) -> None:
    """``ahead``; in an empty log, too."""
    (gap,) = await everything(engine, 5)
    assert gap.message.data == {"from": 1, "to": 5, "reason": "ahead"}
    await grow(engine)
    gap, *rest = await everything(engine, 10_000)
    assert (gap.message.data["reason"], rest) == ("ahead", await everything(engine))
    assert await everything(engine, rest[-1].cursor) == []


async def test_only_so_many_deleted_runs_are_remembered(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of older ones a reader is told that something is forgotten, and up to which position."""
    monkeypatch.setattr(bounds, "REMOVED_RUNS", 2)
    for n in range(4):
        await (await engine.start("talk", run_id=f"r{n}"))
    ends = [event.position for event in await everything(engine) if event.message.type == "run.completed"]
    for n in range(4):
        await engine.delete(f"r{n}")
    found = [event.message for event in await everything(engine)]
    assert [(gap.run_id, gap.data["reason"]) for gap in found] == [
        ("", "forgotten"), ("r2", "deleted"), ("r3", "deleted"),
    ]  # fmt: skip
    assert (found[0].data["from"], found[0].data["to"]) == (1, ends[1])
    assert [event.message.run_id for event in await everything(engine, ends[1])] == ["r2", "r3"]


async def test_the_reader_is_woken_when_the_engine_closes(tmp_path: Path) -> None:
    """Then nothing more comes: ``closed`` says so."""
    async with Engine(f"sqlite:///{tmp_path}/runs.db", workflows=[talk]) as engine:
        events, woken = engine.all_events(), asyncio.Event()
        events.watch(woken.set)
        assert events.closed is None
    assert woken.is_set()
    assert events.closed == "shutdown"


async def test_a_log_without_that_order_is_refused() -> None:
    """LogUnavailable, at once."""

    class Unordered(MemoryLog):
        whole = None  # type: ignore[assignment]

    async with Engine(Unordered()) as engine:
        assert engine.has_all_events is False
        with pytest.raises(LogUnavailable, match="all runs"):
            engine.all_events()
    with pytest.raises(LogUnavailable, match="order of commits"):
        await LogAround(Unordered()).whole(0, 1)


@pytest.mark.parametrize("law", WHOLE_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("scan", [1, 2, 3])
async def test_all_runs_are_read_in_steps_between_other_readers(
    law: WholeLaw, scan: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few windows one step looks at: those of a tenant are found behind those of others."""
    monkeypatch.setattr(whole, "SCAN", scan)
    log = SqliteLog(tmp_path / "runs.db")
    await log.open()
    for n in range(7):
        await log.append(f"before-{n}", [started(f"before-{n}")], tenant="other")
    await law(log)
    await log.close()


async def test_each_run_that_retention_deletes_is_told(tmp_path: Path) -> None:
    """Also where many are deleted at once."""
    log = SqliteLog(tmp_path / "runs.db", keep_runs=1)
    await log.open()
    for run_id in ("a", "b", "c"):
        await log.append(run_id, [started(run_id), an_event(2, run_id), completed(3, run_id)])
    assert await log.expire() == 2
    entries = await log.whole(0, 10)
    assert [(entry.run_id, type(entry)) for entry in entries] == [("a", Removed), ("b", Removed), ("c", Committed)]
    await log.close()
