"""Whether a run can only go on with an answer, and the interrupts that ask for it: functions of the folded state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import orjson

from reactor.events.state import RunState, TaskState
from reactor_web.bounds import AGENT_INTERRUPTS_BYTES

_CLIPPED_CHARS: Final = 2_000
"""Of a prompt that has no room."""


class Question(NamedTuple):
    """An open question of a task."""

    id: str
    """Of the interrupt: ``<task id>/<key>``, since two tasks may use one key. A task id has no slash."""
    task_id: str
    key: str | None
    seq: int
    """Of the ``task.waiting`` that asked last."""
    prompt: str | None
    schema: dict[str, Any] | None
    expires: str | None

    @property
    def interrupt(self) -> dict[str, Any]:
        """What AG-UI calls an interrupt, without the tool call it may be about."""
        schema = self.schema
        reason = "confirmation" if schema is not None and schema.get("type") == "boolean" else "input_required"
        members = {"message": self.prompt, "responseSchema": schema, "expiresAt": self.expires}
        shown = {name: value for name, value in members.items() if value is not None}
        return {
            "id": self.id,
            "reason": reason,
            **shown,
            "metadata": {"reactor": {"task": self.task_id, "key": self.key}},
        }


def is_quiet(run: RunState) -> bool:
    """Whether a question is open and nothing can go on without an answer.

    What runs, may start, waits for its next attempt or was asked to stop goes on; so does what is behind a limit. A
    paused run goes on when it is resumed.
    """
    if run.status != "running" or run.running:
        return False
    asks = False
    for task in run.tasks.values():
        if task.has_ended:
            continue
        if task.status == "waiting" and not task.cancelling:
            asks = True
        elif task.count is not None:
            if _has_child_to_start(run, task, task.count):
                return False
        elif task.status != "pending" or all(_has_ended(run, name) for name in task.depends_on or ()):
            return False
    return asks


def _has_ended(run: RunState, task_id: str) -> bool:
    task = run.tasks.get(task_id)
    return task is not None and task.has_ended


def _has_child_to_start(run: RunState, mapped: TaskState, count: int) -> bool:
    """Whether a child that has not begun may. In a map over a map, child i waits for child i of what it maps over."""
    sources = [name for name in mapped.depends_on or () if not _has_ended(run, name)]
    return any(
        f"{mapped.id}[{i}]" not in run.tasks and all(_has_ended(run, f"{name}[{i}]") for name in sources)
        for i in range(count)
    )


def questions(run: RunState) -> list[Question]:
    """All open questions, in the order in which they were asked."""
    return sorted(_open(run.tasks.values()), key=lambda question: question.seq)


def listed(run: RunState) -> list[Question]:
    """The questions that the end of an AG-UI run lists: the first ones that have room, at least one.

    A resume must answer these. The others follow as interrupts of the next AG-UI run.
    """
    chosen: list[Question] = []
    room = AGENT_INTERRUPTS_BYTES
    for question in questions(run):
        size = len(orjson.dumps(question.interrupt))
        if size > AGENT_INTERRUPTS_BYTES:
            question = question._replace(prompt=(question.prompt or "")[:_CLIPPED_CHARS], schema=None)
            size = len(orjson.dumps(question.interrupt))
        if chosen and size > room:
            break
        room -= size
        chosen.append(question)
    return chosen


def _open(tasks: Iterable[TaskState]) -> Iterator[Question]:
    for task in tasks:
        for asked in task.waiting or ():
            key, schema = asked["key"], asked["schema"]
            seq = (task.asked or {}).get(key or "", [task.seq])[0]
            yield Question(
                f"{task.id}/{key or ''}", task.id, key, seq, asked["prompt"],
                schema if isinstance(schema, dict) else None, asked.get("expires"),
            )  # fmt: skip
