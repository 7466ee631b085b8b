"""The states of a run and of the runs below it, from the events of one stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reactor.events.event import Event, Message
from reactor.events.fold import evolve
from reactor.events.state import RunState, TaskState


class ChildLine(NamedTuple):
    """A child run, as its parent and its own events say."""

    run_id: str
    workflow: str
    status: str
    state: RunState | None
    """None where the stream had none of its events."""


class Family:
    """What a stream has said so far of a run, ``top``, and of the runs below it."""

    def __init__(self, run_id: str = "") -> None:
        self.top = RunState(run_id)
        self._below: dict[str, RunState] = {}

    def fold(self, message: Message) -> None:
        """Takes the next message of the stream. The first one is of the top, unless its id was given."""
        if not self.top.run_id:
            self.top.run_id = message.run_id
        if message.run_id == self.top.run_id:
            fold(self.top, message)
            return
        state = self._below.setdefault(message.run_id, RunState(message.run_id))
        fold(state, message)
        if state.has_ended:
            state.tasks.clear()  # only its end is shown: a run may have very many child runs

    def children_of(self, state: RunState) -> Mapping[str, list[ChildLine]]:
        """Task id -> the child runs that it has started, in that order."""
        found: dict[str, list[ChildLine]] = {}
        for run_id, child in (state.children or {}).items():
            if "task_id" in child:
                own = self._below.get(run_id)
                status = child["status"] if own is None or own.status == "pending" else own.status
                found.setdefault(child["task_id"], []).append(ChildLine(run_id, child["workflow"], status, own))
        return found


def fold(state: RunState, message: Message) -> None:
    """Changes the state to what it is after a message; also one that begins in the middle of a run."""
    if not isinstance(message, Event):
        if message.type == "run.state":
            _adopt(state, message.data)
        return
    state.run_id = message.run_id
    if message.map_index is not None and message.task is not None:
        # a view that begins in the middle, or after a gap, never saw the task of these children
        state.tasks.setdefault(message.task, TaskState(message.task, message.task))
    evolve(state, message)


def _adopt(state: RunState, snapshot: dict[str, Any]) -> None:
    """Takes over a ``run.state``, or the next part of it. It comes after a trimmed gap, or with ``snapshot=1``."""
    adopted = RunState.from_dict(snapshot)
    if snapshot.get("part", 1) > 1:
        adopted.tasks = {**state.tasks, **adopted.tasks}
        adopted.children = {**(state.children or {}), **(adopted.children or {})} or None
        adopted.count_progress()
    for name in RunState.__slots__:
        setattr(state, name, getattr(adopted, name))
