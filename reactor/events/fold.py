"""The state of a run is a fold over its events: ``state = evolve(state, event)``.

The snapshot on a stream, the answer of ``GET /runs/{id}``, the command line and recovery all use this function. It
reads no clock and no setting; times come from the events. It changes the given state, because copying a map of 50,000
tasks would cost 500 us an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from reactor.events.event import Event
from reactor.events.fold_crashes import body_spoke, crashes_after
from reactor.events.fold_spending import budget_event, child_run_ended, child_run_started, task_spent
from reactor.events.fold_upgrade import add_downtime, run_upgraded
from reactor.events.keyed import KEYED_END, remember
from reactor.events.state import (
    ENDED,
    RUN_STATUS,
    TASK_STATUS,
    UNNAMED,
    WITHDRAWN,
    RunState,
    TaskState,
    mapped_status,
    outcome_of,
)
from reactor.events.timing import microseconds, whole_microseconds
from reactor.events.vocabulary import TaskStatus


def evolve(state: RunState, event: Event) -> RunState:
    """Changes ``state`` to what it is after ``event``, and returns it. An unknown type only sets ``seq``."""
    state.seq = event.seq
    if state.crashes is not None:
        body_spoke(state, event)
    fold = _FOLDS.get(event.type)
    if fold is not None:
        fold(state, event.decode())
    elif event.json[-2] == KEYED_END:
        if state.remembered is None:
            state.remembered = {}
        remember(state.remembered, event.decode())
    return state


def replay(run_id: str, events: Iterable[Event]) -> RunState:
    """The state after all of ``events``."""
    state = RunState(run_id)
    for event in events:
        evolve(state, event)
    return state


def _run_started(state: RunState, body: dict[str, Any]) -> None:
    data = body["data"]
    state.status = "running"
    state.workflow = data["workflow"]
    state.version = data["version"]
    state.started = body["time"]
    state.total_tasks = data["total_tasks"]
    state.meta = data.get("meta")
    state.parent = data.get("parent")
    state.budget = data.get("budget")
    state.session = data.get("session")
    state.idle = data.get("idle")
    tasks = state.tasks
    for task in data.get("tasks", ()):  # upstreams come first, so that all states share one string for each name
        upstreams = tuple([tasks[name].id if name in tasks else name for name in task["depends_on"]])
        tasks[task["id"]] = TaskState(task["id"], task["id"], depends_on=upstreams)
    state.maps = data.get("maps")
    state.count_progress()


def _run_paused(state: RunState, body: dict[str, Any]) -> None:
    _run_changed(state, body)
    state.paused_at = body["time"]


def _run_changed(state: RunState, body: dict[str, Any]) -> None:
    _end_pause(state, body["time"])
    state.status = RUN_STATUS[body["type"]]
    state.reason = body["data"].get("reason", state.reason)
    state.error = body["data"].get("error")


def _end_pause(state: RunState, time: str) -> None:
    if state.paused_at is not None:
        state.paused_ms = (whole_microseconds(state.paused_ms) + microseconds(state.paused_at, time)) / 1000
        state.paused_at = None


def _run_ended(state: RunState, body: dict[str, Any]) -> None:
    _run_changed(state, body)
    state.ended = body["time"]
    state.duration_ms = body["data"]["duration_ms"]
    state.running = 0


def _run_resumed(state: RunState, body: dict[str, Any]) -> None:
    if body["data"]["reason"] != "recovered":
        _run_changed(state, body)
        return
    if "recovery" in body["data"]:
        state.recoveries_in_a_row = state.fruitless_recoveries + 1
        state.recoveries = body["data"]["recovery"]
    else:  # written before there was this key
        state.recoveries += 1
    if body["data"].get("crashed"):
        state.crashes = crashes_after(state) or None
    state.running = 0
    add_downtime(state, body["data"])
    for task in state.tasks.values():
        if task.status in ("running", "waiting") and task.count is None:
            task.status = "pending"  # its body died with the process; what it asked for stays in ``waiting``


def _task_started(state: RunState, body: dict[str, Any]) -> None:
    task = state.task_of(body)
    if task.status in ENDED:
        _reopen(state, task)
    _set_status(state, task, "running")
    task.attempt = body["attempt"]
    task.started = body["time"]
    task.seq = body["seq"]
    task.retry = task.progress = task.message = task.waiting = None


def _set_status(state: RunState, task: TaskState, status: TaskStatus) -> None:
    """Sets the status of a task that runs a body, and keeps ``state.running`` right."""
    state.running += (status == "running") - (task.status == "running")
    task.status = status


def _task_retrying(state: RunState, body: dict[str, Any]) -> None:
    task = state.task_of(body)
    _set_status(state, task, "retrying")
    task.failures = (task.failures or 0) + 1
    task.retry = {"since": body["time"], "delay_ms": body["data"]["delay_ms"]}
    task.waiting = None
    task.seq = body["seq"]


def _task_waiting(state: RunState, body: dict[str, Any]) -> None:
    task, data = state.task_of(body), body["data"]
    key, answered = data.get("key"), data.get("answered")
    if "rejected" in data:  # they were sent, and do not fit what the body asks for
        task.received = [sent for sent in task.received or [] if sent[0] not in data["rejected"]]
    if task.asked is None:
        task.asked = {}
    before = task.asked.get(_name_of(key))
    if before is not None and before[1] is None:  # it is open: it is asked again
        task.waiting = _without(task.waiting or [], key)
    task.asked[_name_of(key)] = [body["seq"], answered]
    if answered is None:
        _set_status(state, task, "waiting")
        question = {"prompt": data.get("prompt"), "schema": data.get("schema"), "key": key}
        if "expires" in data:
            question["expires"] = data["expires"]
        if task.waiting is None:
            task.waiting = []
        task.waiting.append(question)


def _name_of(key: str | None) -> str:
    """The name of a question in ``TaskState.asked``."""
    return UNNAMED if key is None else key


def _task_received(state: RunState, body: dict[str, Any]) -> None:
    task, key = state.task_of(body), body["data"].get("key")
    if task.received is None:
        task.received = []
    task.received.append([body["seq"], key])
    _close_question(state, task, key, body["seq"])


def _question_closed(state: RunState, body: dict[str, Any]) -> None:
    _close_question(state, state.task_of(body), body["data"]["key"], body["type"].removeprefix("task."))


def _close_question(state: RunState, task: TaskState, key: str | None, outcome: int | str) -> None:
    """``outcome``: the seq of the answer, ``expired`` or ``withdrawn``."""
    asked = None if task.asked is None else task.asked.get(_name_of(key))
    if asked is not None and (asked[1] is None or outcome == WITHDRAWN):
        asked[1] = outcome  # a body may give up a question whose answer has just come
    if task.waiting is not None:
        task.waiting = _without(task.waiting, key)
        if task.waiting is None and task.status == "waiting":
            _set_status(state, task, "running")


def _without(questions: list[dict[str, Any]], key: str | None) -> list[dict[str, Any]] | None:
    """The open questions without one of them; the same list, since a task may have thousands of them."""
    for index, question in enumerate(questions):
        if question["key"] == key:
            del questions[index]
            break
    return questions or None


def _task_cancelling(state: RunState, body: dict[str, Any]) -> None:
    state.task_of(body).cancelling = body["data"]["reason"]


def _reopen(state: RunState, task: TaskState) -> None:
    """An ended task starts anew after a restart, because its output could not be restored."""
    _count(state, task.status, -1)
    mapped = state.tasks.get(task.task) if task.map_index is not None else None
    if mapped is not None and mapped.tally is not None:
        mapped.tally[outcome_of(task.status, task.reason)] -= 1
        mapped.status, mapped.ended = "running", None
    task.ended = task.duration_ms = None
    task.recoverable = False  # kept while it runs again: it has completed once before


def _task_mapped(state: RunState, body: dict[str, Any]) -> None:
    task = state.task_of(body)
    task.count = body["data"]["count"]
    task.tally = {}
    task.started = body["time"]
    task.status = "running"
    task.seq = body["seq"]
    state.total_tasks += body["data"]["count"]
    if task.count == 0:
        state.ended_units += state.units_of(task)
        _mapped_ended(task, body)


def _task_progress(state: RunState, body: dict[str, Any]) -> None:
    task = state.task_of(body)
    task.progress = body["data"]["fraction"]
    task.message = body["data"].get("message")


def _task_ended(state: RunState, body: dict[str, Any]) -> None:
    task, data = state.task_of(body), body["data"]
    recoverable, is_mapped, status = data.get("recoverable"), data.get("mapped"), TASK_STATUS[body["type"]]
    if task.status in ENDED:
        _reopen(state, task)
    is_repeated = task.recoverable is False
    if not is_repeated:
        state.ended_units += state.units_of(task)
    if task.count is None and not is_mapped:
        _set_status(state, task, status)
    else:
        task.status = status
    task.waiting = task.retry = task.cancelling = None
    if recoverable is not False:
        task.asked = None  # else it may run again, and nobody is asked twice
    task.ended = body["time"]
    task.seq = body["seq"]
    task.duration_ms, task.error = data.get("duration_ms"), data.get("error")
    task.reason, task.because = data.get("reason"), data.get("because")
    task.recoverable = recoverable
    if task.status == "completed" and not is_repeated:
        if state.recoveries_in_a_row is None:
            state.recoveries = 0
        else:
            state.recoveries_in_a_row = 0
    if is_mapped:
        return  # a mapped task that never had children runs no body, so it is not counted
    _count(state, task.status, 1)
    if task.map_index is not None:
        _child_ended(state.tasks[task.task], task, body)


def _count(state: RunState, status: str, by: int) -> None:
    if status == "completed":
        state.completed += by
    elif status == "failed":
        state.failed += by
    elif status == "skipped":
        state.skipped += by
    else:
        state.cancelled += by


def _child_ended(mapped: TaskState, child: TaskState, body: dict[str, Any]) -> None:
    tally = mapped.tally
    if tally is None:
        return  # only if the fold began neither at the first event nor at the base of the log
    outcome = outcome_of(child.status, child.reason)
    tally[outcome] = tally.get(outcome, 0) + 1
    if sum(tally.values()) == mapped.count:
        _mapped_ended(mapped, body)


def _mapped_ended(mapped: TaskState, body: dict[str, Any]) -> None:
    mapped.status = mapped_status(mapped.tally or {})
    mapped.cancelling = None
    mapped.ended = body["time"]
    mapped.seq = body["seq"]


_FOLDS: Final[dict[str, Callable[[RunState, dict[str, Any]], None]]] = {
    "run.started": _run_started,
    "run.paused": _run_paused,
    "run.resumed": _run_resumed,
    "run.cancelling": _run_changed,
    "run.upgraded": run_upgraded,
    "run.completed": _run_ended,
    "run.failed": _run_ended,
    "run.cancelled": _run_ended,
    "task.started": _task_started,
    "task.mapped": _task_mapped,
    "task.progress": _task_progress,
    "task.waiting": _task_waiting,
    "task.received": _task_received,
    "task.expired": _question_closed,
    "task.withdrawn": _question_closed,
    "task.retrying": _task_retrying,
    "task.cancelling": _task_cancelling,
    "task.spent": task_spent,
    "child.started": child_run_started,
    "child.ended": child_run_ended,
    "budget.warning": budget_event,
    "budget.exceeded": budget_event,
    "task.completed": _task_ended,
    "task.failed": _task_ended,
    "task.skipped": _task_ended,
    "task.cancelled": _task_ended,
}
