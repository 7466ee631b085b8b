"""What logs of every kind read from events for their list of runs, and say about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reactor.errors import RunOpen


def parent_of(started: Mapping[str, Any]) -> str | None:
    """The run that started this one, from the data of its ``run.started`` or from its state."""
    parent = started.get("parent")
    return None if parent is None else parent["run_id"]


def still_open(run_id: str, status: str) -> RunOpen:
    """What ``delete`` raises for a run that has not ended."""
    return RunOpen(f"run {run_id} is {status}; only a run that has ended is deleted", run_id=run_id)
