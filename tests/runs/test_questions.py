"""``engine.questions``: what all runs wait for, page by page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reactor import Context, Engine, UnknownRun, Workflow
from reactor.runs.asked import OpenQuestion
from tests.helpers.runs import wait_for_event

one = Workflow("one")
many = Workflow("many")
again = Workflow("again")


@one.task
async def ask(ctx: Context) -> Any:
    return await ctx.receive("sure?", schema=bool, key="sure", timeout=3_600)


@many.task
def numbers() -> list[int]:
    return [0, 1, 2, 3, 4]


@many.task(map={"number": "numbers"})
async def each(number: int, ctx: Context) -> Any:
    return await ctx.receive(f"number {number}?")


@again.task
async def twice(ctx: Context) -> list[Any]:
    return [await ctx.receive("first?", key="a"), await ctx.receive("second?", key="b")]


async def walk(engine: Engine, limit: int, **wanted: Any) -> list[OpenQuestion]:
    """All pages; each but the last is full."""
    found: list[OpenQuestion] = []
    before = None
    while True:
        page = await engine.questions(before=before, limit=limit, **wanted)
        found += page.questions
        assert len(page.questions) <= limit
        if page.cursor is None:
            return found
        assert len(page.questions) == limit
        before = page.cursor


async def start(engine: Engine, flow: Workflow, run_id: str, asks: int = 1, **options: Any) -> Any:
    run = await engine.start(flow, run_id=run_id, **options)
    await wait_for_event(run, "task.waiting", count=asks)
    return run


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_the_pages_have_each_open_question_once(limit: int) -> None:
    """The newest run first, and of a run what was asked last, however long a page is."""
    async with Engine(workflows=[one, many, again], grace=0) as engine:
        for run_id, flow, asks in (("a", one, 1), ("b", many, 5), ("c", again, 1), ("d", one, 1)):
            await start(engine, flow, run_id, asks)
        found = await walk(engine, limit)
        assert [question.run_id for question in found] == ["d", "c", *["b"] * 5, "a"]
        seqs = [question.seq for question in found if question.run_id == "b"]
        assert seqs == sorted(seqs, reverse=True)
        assert len({question.task_id for question in found if question.run_id == "b"}) == 5


async def test_a_question_says_who_asks_what_since_when_and_how_long() -> None:
    """As its ``task.waiting`` in the log."""
    async with Engine(workflows=[one], grace=0) as engine:
        run = await start(engine, one, "a")
        (question,) = (await engine.questions()).questions
        event = await run.feed.event(question.seq)
        assert (event.type, event.time, event.task_id) == ("task.waiting", question.since, question.task_id)
        assert (question.workflow, question.root, question.key) == ("one", "a", "sure")
        assert (question.prompt, question.schema, question.expires) == tuple(
            event.data[name] for name in ("prompt", "schema", "expires")
        )


async def test_what_is_answered_is_gone_and_what_ends_asks_nothing() -> None:
    """Also behind a cursor: the page goes on behind the question, though nobody asks it any more."""
    async with Engine(workflows=[one, again], grace=0) as engine:
        await start(engine, one, "a")
        run = await start(engine, again, "b")
        page = await engine.questions(limit=1)
        assert [(asked.run_id, asked.key) for asked in page.questions] == [("b", "a")]
        await run.send("twice", 1, key="a")
        await wait_for_event(run, "task.waiting", count=2)
        assert [asked.key for asked in (await engine.questions()).questions] == ["b", "sure"]
        rest = (await engine.questions(before=page.cursor)).questions
        assert [asked.run_id for asked in rest] == ["a"]
        await run.cancel()
        assert [asked.run_id for asked in (await engine.questions()).questions] == ["a"]


async def test_they_are_found_by_workflow_and_meta_and_of_one_tenant() -> None:
    """As ``list`` finds runs."""
    async with Engine(workflows=[one, again], grace=0) as engine:
        await start(engine, one, "a", meta={"customer": "c1"})
        await start(engine, again, "b", meta={"customer": "c1"})
        await start(engine, one, "c", meta={"customer": "c2"})
        await start(engine, one, "d", tenant="acme")

        async def ids(**wanted: Any) -> list[str]:
            return [asked.run_id for asked in (await engine.questions(**wanted)).questions]

        assert await ids() == ["c", "b", "a"]
        assert await ids(workflow="one") == ["c", "a"]
        assert await ids(meta={"customer": "c1"}) == ["b", "a"]
        assert await ids(workflow="one", meta={"customer": "c1"}) == ["a"]
        assert await ids(tenant="acme") == ["d"]
        seen = await engine.tenant("").questions(admits=lambda run_id, workflow: run_id != "b" and workflow == "one")
        assert [asked.run_id for asked in seen.questions] == ["c", "a"]


async def test_runs_that_nobody_goes_on_with_still_ask(tmp_path: Path) -> None:
    """Their states are read from the log."""
    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[one, many], grace=0) as engine:
        await start(engine, one, "a")
        await start(engine, many, "b", 5)
        before = await walk(engine, 2)
    async with Engine(url, grace=0) as engine:
        assert engine.not_recovered.keys() == {"a", "b"}
        assert await walk(engine, 2) == before


async def test_a_cursor_that_is_none_and_a_run_that_is_gone() -> None:
    """Each has its error."""
    async with Engine(workflows=[one], grace=0) as engine:
        for bad in ("", "a", "a/", "/1", "a/-1", "a/x", "a/1" + 20 * "0"):
            with pytest.raises(ValueError, match="is not the cursor of a page of questions"):
                await engine.questions(before=bad)
        for place in ("gone/3", "gone/0"):
            with pytest.raises(UnknownRun):
                await engine.questions(before=place)
        with pytest.raises(ValueError, match="limit"):
            await engine.questions(limit=0)
