"""The laws of every executor, on the loop, in threads and in processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from reactor.executors.local import LocalExecutor
from reactor.executors.processes.executor import ProcessExecutor
from reactor.executors.threads import ThreadExecutor
from reactor.ports.executor import Executor
from reactor.testing import EXECUTOR_LAWS
from reactor.testing.executor_laws import ASYNC, DEF, Bodies, Law

Loop = asyncio.AbstractEventLoop


@pytest.mark.parametrize(
    ("make", "kinds"),
    [
        pytest.param(lambda loop: LocalExecutor(loop, lambda work, seconds: None), [ASYNC], id="loop"),
        pytest.param(ThreadExecutor, [DEF], id="thread"),
        pytest.param(ProcessExecutor, [DEF, ASYNC], id="process"),
    ],
)
@pytest.mark.parametrize("law", EXECUTOR_LAWS, ids=lambda law: law.__name__)
async def test_an_executor_keeps_the_laws_of_every_executor(
    law: Law, make: Callable[[Loop], Executor], kinds: Sequence[Bodies]
) -> None:
    """Each law of ``reactor.testing`` holds for each kind of body that it runs."""
    executor = make(asyncio.get_running_loop())
    for bodies in kinds:
        await law(executor, bodies)
    await executor.close()
