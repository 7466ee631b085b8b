"""One run while it is open in this process: wires actors -> merge -> pipeline -> feed, and ends it exactly once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeVar

import orjson
import structlog

from reactor.definition.graph import Graph, Node
from reactor.definition.policy import Budget
from reactor.events.drafts import json_object, run_started
from reactor.events.event import Draft, Window
from reactor.events.values import traceback_of
from reactor.operators.attached import Callbacks, Disposing
from reactor.ports.attempt import Attempt, Upstream
from reactor.ports.executor import Executor
from reactor.runs.beginning import Beginning
from reactor.runs.children import child_id, leave_children, run_child
from reactor.runs.commits import Commits
from reactor.runs.control import Control
from reactor.runs.host import Host
from reactor.runs.spending import Spending
from reactor.runs.summary import terminal_draft
from reactor.stream.feed import Feed
from reactor.stream.merge_tasks import merge_tasks
from reactor.stream.pipeline import Pipeline
from reactor.supervision.ending import Ending
from reactor.supervision.ledger import Ledger
from reactor.supervision.slots import Claim, Rate, ReadyQueue, Slots
from reactor.tasks.actor import Actor
from reactor.tasks.body import TaskActor
from reactor.tasks.cached import OutputCache
from reactor.tasks.mapped import MappedActor
from reactor.tasks.past import Output, Past

logger = structlog.get_logger("reactor")

T = TypeVar("T")


class Execution:
    """Owns the actors and the pipeline of an open run. Loop thread only.

    ``published(window)`` is called with each window that may be seen now; ``ended(execution)`` once, after the terminal
    event was published, or when the log was lost.
    """

    def __init__(
        self,
        host: Host,
        graph: Graph,
        feed: Feed,
        beginning: Beginning,
        published: Callable[[Window], None],
        ended: Callable[[Execution], None],
        *,
        past: Past | None = None,
        reused: Mapping[str, Output] | None = None,
    ) -> None:
        self.run_id = feed.run_id
        self.host = host
        self.graph = graph
        self.feed = feed
        self.parent = beginning.parent
        self.inputs = beginning.inputs
        self.meta = dict(beginning.meta)
        self.reused = reused or {}
        """Outputs of an earlier run that this one takes over, by task id."""
        self._beginning = beginning
        self._published = published
        self._ended = ended
        encoded = graph.encode_input(beginning.inputs)
        self.input_json = {name: value.json for name, value in encoded.items()}
        self._lost_inputs = [name for name, value in encoded.items() if not value.recoverable]

        # what it lends to its actors
        self.loop = host.loop
        self.clock = host.clock
        self.executors: Mapping[str, Executor] = host.executors
        self.tracebacks = host.tracebacks
        self.cache = OutputCache(host.log, host.clock, graph)
        self._context = copy_context()
        """The context variables of whoever started the run; each body has a copy of its own."""
        self._is_in_context = False
        self._is_limited = graph.concurrency is not None or host.is_limited
        self._limits: dict[str, tuple[tuple[Slots, ...], tuple[Rate, ...]]] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        """Strong references: the loop itself keeps only weak ones."""

        # how far it is
        self.total_tasks = past.total_tasks if past else graph.bodies
        self._started_bodies = past.started_bodies if past else 0
        self._task_time_ms = past.task_time_ms if past else 0.0
        self._started_at = self.clock.monotonic() - (past.elapsed_ms / 1000 if past else 0.0)
        self.last_written = feed.last_seq
        self.is_sealed = False
        """The terminal event is written, though maybe not in the log yet."""
        self._seals_later = False
        self.lost_with: Exception | None = None

        # its parts
        self.children: dict[str, Execution] = {}
        """Child runs that are open, by id."""
        self.commits = Commits(feed, host.loop)
        self.ledger = past.ledger if past else Ledger(beginning.budget)
        self.spending = Spending(self, self.ledger)
        self.control = Control(self, elapsed=past.active_ms / 1000 if past else 0.0)
        self.pipeline = self._make_pipeline()
        self.ready = ReadyQueue(self.pipeline.room)
        self.actors: dict[str, Actor] = {}
        self._make_actors(past)
        self._subscription: Disposing | None = None

    # --- its life ---

    def start(self) -> None:
        """Writes ``run.started`` and begins whatever is ready."""
        self.write(
            run_started(
                self.run_id,
                {**self.graph.facts, "total_tasks": self.total_tasks},
                {"input": json_object(self.input_json), **self.graph.large_facts},
                meta=self.meta,
                origin=self._beginning.origin,
                lost_inputs=self._lost_inputs,
            )
        )
        self.control.stopwatch.go()
        self._pause_with_parent()
        self._connect()
        self.ready.pump()

    def recover(self, past: Past) -> None:
        """Goes on where the log ends: what had begun and not ended begins again; a cancel is finished."""
        if not all(actor.has_ended for actor in self.actors.values()):
            data = {"reason": "recovered", "by": None, "downtime_ms": past.downtime_ms}
            self.write(Draft("run.resumed", orjson.dumps(data)))
        self.control.ending = past.ending
        if past.owes_pause:
            self.control.pause("budget", by=None)
        if past.is_paused:
            self.control.hold(self.feed.state.reason)
        self._connect()
        if past.ending is not None:
            self.control.cancel_all("crash")
        elif not self.is_paused:
            self.control.stopwatch.go()
            self._pause_with_parent()
        with self.ready.held():  # the end of one must not begin the next
            for task_id, reason in past.cancelling.items():
                if (actor := self.body(task_id)).task_id == task_id:  # else its map does, once it has its children
                    actor.cancel(reason)
        self.ready.pump()

    def _pause_with_parent(self) -> None:
        """It was paused while this child run was looked for."""
        if self.parent is not None and self.parent.execution.is_paused:
            self.control.pause("parent", by=None)

    def _make_pipeline(self) -> Pipeline:
        return Pipeline(
            self.run_id,
            self.host.log,
            self.clock,
            self.host.scheduler,
            publish=self._publish,
            lost=self._log_lost,
            last_seq=self.feed.last_seq,
            append_timeout=self.host.append_timeout,
        )

    def _make_actors(self, past: Past | None) -> None:
        for node in self.graph.nodes:  # upstreams first
            make = TaskActor if node.map_source is None else MappedActor
            actor = self.actors[node.name] = make(self, node)
            if past is not None:
                actor.restore(past)

    def _connect(self) -> None:
        bus = merge_tasks(list(self.actors.values()))
        self._subscription = bus.attach(Callbacks(self.write, self._engine_bug, self._seal))

    # --- the pipeline ---

    def write(self, draft: Draft) -> None:
        self.last_written += 1
        self.pipeline.write(draft)

    def _publish(self, window: Window) -> None:
        self.feed.publish(window)
        self._published(window)
        self.commits.published()
        if self.feed.closed:
            self._close()

    def _close(self) -> None:
        self.control.close()
        self.commits.close()
        self._ended(self)

    def _log_lost(self, error: Exception) -> None:
        """The run ends in this process only: nothing unlogged is published, bodies are stopped without a word."""
        if self.feed.closed:
            return
        logger.error("run ended in this process, its log is lost", run_id=self.run_id, error=str(error))
        self.lost_with = error
        self._dispose()
        self.feed.close("log")
        self._close()

    def suspend(self) -> None:
        """Leaves the run as its log has it, for the next start: bodies are stopped, nothing more is written."""
        if not self.feed.closed:
            self._dispose()
            self.feed.close("shutdown")
            self._close()

    def _dispose(self) -> None:
        """Bodies are stopped, and nothing of them is written any more."""
        if self._subscription is not None:
            self._subscription.dispose()
        self.pipeline.dispose()

    def _engine_bug(self, error: Exception) -> None:
        logger.critical("a bug in the engine ended a run", run_id=self.run_id, traceback=traceback_of(error))
        self._log_lost(error)

    def _seal(self) -> None:
        """All actors and child runs ended: the terminal event, after which nothing has a number."""
        try:
            self._write_end()
        except Exception as bug:  # the run must not stay open without a word
            self._engine_bug(bug)

    def _write_end(self) -> None:
        if self.children:
            self._seals_later = True
            return
        self.is_sealed = True
        self.write(
            terminal_draft(
                self.run_id,
                self.graph,
                self.actors,
                ending=self.ending,
                ledger=self.ledger,
                duration_ms=(self.clock.monotonic() - self._started_at) * 1000,
                task_time_ms=self._task_time_ms,
            )
        )

    # --- what actors and contexts ask of their run ---

    @property
    def ending(self) -> Ending | None:
        return self.control.ending

    @property
    def is_paused(self) -> bool:
        return self.control.is_paused

    def resumed(self) -> Awaitable[None]:
        return self.control.resumed()

    def in_context(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls what is the run's own, whichever body's context this is: what a body binds ends with it."""
        if self._is_in_context:
            return function(*arguments)
        self._is_in_context = True
        try:
            return self._context.run(function, *arguments)
        finally:
            self._is_in_context = False

    def next_index(self) -> int:
        """Numbers the starts, from 0."""
        index = self._started_bodies
        self._started_bodies += 1
        return index

    def hold(self, job: asyncio.Task[None]) -> None:
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    def body_ended(self, duration_ms: float) -> None:
        self._task_time_ms += duration_ms

    def body(self, task_id: str) -> Actor:
        """The actor of a task or of a mapped child."""
        actor = self.actors.get(task_id)
        if actor is not None:
            return actor
        name, _, index = task_id.rstrip("]").rpartition("[")
        mapped = self.actors[name]
        children = mapped.children if isinstance(mapped, MappedActor) else []
        return children[int(index)] if int(index) < len(children) else mapped

    def exception_of(self, task_id: str) -> BaseException | None:
        """What a task has failed with, in this process."""
        actor = self.body(task_id)
        return actor.exception if isinstance(actor, TaskActor) else None

    def chance(self) -> float:
        return random.random()

    def attempt_of(self, actor: TaskActor) -> Attempt:
        return Attempt(
            run_id=self.run_id,
            task_id=actor.task_id,
            attempt=actor.attempt + (actor.status == "pending"),  # a condition speaks for the attempt to come
            map_index=actor.map_index,
            input=dict(self.inputs),
            meta={**self.meta, **actor.node.task.meta},
            upstreams=MappingProxyType({name: _seen(upstream) for name, upstream in actor.seen_upstreams.items()}),
            resources=self.host.resources,
        )

    def claim_for(self, node: Node, again: Callable[[], None], *, starts: bool) -> Claim | None:
        """What a body of this task has to take, if anything; ``starts``: rates count only where it begins."""
        if not self._is_limited and not node.is_limited:
            return None
        limits = self._limits.get(node.name)
        if limits is None:
            own = None if node.task.concurrency is None else Slots(node.task.concurrency)
            limits = self._limits[node.name] = self.host.limits_of(self.graph, node, own)
        slots, rates = limits
        return Claim(slots, rates if starts else (), again) if slots or rates else None

    def wait_begins(self, actor: TaskActor) -> None:
        self.host.wait_begins(actor.node.executor, self.run_id, actor.task_id)

    def wait_ends(self, actor: TaskActor) -> None:
        self.host.wait_ends(actor.node.executor)

    # --- money and children ---

    def may_start(self, actor: TaskActor) -> bool:
        if self.ledger.budget is None and self.parent is None:
            self.ledger.tasks += 1
            return True
        return self.spending.may_start(actor)

    def spend(self, actor: TaskActor, cost: Decimal, tokens: int, source: str) -> None:
        self.spending.spend(actor, cost, tokens, source)

    def run_child(
        self,
        actor: TaskActor,
        workflow: Any,
        input: Mapping[str, Any],
        name: str,
        budget: Budget | None,
        *,
        again: bool,
    ) -> Awaitable[dict[str, Any]]:
        id = child_id(self.run_id, actor.task_id, name)
        return run_child(self, actor, id, workflow, input, budget, again=again)

    def leave_children(self, task_id: str) -> None:
        if self.children:
            leave_children(self, task_id)

    def child_ended(self, child: Execution, task_id: str) -> None:
        """Counts what is not in this run's log of its spending."""
        self.children.pop(child.run_id, None)
        if not self.feed.closed:
            self.spending.settle(task_id, child.run_id, child.ledger, is_counted=True)
            if self._seals_later and not self.children:
                self._seal()

    def warn(self, task_id: str, message: str, **fields: Any) -> None:
        """A ``log.created`` of the engine's own, on behalf of a task."""
        actor = self.body(task_id)
        data = {"level": "warning", "message": message, "fields": fields}
        actor.emit(actor.draft("log.created", orjson.dumps(data)))

    # --- the window ---

    @property
    def is_crowded(self) -> bool:
        return self.pipeline.room.crowded

    def wait_for_room(self) -> Awaitable[None]:
        return self.pipeline.wait()

    def committed(self) -> Awaitable[None]:
        """Done when everything written so far is in the log."""
        return self.commits.upto(self.last_written)

    async def begun(self) -> None:
        """Done when ``run.started`` is in the log; raises LogLost where it never will be."""
        while self.feed.last_seq == 0 and self.lost_with is None:
            await self.commits.next()
        if self.feed.last_seq == 0 and self.lost_with is not None:
            raise self.lost_with


def _seen(actor: Actor) -> Upstream:
    completed = actor.status == "completed"
    return Upstream(actor.status, actor.output if completed else None, actor.error, actor.reason, actor.because)
