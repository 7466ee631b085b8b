"""The table of executors: its names, and what it says of each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reactor import Engine, Workflow, WorkflowError
from reactor.definition.executors import EXECUTORS
from reactor.definition.task import Task
from reactor.executors.kinds import KINDS, Kind, register_kind
from reactor.executors.threads import ThreadExecutor
from reactor.ports.executor import Work
from tests.helpers import bodies


def test_every_executor_a_task_can_name_is_in_the_table() -> None:
    """``executor=`` accepts the names of the table, and no others."""
    assert set(KINDS) == set(EXECUTORS)


async def add(left: int, right: int) -> int:
    return bodies.add(left, right)


@pytest.mark.parametrize("name", KINDS)
async def test_an_executor_of_the_table_runs_a_body(name: str) -> None:
    """``make`` gives an executor of this loop, whose body answers with its output."""
    executor = KINDS[name].make(asyncio.get_running_loop(), lambda work, seconds: None)
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    task: Task[..., Any] = Task(add if name == "loop" else bodies.add, {})
    work = Work(task, {"left": 1, "right": 2}, "r", "t")
    executor.submit(work, lambda output, error: answer.set_result((output, error)))
    async with asyncio.timeout(30):
        assert await answer == (3, None)
        await executor.close()


class CountedThreads(ThreadExecutor):
    """Threads that count what they are given."""

    submitted = 0

    def submit(self, work: Work, done: Any) -> Any:
        type(self).submitted += 1
        return super().submit(work, done)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> str:
    """An executor of one's own, registered for one test."""
    register_kind(
        "counted",
        Kind(lambda loop, _: CountedThreads(loop), slots=1, waiting=None, can_kill=False),
        check=lambda body, is_async: "it counts def bodies only" if is_async else None,
    )
    monkeypatch.setattr(CountedThreads, "submitted", 0)
    return "counted"


@pytest.fixture(autouse=True)
def tables() -> Any:
    """What a test registers is gone after it."""
    kinds, executors = dict(KINDS), dict(EXECUTORS)
    yield
    for table, before in ((KINDS, kinds), (EXECUTORS, executors)):
        for name in table.keys() - before.keys():
            del table[name]  # type: ignore[attr-defined]


async def test_a_task_runs_in_an_executor_of_ones_own(counted: str) -> None:
    """By its name, with the slots of its kind."""
    flow = Workflow("elsewhere")
    flow.task(bodies.add, name="sum", executor=counted)
    async with Engine() as engine:
        run = await engine.start(flow, {"left": 1, "right": 2})
        assert await run == {"sum": 3}
        started = [event.data["executor"] async for event in run if event.type == "task.started"]
    assert (started, CountedThreads.submitted) == (["counted"], 1)


def test_its_check_refuses_a_body_when_the_workflow_is_validated(counted: str) -> None:
    flow = Workflow("refused")
    flow.task(add, executor=counted)
    with pytest.raises(WorkflowError, match="task 'add': it counts def bodies only"):
        flow.validate()


def test_an_unknown_executor_is_refused_with_those_there_are(counted: str) -> None:
    with pytest.raises(WorkflowError, match="must be one of loop, thread, process, counted, not 'gpu'"):
        Workflow("unknown").task(bodies.add, executor="gpu")


@pytest.mark.parametrize(
    ("name", "why"),
    [("thread", "already"), ("", "is not a valid name of an executor"), ("a b", "is not a valid name of an executor")],
)
def test_a_name_is_registered_once_and_is_a_name(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        register_kind(name, KINDS["thread"])
