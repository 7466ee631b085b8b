"""What the log knows of a run that goes on after a restart, and which of its tasks run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from reactor import bounds
from reactor.binding import MISSING, adapter_for
from reactor.graph import Graph, Node
from reactor.ports import EventLog
from reactor.state import ENDED, RunState, TaskState
from reactor.values import restore_output


class Output(NamedTuple):
    """A completed task's output, as its downstreams receive it and as the log has it."""

    value: Any
    json: bytes


class Past(NamedTuple):
    """The past of a run, as its actors need it.

    ``runs_again``: completed tasks and children whose output cannot be handed on, though an unfinished task needs it.
    """

    tasks: Mapping[str, TaskState]
    outputs: Mapping[str, Output]
    runs_again: frozenset[str]
    total_tasks: int
    started_bodies: int
    task_time_ms: float
    elapsed_ms: float
    cancel_reason: str | None
    is_crash_loop: bool


async def load_past(log: EventLog, graph: Graph, state: RunState, last_time: str) -> Past:
    """Reads the outputs that are still needed. ``last_time`` is of the last event: the downtime is not the run's."""
    lost: set[str] = set()
    while True:
        runs_again, needed = _plan(graph, state, lost)
        outputs: dict[str, Output] = {}
        for node, seen in needed:
            output = await _read_output(log, state.run_id, node, seen)
            if output is None:
                lost.add(seen.id)
            else:
                outputs[seen.id] = output
        if lost <= runs_again:
            break  # else the plan has changed: what cannot be read has to run again, and needs its own upstreams
    bodies = [task for task in state.tasks.values() if task.count is None]
    return Past(
        tasks={id: _at_rest(task) for id, task in state.tasks.items()},
        outputs=outputs,
        runs_again=frozenset(runs_again),
        total_tasks=state.total_tasks,
        started_bodies=sum(task.attempt for task in bodies),
        task_time_ms=sum(task.duration_ms or 0.0 for task in bodies),
        elapsed_ms=_milliseconds(state.started, last_time),
        cancel_reason=state.reason if state.status == "cancelling" else None,
        is_crash_loop=state.recoveries >= bounds.CRASH_LOOP,
    )


def _at_rest(task: TaskState) -> TaskState:
    """A copy that folding does not move on."""
    return TaskState(**{name: getattr(task, name) for name in TaskState.__slots__})


def _plan(graph: Graph, state: RunState, lost: set[str]) -> tuple[set[str], list[tuple[Node, TaskState]]]:
    """(what runs again, completed bodies whose outputs are needed), from the last task up."""
    again: set[str] = set()
    needed: list[tuple[Node, TaskState]] = []
    wanted: set[str] = set(graph.leaves)
    for node in reversed(graph.nodes):
        bodies = list(_bodies(node, state))
        open_ = _is_open(node, state)
        if node.name in wanted or open_:
            unreadable = {b.id for b in bodies if b.status == "completed" and (b.recoverable is False or b.id in lost)}
            if node.name in graph.leaves and not open_:
                unreadable -= {b.id for b in bodies if b.id not in lost}  # shown, and nobody computes with it
            if unreadable:
                again |= unreadable | {node.name}
                open_ = True
            needed += [(node, body) for body in bodies if body.status == "completed" and body.id not in unreadable]
        if open_:
            wanted.update(node.upstreams)
    return again, needed


def _is_open(node: Node, state: RunState) -> bool:
    seen = state.tasks.get(node.name)
    return seen is None or seen.status not in ENDED


def _bodies(node: Node, state: RunState) -> Iterator[TaskState]:
    seen = state.tasks.get(node.name)
    if seen is None:
        return
    if seen.count is None:
        yield seen
        return
    for index in range(seen.count):
        child = state.tasks.get(f"{node.name}[{index}]")
        if child is not None:
            yield child


async def _read_output(log: EventLog, run_id: str, node: Node, seen: TaskState) -> Output | None:
    """None where the log does not have it or the annotation does not take it any more."""
    events = await log.read(run_id, seen.seq - 1, 1)
    if not events or events[0].seq != seen.seq or events[0].type != "task.completed":
        return None
    data = events[0].data
    json = orjson.dumps(data["output"]) if "output" in data else await log.blob(run_id, seen.seq)
    if json is None:
        return None
    if seen.recoverable is False:
        return Output(orjson.loads(json), json)
    try:
        return Output(restore_output(json, None if node.returns is MISSING else adapter_for(node.returns)), json)
    except ValidationError:
        return None


def _milliseconds(start: str | None, end: str) -> float:
    if start is None:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1000
