"""A retry is a new run with the same input that takes over what completed in an ended one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reactor import Engine, RunFailed, Workflow
from reactor.errors import RunOpen, UnknownRun, UnknownTask, WorkflowChanged
from reactor.events.fold import replay
from reactor.testing import read_all
from tests.helpers.flows import endless

ran: Counter[str] = Counter()
broken: set[str] = set()


def make(version: str = "1") -> Workflow:
    flow = Workflow("retried", version)

    @flow.task
    async def items(count: int = 4) -> list[int]:
        ran["items"] += 1
        return list(range(count))

    @flow.task(map="items")
    async def each(items: int) -> tuple[int, int]:
        ran[f"each[{items}]"] += 1
        if "each" in broken and items == 2:
            raise ValueError("told to fail")
        return items, items * 10

    @flow.task(map="each")
    def pair(each: tuple[int, int]) -> int:
        ran[f"pair[{each[0]}]"] += 1
        return sum(each)

    @flow.task
    async def unreadable() -> Any:
        ran["unreadable"] += 1
        return {object()}

    @flow.task
    async def takes(unreadable: Any) -> int:
        ran["takes"] += 1
        return len(unreadable)

    @flow.task
    async def total(pair: list[int], takes: int) -> int:
        ran["total"] += 1
        return sum(pair) + takes

    return flow


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/runs.db"])
async def test_a_retry_runs_only_what_did_not_complete(url: str, tmp_path: Path) -> None:
    """Completed bodies are ``cached`` events; what failed, was skipped or cannot be read back runs."""
    ran.clear()
    broken.add("each")
    async with Engine(url.format(tmp_path), workflows=[make()]) as engine:
        old = await engine.start("retried", {"count": 5}, run_id="old", meta={"who": "me"})
        with pytest.raises(RunFailed):
            await old
        assert ran.total() == 1 + 5 + 4 + 2
        ran.clear()
        broken.clear()
        run = await engine.retry("old", new_run_id="new")
        assert await run == {"total": 11 * (0 + 1 + 2 + 3 + 4) + 1}
        assert dict(ran) == {"each[2]": 1, "pair[2]": 1, "unreadable": 1, "takes": 1, "total": 1}
        events = await read_all(engine.log, "new")
        cached = [e.task_id for e in events if e.type == "task.completed" and e.data["cached"]]
        assert len(cached) == 1 + 4 + 4
        assert not {e.task_id for e in events if e.type == "task.started"} & set(cached)
        assert events[0].data["retry_of"] == "old"
        assert events[0].data["input"] == {"count": 5}
        assert run.state.meta == {"who": "me"}
        assert replay("new", events) == run.state
        assert run.state.completed == run.state.total_tasks == 1 + 5 + 5 + 3


async def test_a_task_from_which_a_retry_begins_runs_again_with_what_depends_on_it() -> None:
    """Though all of it has completed; what comes before is taken over. A name that no task has starts nothing."""
    ran.clear()
    broken.clear()
    async with Engine(workflows=[make()]) as engine:
        await (await engine.start("retried", {"count": 2}, run_id="old"))
        ran.clear()
        assert await (await engine.retry("old", from_task="pair")) == {"total": 11 * (0 + 1) + 1}
        assert ran.keys() >= {"pair[0]", "pair[1]", "total"}
        assert not ran.keys() & {"items", "each[0]", "each[1]"}
        with pytest.raises(UnknownTask, match="did you mean 'pair'"):
            await engine.retry("old", from_task="pairs")
        assert len(await engine.list()) == 2


async def test_only_an_ended_run_of_the_same_workflow_is_retried(tmp_path: Path) -> None:
    """Each refusal is one sentence, and starts nothing."""
    url = f"sqlite:///{tmp_path}/runs.db"
    async with Engine(url, workflows=[make()]) as engine:
        await (await engine.start("retried", run_id="done"))
        with pytest.raises(UnknownRun):
            await engine.retry("never")
        open_ = await engine.start(endless(), run_id="open")
        with pytest.raises(RunOpen, match="only a run that has ended"):
            await engine.retry("open")
        await open_.cancel()
    other = Workflow("retried", "2")

    @other.task
    async def items(count: str, more: int) -> list[str]:
        return [count] * more

    for workflows, why in (([], "is not registered here"), ([other], "the input 'more' of task 'items' is missing")):
        async with Engine(url, workflows=workflows) as engine:
            with pytest.raises(WorkflowChanged, match=why):
                await engine.retry("done")
            assert len(await engine.list()) == 2
