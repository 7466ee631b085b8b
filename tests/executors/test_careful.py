"""Bodies that wait for the log before they begin."""

from __future__ import annotations

import asyncio
import gc
import warnings

from reactor.executors.careful import CarefulExecutor
from reactor.executors.local import LocalExecutor
from reactor.testing import Submitted, work_for
from reactor.waiting import READY


async def test_a_body_that_is_cancelled_before_it_could_wait_leaves_nothing() -> None:
    """It does not begin, its end is told once, and no coroutine is left that nobody awaits."""
    begun = list[str]()

    async def body() -> None:
        begun.append("body")

    async def logged() -> None:
        raise AssertionError("nobody waits")

    loop = asyncio.get_running_loop()
    executor = CarefulExecutor(loop, LocalExecutor(loop, lambda work, seconds: None), logged)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        submitted = Submitted(executor, work_for(body))
        submitted.job.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        answers = submitted.answers
        del submitted
        gc.collect()
    assert [str(one.message) for one in warned] == []
    assert [type(error) for _, error in answers] == [asyncio.CancelledError]
    assert begun == []


async def test_a_body_asks_once_more_in_its_first_step_whether_it_may_begin() -> None:
    """Its process stood still between ``submit`` and the loop: it waits, and where its run is lost it never begins."""
    begun, may_begin = list[str](), [True]
    gate = asyncio.Event()

    async def body() -> str:
        begun.append("body")
        return "done"

    async def wait() -> None:
        await gate.wait()

    loop = asyncio.get_running_loop()
    executor = LocalExecutor(loop, lambda work, seconds: None)
    executor.standing = lambda: READY if may_begin[0] else wait()
    kept, lost = Submitted(executor, work_for(body)), Submitted(executor, work_for(body))
    may_begin[0] = False
    for _ in range(3):
        await asyncio.sleep(0)
    assert begun == []
    lost.job.cancel()
    await asyncio.sleep(0)
    gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert begun == ["body"]
    assert kept.answers == [("done", None)]
    assert [type(error) for _, error in lost.answers] == [asyncio.CancelledError]
