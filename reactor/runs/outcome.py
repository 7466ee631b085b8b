"""What awaiting a run raises where it did not complete: from its state, or from what its parent's log says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reactor.errors import RunCancelled, RunFailed


def failure_of(run_id: str, error: Mapping[str, Any], errors: Mapping[str, dict[str, Any]]) -> RunFailed:
    """``error``: of ``run.failed``. ``errors``: of the failed tasks, by task id."""
    where = f"task {error['task_id']} failed with " if error.get("task_id") else ""
    sentence = f"{where}{error.get('type')}: {error.get('message')}"
    return RunFailed(f"run {run_id}: {sentence}", run_id=run_id, errors=dict(errors))


def cancelled(run_id: str, reason: str | None) -> RunCancelled:
    """``reason``: of ``run.cancelled``."""
    return RunCancelled(f"run {run_id} was cancelled: {reason}", run_id=run_id, reason=reason or "")
