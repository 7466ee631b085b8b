"""A body that held the event loop: its author should know where."""

from __future__ import annotations

from reactor.listeners import Stall
from reactor.logger import get_logger
from reactor.ports.executor import Work
from reactor.runs.open_runs import OpenRuns

logger = get_logger()


def warn_blocked(runs: OpenRuns, work: Work, seconds: float) -> None:
    """Says so to the listeners, in the log lines, and in the run itself."""
    runs.listeners.stalled(Stall("loop", seconds, work.run_id, work.task_id))
    execution = runs.executions.get(work.run_id)
    held_ms = round(seconds * 1000, 1)
    logger.warning("a body held the event loop", run_id=work.run_id, task_id=work.task_id, held_ms=held_ms)
    if execution is not None and not execution.feed.closed:
        execution.warn(work.task_id, "the body held the event loop; use a def body, or await", held_ms=held_ms)
