"""The table of executors: its names, and what it says of each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reactor.definition.task import EXECUTORS, Task
from reactor.executors.kinds import KINDS
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
