"""The open questions of a run, from its state. The one home of which those are."""

from __future__ import annotations

from typing import Any

from reactor.events.state import ENDED, RunState


def open_questions(state: RunState) -> list[dict[str, Any]]:
    """What nobody has answered yet, task by task: ``{task_id, key, prompt, schema}``, ``expires`` if it does."""
    if state.has_ended:
        return []
    return [
        {"task_id": task.id, **asked}
        for task in state.tasks.values()
        if task.waiting and task.status not in ENDED
        for asked in task.waiting
    ]
