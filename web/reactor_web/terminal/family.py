"""The states of a run and of the runs below it, from the events of one stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reactor.events.event import Event, Message
from reactor.events.fold import evolve
from reactor.events.parts import put_together
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
        self._parts: dict[str, dict[str, Any]] = {}
        """By run, the parts of a ``run.state`` of which the last has not come yet."""

    def fold(self, message: Message) -> None:
        """Takes the next message of the stream. The first one is of the top, unless its id was given."""
        if not self.top.run_id:
            self.top.run_id = message.run_id
        if message.run_id == self.top.run_id:
            self._take(self.top, message)
            return
        state = self._below.setdefault(message.run_id, RunState(message.run_id))
        self._take(state, message)
        if state.has_ended:
            state.tasks.clear()  # only its end is shown: a run may have very many child runs

    def _take(self, state: RunState, message: Message) -> None:
        if isinstance(message, Event):
            _fold(state, message)
        elif message.type == "run.state":  # after a trimmed gap, or with ``snapshot=1``
            data, part = message.data, message.data.get("part", 1)
            whole = data if part == 1 else put_together(self._parts.pop(message.run_id, {}), data)
            if part < data.get("parts", 1):
                self._parts[message.run_id] = whole
            else:
                _adopt(state, whole)

    def children_of(self, state: RunState) -> Mapping[str, list[ChildLine]]:
        """Task id -> the child runs that it has started, in that order."""
        found: dict[str, list[ChildLine]] = {}
        for run_id, child in (state.children or {}).items():
            if "task_id" in child:
                own = self._below.get(run_id)
                status = child["status"] if own is None or own.status == "pending" else own.status
                found.setdefault(child["task_id"], []).append(ChildLine(run_id, child["workflow"], status, own))
        return found


def _fold(state: RunState, event: Event) -> None:
    """Changes the state to what it is after an event; also one that begins in the middle of a run."""
    state.run_id = event.run_id
    if event.map_index is not None and event.task is not None:
        # a view that begins in the middle, or after a gap, never saw the task of these children
        state.tasks.setdefault(event.task, TaskState(event.task, event.task))
    evolve(state, event)


def _adopt(state: RunState, snapshot: dict[str, Any]) -> None:
    """Takes over a whole ``run.state``."""
    adopted = RunState.from_dict(snapshot)
    for name in RunState.__slots__:
        setattr(state, name, getattr(adopted, name))
