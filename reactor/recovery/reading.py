"""Reads from the log what has become of a run before a restart, and finds which of its tasks must run again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import orjson

from reactor import bounds
from reactor.definition.binding import CONTEXT, UPSTREAM, adapter_for
from reactor.definition.graph import Graph, Node
from reactor.definition.names import child_task_id
from reactor.definition.policy import Budget
from reactor.definition.references import referenced_tasks
from reactor.events.event import Event
from reactor.events.fold_crashes import crashes_after
from reactor.events.restoring import restore_output
from reactor.events.state import ENDED, RunState, TaskState
from reactor.events.timing import milliseconds
from reactor.logger import get_logger
from reactor.ports.log import EventLog
from reactor.recovery.asked import read_mailboxes
from reactor.recovery.upgrade import is_same
from reactor.runs.run import Run
from reactor.stream.picked import pick
from reactor.supervision.ending import Ending, EndReason
from reactor.supervision.ledger import Ledger
from reactor.tasks.past import Output, Past

logger = get_logger()

NAMED_TASKS = 10
"""How many tasks an error names."""


async def load_past(
    log: EventLog, graph: Graph, state: RunState, last: Event | None, now: str, *, crashed: bool
) -> Past:
    """The past of a run that goes on; reads the outputs that are still needed. ``last``: its last event.

    ``crashed``: its process did not stop cleanly. The time between the last event and ``now`` does not count for the
    run.
    """
    ending = _ending_of(state, crashed=crashed)
    # in a run that is ending nothing runs again, and no body needs an output
    runs_again, outputs = await _read_needed(log, graph, state, is_ending=ending is not None)
    bodies = [task for task in state.tasks.values() if task.count is None]
    last_time = last.time if last else ""
    elapsed_ms = milliseconds(state.started, last_time) - (state.downtime_ms or 0.0)
    return Past(
        tasks={id: task.copy() for id, task in state.tasks.items()},
        outputs=outputs,
        runs_again=frozenset(runs_again),
        graph_tasks=state.graph_tasks,
        ended_units=state.ended_units,
        least_progress=state.least_units,
        total_tasks=state.total_tasks,
        started_bodies=sum(task.attempt for task in bodies),
        task_time_ms=sum(task.duration_ms or 0.0 for task in bodies),
        elapsed_ms=elapsed_ms,
        active_ms=max(0.0, elapsed_ms - (state.paused_ms or 0.0) - milliseconds(state.paused_at, last_time)),
        downtime_ms=milliseconds(last_time, now),
        ending=ending,
        is_paused=state.status == "paused" and ending is None,
        owes_pause=ending is None and _owes_pause(state, await _before(log, last, "run.upgraded")),
        cancelling={task.id: task.cancelling for task in state.tasks.values() if task.cancelling is not None},
        retry_seconds={task.id: _retry_seconds(task.retry, now) for task in bodies if task.retry is not None},
        mailboxes=await read_mailboxes(log, state, runs_again),
        ledger=Ledger.restored(None if state.budget is None else Budget.of(state.budget), state),
        silent_ms=await _silent_ms(log, state, last, now),
        crashed=crashed,
        is_stuck=crashed and state.fruitless_recoveries >= 2,
    )


async def _read_needed(
    log: EventLog, graph: Graph, state: RunState, *, is_ending: bool
) -> tuple[set[str], dict[str, Output]]:
    """What must run again, and the outputs that are needed."""
    lost: set[str] = set()
    while True:
        runs_again, needed = _plan(graph, state, lost, is_ending=is_ending)
        events = await _completions(log, state.run_id, [seen for _, seen in needed])
        read = {
            seen.id: await _read_output(log, node, seen, events.get(seen.seq), is_shown=node.is_leaf)
            for node, seen in needed
        }
        outputs = {id: output for id, output in read.items() if output is not None}
        if outputs.keys() | lost >= read.keys():
            return runs_again, outputs
        # else plan anew: a task whose output is lost must run again, and needs the outputs of its upstreams
        lost |= read.keys() - outputs.keys()


async def _silent_ms(log: EventLog, state: RunState, last: Event | None, now: str) -> float:
    """How long nothing was said in a session that is not to be idle. That it was recovered was said by nobody."""
    if state.idle is None:
        return 0.0
    last = await _before(log, last, "run.resumed")
    return 0.0 if last is None else milliseconds(last.time, now)


async def _before(log: EventLog, last: Event | None, type: str) -> Event | None:
    """The last event that is not of this type."""
    while last is not None and last.type == type and last.seq > 1:
        events = await log.read(last.run_id, last.seq - 2, 1)
        last = events[0] if events else None
    return last


def _ending_of(state: RunState, *, crashed: bool) -> Ending | None:
    """Why the run was ending before the restart, or must end now; None where it goes on."""
    if state.status == "cancelling":
        return Ending(state.reason or "", state.error)
    if crashed and (suspects := _suspects(state)):
        tasks = f"task {suspects[0]}" if len(suspects) == 1 else f"tasks {', '.join(suspects[:NAMED_TASKS])}"
        more = f" and {len(suspects) - NAMED_TASKS} more" if len(suspects) > NAMED_TASKS else ""
        message = f"the process was killed {bounds.CRASH_LOOP} times in a row while {tasks}{more} ran and said nothing"
        return Ending(EndReason.CRASH_LOOP, {"type": "crash_loop", "message": message}, suspects[0])
    if state.exceeded and state.budget is not None and state.budget.get("on_exceeded") == "fail":
        # the crash came between budget.exceeded and run.cancelling
        message = f"the budget is exceeded: {', '.join(state.exceeded)}"
        return Ending(EndReason.BUDGET, {"type": "BudgetExceeded", "message": message})
    return None


def _suspects(state: RunState) -> list[str]:
    """The tasks that may have killed their process so often that they are not begun again."""
    return [task_id for task_id, times in crashes_after(state).items() if times >= bounds.CRASH_LOOP]


def _owes_pause(state: RunState, last: Event | None) -> bool:
    """Whether the crash came between ``budget.exceeded`` and the ``run.paused`` that follows it."""
    pauses = state.budget is not None and state.budget.get("on_exceeded") == "pause"
    return pauses and last is not None and last.type == "budget.exceeded" and state.status != "paused"


def _retry_seconds(retry: Mapping[str, Any], now: str) -> float:
    return max(0.0, retry["delay_ms"] - milliseconds(retry["since"], now)) / 1000


def _plan(
    graph: Graph, state: RunState, lost: set[str], *, is_ending: bool
) -> tuple[set[str], list[tuple[Node, TaskState]]]:
    """Returns (what must run again, the completed bodies whose outputs are needed), going from the last tasks up."""
    again: set[str] = set()
    needed: list[tuple[Node, TaskState]] = []
    wanted: dict[str, set[int | None]] = {}
    """By task: what unfinished bodies take of it, its whole output (None) or that of these children."""
    for node in reversed(graph.nodes):
        completed = [body for body in _bodies(node, state) if body.status == "completed"]
        if node.is_leaf:  # an output of the run; no body takes it
            needed += [(node, body) for body in completed]
        indexes = wanted.get(node.name, set())
        taken = [body for body in completed if None in indexes or body.map_index in indexes]
        unreadable = {body.id for body in taken if body.recoverable is False or body.id in lost}
        needed += [(node, body) for body in taken if body.id not in unreadable]
        if unreadable:
            again |= unreadable | {node.name}
        if unreadable or (_is_open(node, state) and not is_ending):
            for source, taken_of in _sources(graph, node, state, unreadable):
                wanted.setdefault(source, set()).update(taken_of)
    return again, needed


def _sources(
    graph: Graph, node: Node, state: RunState, unreadable: set[str]
) -> Iterator[tuple[str, Iterable[int | None]]]:
    """Whose outputs the unfinished bodies of a task take: those of its parameters, or with a Context all upstreams."""
    parameters = (*node.parameters, *node.when, *node.cache_key)
    sees_all = any(parameter.kind == CONTEXT for parameter in parameters)
    taken = {parameter.source for parameter in parameters if parameter.kind == UPSTREAM}
    taken |= set(referenced_tasks(node.task.given))
    for name in node.upstreams:
        if name == node.map_source:
            pairs = graph.by_name[name].map_source is not None and name not in taken
            yield name, _unfinished(node, state, unreadable) if pairs else (None,)
        elif sees_all or name in taken:
            yield name, (None,)


def _unfinished(node: Node, state: RunState, unreadable: set[str]) -> Iterable[int | None]:
    """The indexes of the children that have to run; (None,) before the task has fanned out."""
    seen = state.tasks.get(node.name)
    if seen is None or seen.count is None:
        return (None,)
    ended = {body.map_index for body in _bodies(node, state) if body.status in ENDED and body.id not in unreadable}
    return [index for index in range(seen.count) if index not in ended]


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
        child = state.tasks.get(child_task_id(node.name, index))
        if child is not None:
            yield child


async def _completions(log: EventLog, run_id: str, bodies: Iterable[TaskState]) -> dict[int, Event]:
    """The ``task.completed`` of completed bodies, by seq; without those that the log does not have."""
    picked = pick(partial(log.read, run_id), (body.seq for body in bodies))
    return {event.seq: event async for event in picked if event.type == "task.completed"}


async def _read_output(
    log: EventLog, node: Node, seen: TaskState, event: Event | None, *, is_shown: bool
) -> Output | None:
    """The output of a completed body; None where the log does not have it, or it no longer fits the annotation.

    - ``event``: its ``task.completed``.
    - ``is_shown``: it is only shown, not passed to a body, so its plain JSON will do.
    """
    if event is None:
        return None
    run_id, data = event.run_id, event.decode()["data"]
    json = orjson.dumps(data["output"]) if "output" in data else await log.blob(run_id, seen.seq)
    if json is None:
        return None
    if data.get("typed") and adapter_for(node.returns) is None and not is_shown:
        logger.warning("output cannot be restored", run_id=run_id, task_id=seen.id, error="its annotation is gone")
        return None
    returns, hints = (adapter_for(node.returns), data.get("hints")) if data.get("typed") else (None, None)
    try:
        return Output(restore_output(json, returns, hints), json, returns is not None, hints)
    except Exception as error:  # any, from a user's validator
        if not is_shown:
            logger.warning("output cannot be restored", run_id=run_id, task_id=seen.id, error=str(error))
        return Output(orjson.loads(json), json) if is_shown else None


async def load_outputs(log: EventLog, graph: Graph, run: Run) -> dict[str, Any]:
    """The outputs of a completed run, as ``await run`` gave them where it ran.

    What the log cannot give back is as it was shown, and a warning says so.
    """
    outputs = await run.shown_outputs()
    for node in (graph.by_name[name] for name in outputs if name in graph.by_name):
        bodies = [body for body in _bodies(node, run.state) if body.status == "completed"]
        if adapter_for(node.returns) is None and all(body.recoverable is not False for body in bodies):
            continue  # plain JSON is shown as it is: no need to read thousands of events
        events = await _completions(log, run.id, bodies)
        read = [await _read_output(log, node, body, events.get(body.seq), is_shown=True) for body in bodies]
        values = [output.value for output in read if output is not None]
        if any(body.recoverable is False for body in bodies) or len(values) < len(bodies):
            logger.warning("output cannot be restored, it is given as it was shown", run_id=run.id, task_id=node.name)
        if len(values) == len(bodies):
            outputs[node.name] = values if node.map_source is not None else values[0]
    return outputs


async def load_reusable(
    log: EventLog,
    graph: Graph,
    state: RunState,
    entries: Iterable[Mapping[str, Any]] | None = None,
    from_task: str | None = None,
) -> dict[str, Output]:
    """The outputs that a retry of a run reuses, by task id: of completed bodies whose upstreams are reused too.

    So every value that a reused body was given is the same in the new run. ``entries``: of the graph that the run had,
    where ``graph`` is another one; then a task must still be what it was. ``from_task``: it runs again, though it
    has completed.
    """
    known = None if entries is None else {entry["id"]: entry for entry in entries}
    reused: dict[str, Output] = {}
    whole: set[str] = set()
    """Tasks whose whole output is reused."""
    completed = [task for task in state.tasks.values() if task.status == "completed" and task.count is None]
    events = await _completions(log, state.run_id, [task for task in completed if task.recoverable is not False])
    for node in graph.nodes:
        pairs = node.pairs
        if node.name == from_task or (known is not None and not is_same(known.get(node.name), node)):
            continue
        if not all(upstream in whole for upstream in node.upstreams if not (pairs and upstream == node.map_source)):
            continue
        bodies = list(_bodies(node, state))
        for seen in bodies:
            pair = _pair_of(node, seen)
            if seen.status != "completed" or seen.recoverable is False or (pair is not None and pair not in reused):
                continue
            output = await _read_output(log, node, seen, events.get(seen.seq), is_shown=False)
            if output is not None:
                reused[seen.id] = output
        if node.name in state.tasks and not _is_open(node, state) and all(body.id in reused for body in bodies):
            whole.add(node.name)
    return reused


def _pair_of(node: Node, child: TaskState) -> str | None:
    """In a map over a map: the id of the child of the same index upstream."""
    if not node.pairs or node.map_source is None or child.map_index is None:
        return None
    return child_task_id(node.map_source, child.map_index)
