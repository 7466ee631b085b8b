"""What is said to an open run that nobody executes now: it stands in the log, for who goes on with the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from reactor import bounds
from reactor.context.checking import problem_of
from reactor.definition.names import did_you_mean, known_names, task_id_parts
from reactor.errors import (
    EventTooLarge,
    InvalidValue,
    MailboxFull,
    RunEnded,
    RunEnding,
    TaskEnded,
    UnknownTask,
    WrongQuestion,
)
from reactor.events import drafts
from reactor.events.event import Draft, Event, task_head
from reactor.events.state import RunState, TaskState
from reactor.ports.clock import Clock
from reactor.ports.log import EventLog
from reactor.recovery.asked import read_mailboxes
from reactor.tasks.mailbox import Mailbox, Misdirected


def paused_event(state: RunState, clock: Clock, *, reason: str, by: str | None) -> Event | None:
    """What pauses a run; None where it is paused. Raises RunEnded and RunEnding."""
    _check_open(state)
    if state.status == "paused":
        return None
    return _event(state, clock, Draft("run.paused", orjson.dumps({"reason": reason, "by": by})))


async def letter_event(
    log: EventLog,
    state: RunState,
    kinds: Mapping[str, str],
    clock: Clock,
    task_id: str,
    value: Any,
    key: str | None,
    *,
    by: str | None,
) -> Event:
    """What sends a value to a task: to its open question, or to one that it will ask.

    ``kinds``: by the id of each task of the graph, what it is, as ``run.started`` says. Raises what ``run.send`` does.
    """
    _check_open(state)
    task = _task(state, kinds, task_id)
    ids = {"run_id": state.run_id, "task_id": task_id}
    mailbox = Mailbox()
    mailbox.restore(*(await read_mailboxes(log, state, ())).get(task_id, ([], [])))
    try:
        question = mailbox.addressee(key, state.seq)
    except Misdirected as error:
        sentence = f"task {task_id} of run {state.run_id}: {error}"
        raise WrongQuestion(sentence, **ids, keys=mailbox.open_keys()) from None
    data = drafts.received(value, (question.key or key) if question is not None else key, by)
    if len(data) > bounds.MAX_INLINE_BYTES:
        raise EventTooLarge(f"the value for task {task_id} is above {bounds.MAX_INLINE_BYTES:,} bytes", **ids)
    if question is not None and (problem := await problem_of(question.schema, value)) is not None:
        raise InvalidValue(f"the value for task {task_id} of run {state.run_id} does not fit: {problem}", **ids)
    if question is None and mailbox.waiting >= bounds.MAILBOX:
        raise MailboxFull(f"{bounds.MAILBOX} values wait for task {task_id} of run {state.run_id} already", **ids)
    head = task_head(task_id, task.task, task.map_index, task.attempt)
    return _event(state, clock, Draft("task.received", data, task_id, head))


def _event(state: RunState, clock: Clock, draft: Draft) -> Event:
    return Event.from_draft(state.seq + 1, state.run_id, clock.now(), draft)


def _check_open(state: RunState) -> None:
    if state.has_ended:
        raise RunEnded(f"run {state.run_id} is {state.status} already", run_id=state.run_id, status=state.status)
    if state.status == "cancelling":
        raise RunEnding(f"run {state.run_id} is being cancelled", run_id=state.run_id)


def _task(state: RunState, kinds: Mapping[str, str], task_id: str) -> TaskState:
    """The task, also one that has not begun. Raises UnknownTask and TaskEnded."""
    ids = {"run_id": state.run_id, "task_id": task_id}
    task = state.tasks.get(task_id)
    name, index = task_id_parts(task_id) or (task_id, None)
    if task is None and index is not None and index < (((found := state.tasks.get(name)) and found.count) or 0):
        task = TaskState(task_id, name, map_index=index)
    if task is None and task_id not in kinds:
        hint = did_you_mean(task_id, kinds) or f"; its tasks are {known_names(kinds)}"
        raise UnknownTask(f"there is no task {task_id[:100]!r} in run {state.run_id}{hint}", **ids)
    where = f"task {task_id} of run {state.run_id}"
    if kinds.get(task_id) == "map" or (task is not None and task.count is not None):
        raise TaskEnded(f"{where} is mapped; send to a child, {task_id}[0]", **ids)
    if task is not None and task.has_ended:
        raise TaskEnded(f"{where} has ended: {task.status}", **ids)
    return task or TaskState(task_id, task_id)
