"""The open questions of a run, from its state. The one home of which those are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reactor.events.state import ENDED, UNNAMED, RunState


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


def asked_at(state: RunState, question: Mapping[str, Any]) -> int:
    """The seq of the event that has asked one of ``open_questions``."""
    key = question["key"]
    asked = state.tasks[question["task_id"]].asked or {}
    return asked[UNNAMED if key is None else key][0]
