"""Reads from the log what a task has asked and what it was sent."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from functools import partial
from typing import Any

from reactor.events.state import EXPIRED, WITHDRAWN, RunState, TaskState
from reactor.ports.log import EventLog
from reactor.stream.picked import pick
from reactor.tasks.mailbox import ANSWERED, Letter, Question


async def read_mailboxes(
    log: EventLog, state: RunState, runs_again: Container[str]
) -> dict[str, tuple[list[Question], list[Letter]]]:
    """By task, what it has asked and what it was sent: of those that have not ended, or run again."""
    tasks = [
        task
        for task in state.tasks.values()
        if (task.asked or task.received) and (not task.has_ended or task.id in runs_again)
    ]
    wanted = (seq for task in tasks for seq in _seqs_of(task))
    data = {event.seq: event.data async for event in pick(partial(log.read, state.run_id), wanted)}
    return {task.id: (_questions(task, data), _letters(task, data)) for task in tasks}


_Data = Mapping[int, dict[str, Any]]
"""By seq: the data of the events that say what was asked and answered; without those that were trimmed."""


def _seqs_of(task: TaskState) -> Iterator[int]:
    for seq, _ in task.received or ():
        yield seq
    for seq, outcome in (task.asked or {}).values():
        yield seq
        if isinstance(outcome, int):
            yield outcome


def _letters(task: TaskState, data: _Data) -> list[Letter]:
    """The values that were sent to a task, without those that were rejected."""
    return [Letter(seq, key, data[seq]["value"]) for seq, key in task.received or () if seq in data]


def _questions(task: TaskState, data: _Data) -> list[Question]:
    """The questions that a task has asked, in that order, with what became of them."""
    live = {question["key"] or "" for question in task.waiting or ()}
    questions: list[Question] = []
    for key, (seq, outcome) in (task.asked or {}).items():
        asked = data.get(seq)
        if asked is None:
            continue  # trimmed; the body asks again
        question = Question(key, asked["prompt"], asked["schema"], asked.get("expires"), seq, is_live=key in live)
        if outcome in (EXPIRED, WITHDRAWN):
            question.status = outcome
        elif outcome is not None and (answer := data.get(outcome)) is not None:
            question.status, question.answer = ANSWERED, Letter(outcome, answer["key"], answer["value"])
        questions.append(question)
    return questions
