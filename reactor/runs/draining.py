"""The end of an engine: its open runs get some time, then they are left for the next engine, or cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from reactor import bounds
from reactor.clock import wait_at_most
from reactor.errors import LogLost, LogUnavailable
from reactor.events.state import RunState
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.runs.open_runs import OpenRuns
from reactor.runs.run import Run
from reactor.runs.session import Session
from reactor.stream.behind import wait_for_readers
from reactor.supervision.ending import EndReason

logger = get_logger()

NAMED_RUNS: Final = 20
"""How many runs one log line names."""


async def drain_runs(runs: OpenRuns, durable: bool, grace: float, append_timeout: float) -> bool:
    """Waits ``grace`` seconds; what is open then stays so on a durable log, and is cancelled on another.

    Then subscribers get some time to read to the end. Returns whether all runs ended, or were left, in time.
    """
    # nothing of a session is done here: it does not end by itself, and in a durable log it stays open
    waited = {id: run for id, run in runs.open.items() if not (durable and isinstance(run, Session))}
    if waited:
        logger.info("waiting for open runs to end", runs=_names(waited), seconds=grace)
    await _wait(runs.clock, waited, grace)
    if durable:
        await _flush(runs, append_timeout)
    if runs.open and durable:
        logger.info("open runs are left in the log; the next engine goes on with them", runs=_names(runs.open))
    elif runs.open:
        logger.warning(
            "open runs are cancelled, their engine ends before them: await run",
            runs=_names(runs.open),
            grace=grace,
        )
    for execution in list(runs.executions.values()):
        if durable:
            execution.journal.suspend()
        else:
            execution.control.cancel(EndReason.SHUTDOWN, by=None, grace=min(grace, bounds.DRAIN_GRACE_SECONDS))
    await _wait(runs.clock, runs.open, grace + 2 * append_timeout)
    late = list(runs.executions.values())
    for execution in late:
        logger.error("run did not end in time", run_id=execution.run_id)
        execution.journal.suspend()
    runs.dormant.close()
    runs.elsewhere.close()
    runs.others.close()
    runs.windows.on_completed()
    await wait_for_readers(runs.log, bounds.BEHIND_SECONDS, runs.clock)
    return not late


async def _flush(runs: OpenRuns, seconds: float) -> None:
    """Waits until the log has what was said from outside. A body that runs again says again what it has said."""
    said = [
        asyncio.ensure_future(execution.journal.committed())
        for execution in runs.executions.values()
        if execution.outside.was_heard and execution.journal.last_written > execution.feed.last_seq
    ]
    if said:
        _, late = await wait_at_most(runs.clock, said, seconds)
        for waiting in late:  # the log hangs, and the run will be lost
            waiting.cancel()


def _names(runs: Collection[str]) -> str:
    """The ids of runs, of many the first."""
    ids = list(runs)
    return ", ".join(ids[:NAMED_RUNS]) + (f" and {len(ids) - NAMED_RUNS} more" if len(ids) > NAMED_RUNS else "")


def lose_all(runs: OpenRuns, error: LogUnavailable) -> int:
    """Ends all open runs in this process, as where the log has failed each of them; returns how many there were."""
    executions = [execution for execution in runs.executions.values() if not execution.is_closed]
    for execution in executions:
        lost = LogLost(f"run {execution.run_id} is lost here: {error}", run_id=execution.run_id)
        lost.__cause__ = error
        execution.journal.lose(lost, is_told=True)
    return len(executions)


def lose_rewound(runs: OpenRuns, run_id: str, kept: int) -> None:
    """Ends a run in this process whose end the log has lost: it goes on from what is left."""
    execution = runs.executions.get(run_id)
    if execution is not None:
        why = f"run {run_id} was lost: its log has lost the events behind {kept}, where it goes on: ask engine.get then"
        execution.journal.lose(LogLost(why, run_id=run_id))


def suspend_all(runs: OpenRuns) -> None:
    """Leaves the runs that are still open as the log has them. One that cannot be stopped is logged."""
    for execution in list(runs.executions.values()):
        try:
            execution.journal.suspend()
        except Exception as error:  # of an executor of a user's
            logger.error("a run did not stop", run_id=execution.run_id, exc_info=error)


async def _wait(clock: Clock, runs: Mapping[str, Run], seconds: float) -> None:
    waiting: dict[asyncio.Future[RunState], str] = {
        asyncio.ensure_future(run.ended()): run_id for run_id, run in runs.items()
    }
    if not waiting:
        return
    done, pending = await wait_at_most(clock, waiting, seconds)
    for late in pending:
        late.cancel()
    for run in done:
        if not run.cancelled() and (error := run.exception()) is not None:
            logger.error("run could not be waited for", run_id=waiting[run], error=str(error))
