"""One run while it is open in this process: wires actors -> merge -> pipeline -> feed, and ends it exactly once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import orjson
import structlog

from reactor import bounds
from reactor.actor import Actor
from reactor.body import TaskActor
from reactor.context import Attempt, Context, Upstream
from reactor.drafts import run_started
from reactor.events import Draft, Window
from reactor.executors.threads import ThreadExecutor
from reactor.feed import Feed
from reactor.graph import Graph
from reactor.mapped import MappedActor
from reactor.operators.merge_tasks import merge_tasks
from reactor.past import Output, Past
from reactor.pipeline import Pipeline
from reactor.ports import Clock, EventLog
from reactor.slots import ReadyQueue, Slots
from reactor.summary import terminal_draft
from reactor.values import traceback_of

logger = structlog.get_logger("reactor")


class Host:
    """What an engine lends to its runs."""

    def __init__(
        self,
        log: EventLog,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        threads: ThreadExecutor,
        resources: Mapping[str, Any],
        *,
        tracebacks: bool,
        append_timeout: float,
    ) -> None:
        self.append_timeout = append_timeout
        self.log = log
        self.clock = clock
        self.loop = loop
        self.threads = threads
        self.thread_slots = Slots(bounds.THREADS)
        self.resources = MappingProxyType(dict(resources))
        self.tracebacks = tracebacks


class Execution:
    """Owns the actors and the pipeline of an open run. Loop thread only.

    ``ended(execution)`` is called once: after the terminal event was published, or when the log was lost.
    """

    def __init__(
        self,
        host: Host,
        graph: Graph,
        feed: Feed,
        inputs: dict[str, Any],
        meta: Mapping[str, Any],
        *,
        ended: Callable[[Execution], None],
        past: Past | None = None,
        retry_of: str | None = None,
        reused: Mapping[str, Output] | None = None,
    ) -> None:
        self.run_id = feed.run_id
        self.graph = graph
        self.feed = feed
        self.inputs = inputs
        encoded = graph.encode_input(inputs)
        self.input_json = {name: value.json for name, value in encoded.items()}
        self._lost_inputs = [name for name, value in encoded.items() if not value.recoverable]
        self.meta = dict(meta)
        self.leaves = frozenset(graph.leaves)
        self.loop = host.loop
        self.clock = host.clock
        self.threads = host.threads
        self.thread_slots = host.thread_slots
        self.tracebacks = host.tracebacks
        bodies = sum(node.map_source is None for node in graph.nodes)
        self.total_tasks = past.total_tasks if past else bodies
        self.task_slots = {
            node.name: Slots(node.task.concurrency) for node in graph.nodes if node.task.concurrency is not None
        }
        self.lost_with: Exception | None = None
        self.failure: BaseException | None = None
        """The first exception of a body."""
        self._host = host
        self._ended = ended
        self._bodies: set[asyncio.Task[None]] = set()
        """Strong references: the loop itself keeps only weak ones."""
        self._past = past
        self._retry_of = retry_of
        self.reused = reused or {}
        """Outputs of an earlier run that this one takes over, by task id."""
        self._started_bodies = past.started_bodies if past else 0
        self._task_time_ms = past.task_time_ms if past else 0.0
        self._started_at = self.clock.monotonic() - (past.elapsed_ms / 1000 if past else 0.0)
        self.cancel_reason: str | None = None
        self._crash_loop = False
        self._grace: asyncio.TimerHandle | None = None
        self._written = feed.last_seq
        self._waiting_for_commit: deque[tuple[int, Callable[[], None]]] = deque()
        self.pipeline = Pipeline(
            self.run_id,
            host.log,
            host.clock,
            host.loop,
            publish=self._publish,
            lost=self._log_lost,
            last_seq=feed.last_seq,
            append_timeout=host.append_timeout,
        )
        self.ready = ReadyQueue(self.pipeline.room)
        self.actors = self._make_actors()

    def _make_actors(self) -> dict[str, Actor]:
        actors: dict[str, Actor] = {}
        for node in self.graph.nodes:  # upstreams first
            upstreams = {name: actors[name] for name in node.upstreams}
            make = TaskActor if node.map_source is None else MappedActor
            actor = actors[node.name] = make(self, node, upstreams)
            if self._past is not None:
                actor.restore(self._past)
        return actors

    def start(self) -> None:
        """Writes ``run.started`` and begins whatever is ready."""
        beginning = run_started(
            self.graph,
            self.run_id,
            self.input_json,
            self.meta,
            self.total_tasks,
            retry_of=self._retry_of,
            lost_inputs=self._lost_inputs,
        )
        self.write(beginning)
        self._connect()
        self.ready.pump()

    def recover(self, past: Past) -> None:
        """Goes on where the log ends: what had begun and not ended begins again; a cancel is finished."""
        if not all(actor.has_ended for actor in self.actors.values()):
            self.write(Draft("run.resumed", orjson.dumps({"reason": "recovered", "by": None})))
        self.cancel_reason = past.cancel_reason
        self._connect()
        if past.is_crash_loop:
            self._crash_loop = True
        if past.cancel_reason is not None or past.is_crash_loop:
            with self.ready.held():  # the end of one makes others ready, which shall not begin
                for actor in self.actors.values():
                    actor.cancel("crash")
        self.ready.pump()

    def _connect(self) -> None:
        bus = merge_tasks(list(self.actors.values()))
        self._subscription = bus.subscribe(self.write, self._engine_bug, self._seal)

    # --- the pipeline ---

    def write(self, draft: Draft) -> None:
        self._written += 1
        self.pipeline.write(draft)

    def _publish(self, window: Window) -> None:
        self.feed.publish(window)
        waiting = self._waiting_for_commit
        while waiting and waiting[0][0] <= self.feed.last_seq:
            waiting.popleft()[1]()
        if self.feed.closed:
            self._close()

    def _close(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
        while self._waiting_for_commit:
            self._waiting_for_commit.popleft()[1]()
        self._ended(self)

    def _log_lost(self, error: Exception) -> None:
        """The run ends in this process only: nothing unlogged is published, bodies are stopped without a word."""
        if self.feed.closed:
            return
        logger.error("run ended in this process, its log is lost", run_id=self.run_id, error=str(error))
        self.lost_with = error
        self._subscription.dispose()
        self.pipeline.dispose()
        self.feed.close("log")
        self._close()

    def suspend(self) -> None:
        """Leaves the run as its log has it, for the next start: bodies are stopped, nothing more is written."""
        if not self.feed.closed:
            self._subscription.dispose()
            self.pipeline.dispose()
            self.feed.close("shutdown")
            self._close()

    def _engine_bug(self, error: Exception) -> None:
        logger.critical("a bug in the engine ended a run", run_id=self.run_id, traceback=traceback_of(error))
        self._log_lost(error)

    def _seal(self) -> None:
        """All actors completed: the terminal event, after which nothing has a number."""
        self.write(
            terminal_draft(
                self.run_id,
                self.graph,
                self.actors,
                cancelled=self.cancel_reason,
                crash_loop=self._crash_loop,
                duration_ms=(self.clock.monotonic() - self._started_at) * 1000,
                task_time_ms=self._task_time_ms,
            )
        )

    # --- what actors and contexts ask of their run ---

    def next_index(self) -> int:
        """Numbers the starts, from 0."""
        index = self._started_bodies
        self._started_bodies += 1
        return index

    def hold(self, job: asyncio.Task[None]) -> None:
        self._bodies.add(job)
        job.add_done_callback(self._bodies.discard)

    def body_ended(self, duration_ms: float) -> None:
        self._task_time_ms += duration_ms

    def context_of(self, actor: TaskActor) -> Context:
        attempt = Attempt(
            run_id=self.run_id,
            task_id=actor.task_id,
            attempt=actor.attempt + (actor.status == "pending"),  # a condition speaks for the attempt to come
            map_index=actor.map_index,
            input=dict(self.inputs),
            meta={**self.meta, **actor.node.task.meta},
            upstreams=MappingProxyType({name: _seen(upstream) for name, upstream in actor.seen_upstreams.items()}),
            resources=self._host.resources,
        )
        return Context(attempt, self, lambda type, data: actor.emit(actor.draft(type, data)))

    @property
    def is_crowded(self) -> bool:
        return self.pipeline.room.crowded

    def wait_for_room(self) -> Awaitable[None]:
        return self.pipeline.wait()

    def when_room(self, callback: Callable[[], None]) -> None:
        """Calls back as soon as the window has room; at once where it has."""
        room = self.pipeline.room
        if room.full:
            room.when_free(callback)
        else:
            callback()

    def committed(self) -> Awaitable[None]:
        """Done when everything written so far is in the log."""
        done: asyncio.Future[None] = self.loop.create_future()
        self.when_committed(lambda: _settle(done))
        return done

    def when_committed(self, callback: Callable[[], None]) -> None:
        if self._written <= self.feed.last_seq or self.feed.closed:
            callback()
        else:
            self._waiting_for_commit.append((self._written, callback))

    async def begun(self) -> None:
        """Done when ``run.started`` is in the log; raises LogLost where it never will be."""
        while self.feed.last_seq == 0 and self.lost_with is None:
            await self.next_window()
        if self.feed.last_seq == 0 and self.lost_with is not None:
            raise self.lost_with

    def next_window(self) -> asyncio.Future[None]:
        """Done when anything was committed, or nothing more will be."""
        done: asyncio.Future[None] = self.loop.create_future()
        self._waiting_for_commit.appendleft((self.feed.last_seq + 1, lambda: _settle(done)))
        return done

    # --- stopping ---

    def cancel(self, reason: str, *, by: str | None, grace: float) -> None:
        """``run.cancelling`` at once: what has not begun ends, bodies are told, and abandoned ``grace`` seconds later.

        A second cancel may only shorten the grace.
        """
        if self.cancel_reason is None:
            draft = Draft("run.cancelling", orjson.dumps({"reason": reason, "by": by}))
            self.cancel_reason = reason
            self.write(draft)
            for actor in self.actors.values():
                actor.cancel(reason)
        if self._grace is None or self.loop.time() + grace < self._grace.when():
            if self._grace is not None:
                self._grace.cancel()
            self._grace = self.loop.call_later(grace, self._abandon)

    def _abandon(self) -> None:
        for actor in self.actors.values():
            actor.abandon()


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _seen(actor: Actor) -> Upstream:
    completed = actor.status == "completed"
    return Upstream(actor.status, actor.output if completed else None, actor.error, actor.reason, actor.because)
