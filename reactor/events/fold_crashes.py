"""The part of the fold that says which bodies may have killed their process."""

from __future__ import annotations

from typing import Final

from reactor.events.event import Event
from reactor.events.state import RunState

_OF_OTHERS: Final = frozenset({"task.started", "task.received", "task.cancelling"})
"""Events of a task that its body did not cause."""


def crashes_after(state: RunState) -> dict[str, int]:
    """``RunState.crashes`` once more, if the process is killed now.

    Only a body that runs can have killed it: not one that waits for an answer or for a child run, and none of a run
    that is paused.
    """
    crashes = dict(state.crashes or {})
    if state.status != "running":
        return crashes
    children = (state.children or {}).values()
    parents = {child["task_id"] for child in children if child.get("status") == "running"}
    for task in state.tasks.values():
        if task.status == "running" and task.count is None and task.id not in parents:
            crashes[task.id] = crashes.get(task.id, 0) + 1
    return crashes


def body_spoke(state: RunState, event: Event) -> None:
    """Forgets the crashes of a body that says something, or has ended."""
    crashes, task_id = state.crashes, event.task_id
    if crashes is not None and task_id in crashes and event.type not in _OF_OTHERS:
        del crashes[task_id]
        state.crashes = crashes or None
