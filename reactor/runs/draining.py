"""The end of an engine: its open runs get some time, then they are left for the next engine, or cancelled."""

from __future__ import annotations

import asyncio

from reactor import bounds
from reactor.clock import wait_at_most
from reactor.events.values import traceback_of
from reactor.logger import get_logger
from reactor.runs.open_runs import OpenRuns
from reactor.stream.behind import wait_for_readers
from reactor.supervision.ending import EndReason

logger = get_logger()


async def drain_runs(runs: OpenRuns, durable: bool, grace: float, append_timeout: float) -> bool:
    """Waits ``grace`` seconds; what is open then stays so on a durable log, and is cancelled on another.

    Then subscribers get some time to read to the end. Returns whether all runs ended, or were left, in time.
    """
    await _wait(runs, grace)
    for execution in list(runs.executions.values()):
        if durable:
            execution.journal.suspend()
        else:
            logger.warning("run is cancelled, its engine ends before it: await run", run_id=execution.run_id)
            execution.control.cancel(EndReason.SHUTDOWN, by=None, grace=min(grace, bounds.DRAIN_GRACE_SECONDS))
    await _wait(runs, grace + 2 * append_timeout)
    late = list(runs.executions.values())
    for execution in late:
        logger.error("run did not end in time", run_id=execution.run_id)
        execution.journal.suspend()
    runs.windows.on_completed()
    await wait_for_readers(runs.log, bounds.BEHIND_SECONDS)
    return not late


def suspend_all(runs: OpenRuns) -> None:
    """Leaves the runs that are still open as the log has them. One that cannot be stopped is logged."""
    for execution in list(runs.executions.values()):
        try:
            execution.journal.suspend()
        except Exception as error:  # of an executor of a user's
            logger.error("a run did not stop", run_id=execution.run_id, traceback=traceback_of(error))


async def _wait(runs: OpenRuns, seconds: float) -> None:
    waiting = [asyncio.ensure_future(run.ended()) for run in runs.open.values()]
    if not waiting:
        return
    done, pending = await wait_at_most(runs.clock, waiting, seconds)
    for late in pending:
        late.cancel()
    for run in done:
        if not run.cancelled() and (error := run.exception()) is not None:
            logger.error("run could not be waited for", error=str(error))
