"""Reads from the log what a task has asked and what it was sent."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from reactor.events.state import EXPIRED, WITHDRAWN, RunState, TaskState
from reactor.ports.log import EventLog
from reactor.tasks.mailbox import ANSWERED, Letter, Question


async def read_mailboxes(
    log: EventLog, state: RunState, runs_again: Container[str]
) -> dict[str, tuple[list[Question], list[Letter]]]:
    """By task, what it has asked and what it was sent: of those that have not ended, or run again."""
    return {
        task.id: (await _questions(log, state.run_id, task), await _letters(log, state.run_id, task))
        for task in state.tasks.values()
        if (task.asked or task.received) and (not task.has_ended or task.id in runs_again)
    }


async def _letters(log: EventLog, run_id: str, task: TaskState) -> list[Letter]:
    """The values that were sent to a task, without those that were rejected."""
    letters: list[Letter] = []
    for seq, key in task.received or ():
        data = await _data_of(log, run_id, seq)
        if data is not None:
            letters.append(Letter(seq, key, data["value"]))
    return letters


async def _questions(log: EventLog, run_id: str, task: TaskState) -> list[Question]:
    """The questions that a task has asked, in that order, with what became of them."""
    live = {question["key"] or "" for question in task.waiting or ()}
    questions: list[Question] = []
    for key, (seq, outcome) in (task.asked or {}).items():
        data = await _data_of(log, run_id, seq)
        if data is None:
            continue  # trimmed; the body asks again
        question = Question(key, data["prompt"], data["schema"], data.get("expires"), seq, is_live=key in live)
        if outcome in (EXPIRED, WITHDRAWN):
            question.status = outcome
        elif outcome is not None:
            answer = await _data_of(log, run_id, outcome)
            if answer is not None:
                question.status, question.answer = ANSWERED, Letter(outcome, answer["key"], answer["value"])
        questions.append(question)
    return questions


async def _data_of(log: EventLog, run_id: str, seq: int) -> dict[str, Any] | None:
    events = await log.read(run_id, seq - 1, 1)
    return events[0].data if events and events[0].seq == seq else None
