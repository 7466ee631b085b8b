"""The laws of every executor, on the loop, in threads and in processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio

from reactor.executors.local import LocalExecutor
from reactor.executors.processes.executor import ProcessExecutor
from reactor.executors.threads import ThreadExecutor
from reactor.ports.executor import Executor
from reactor.testing import EXECUTOR_LAWS
from reactor.testing.executor_laws import ASYNC, DEF, Bodies, Law

Loop = asyncio.AbstractEventLoop

MAKERS: dict[str, tuple[Callable[[Loop], Executor], Sequence[Bodies]]] = {
    "loop": (lambda loop: LocalExecutor(loop, lambda work, seconds: None), [ASYNC]),
    "thread": (ThreadExecutor, [DEF]),
    "process": (ProcessExecutor, [DEF, ASYNC]),
}
"""Name -> what makes the executor, and the kinds of bodies it runs."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MAKERS)
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Executor, Sequence[Bodies]]]:
    """One executor for all laws: each leaves it open and idle for the next."""
    make, kinds = MAKERS[request.param]
    executor = make(asyncio.get_running_loop())
    yield executor, kinds
    await executor.close()


@pytest.mark.parametrize("law", EXECUTOR_LAWS, ids=lambda law: law.__name__)
async def test_an_executor_keeps_the_laws_of_every_executor(law: Law, kept: tuple[Executor, Sequence[Bodies]]) -> None:
    """Each law of ``reactor.testing`` holds for each kind of body that it runs."""
    executor, kinds = kept
    for bodies in kinds:
        await law(executor, bodies)
