"""One run while it is open in this process: its parts, put together, and how it starts, goes on and ends."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Mapping
from itertools import chain
from typing import Any

import orjson

from reactor.definition.graph import Graph
from reactor.events.drafts import json_object, run_started
from reactor.events.event import Draft, Window
from reactor.events.restoring import input_digest
from reactor.events.state import RUN_STATUS
from reactor.logger import get_logger
from reactor.ports.executor import Executor
from reactor.runs.beginning import Beginning
from reactor.runs.child_records import ChildRecords
from reactor.runs.children import Children
from reactor.runs.control import Control
from reactor.runs.crew import Crew
from reactor.runs.host import Host
from reactor.runs.journal import Journal
from reactor.runs.kin import Kin
from reactor.runs.limits import Limits
from reactor.runs.outset import executors_of, info_of, progress_of
from reactor.runs.outside import Outside
from reactor.runs.spending import Spending
from reactor.runs.summary import terminal_draft
from reactor.runs.time_limits import time_limits
from reactor.stream.feed import Feed
from reactor.supervision.ending import EndReason
from reactor.supervision.isolation import Isolation
from reactor.supervision.ledger import Ledger
from reactor.supervision.stopwatch import Stopwatch
from reactor.supervision.totals import Totals
from reactor.tasks.cache import OutputCache
from reactor.tasks.outputs import Output
from reactor.tasks.past import Past
from reactor.tasks.scope import Scope
from reactor.waiting import turn_of

logger = get_logger()


class Execution(Kin):
    """An open run. Loop thread only.

    actors (crew) -> merge -> journal: number, window, append, publish -> feed

    ``published(window)`` is called with each window once everybody may see it; ``ended(execution)`` once, after the
    terminal event was published, or when the run cannot go on in this process. ``past`` is what the log says of a run
    that goes on after a restart, ``reused`` the outputs that a retry takes over. ``in_turns``: its actors are not made
    yet, ``assemble`` does that.
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
        in_turns: bool = False,
    ) -> None:
        self.run_id = feed.run_id
        self.graph = graph
        self.feed = feed
        self.ledger = past.ledger if past else Ledger(beginning.budget)
        self.beginning = beginning
        self.reused: Mapping[str, Output] = reused or {}
        self._clock, self._digest_key = host.clock, host.digest_key
        self._ended = ended
        self._encoded_inputs = graph.encode_input(beginning.inputs)
        self._started_at = host.clock.monotonic() - (past.elapsed_ms / 1000 if past else 0.0)
        self._is_waiting_for_children = False
        self._is_connected = False
        self._terminal: Draft | None = None

        self._published = published
        self._make_parts(host, past)
        self._actors = self.crew.assemble(self._scope(host, executors_of(host, self.journal, past)), past)
        if not in_turns:
            deque(self._actors, maxlen=0)

    def _make_parts(self, host: Host, past: Past | None) -> None:
        feed, graph, beginning = self.feed, self.graph, self.beginning
        history = None if past is None else past.trace
        self.trace = None
        if host.tracing is not None:
            self.trace = host.tracing.run(host.tenant, self.run_id, graph.name, beginning.trace, history)
        self.journal = Journal(
            host, feed, info_of(host, graph, feed.run_id, beginning), trace=self.trace, published=self._on_published,
            stop_bodies=lambda: self.crew.stop(), closed=self._close,
        )  # fmt: skip
        self.crew = Crew(graph, self.journal.room, host.loop, is_session=beginning.session)
        self.children = Children(self, host.child_runs)
        self.control = Control(self.journal, self.crew, self.children, self._stopwatch(host, past), host)
        self.child_records = ChildRecords(self.journal, self.crew)
        above = None if self.parent is None else (self.parent.run.spending, self.parent.task_id)
        self.spending = Spending(self.run_id, self.journal, self.crew, self.control, self.ledger, above)
        self.outside = Outside(host, self.journal, self.crew, self.spending, beginning.idle)
        self.limits = Limits(self.run_id, host, graph)
        self._progress = progress_of(graph, past)
        self.totals = Totals(past.total_tasks, past.started_bodies, past.task_time_ms) if past else Totals(graph.bodies)

    def _stopwatch(self, host: Host, past: Past | None) -> Stopwatch:
        alarms = time_limits(
            self.graph.timeout,
            self.ledger.budget,
            stop=lambda ending: self.control.stop(ending),
            use_seconds=lambda part: self.spending.use_seconds(self.control.stopwatch.elapsed, part),
        )
        return Stopwatch(host.clock, alarms, past.active_ms / 1000 if past else 0.0)

    def _scope(self, host: Host, executors: Mapping[str, Executor]) -> Scope:
        """What its actors see of it."""
        return Scope(
            run_id=self.run_id,
            tenant=host.tenant,
            inputs=self.beginning.inputs,
            input_json={name: value.json for name, value in self._encoded_inputs.items()},
            meta=dict(self.beginning.meta),
            resources=host.resources,
            reused=self.reused,
            tracebacks=host.tracebacks,
            loop=host.loop,
            scheduler=host.scheduler,
            clock=host.clock,
            executors=executors,
            cache=OutputCache(host.outputs, host.clock, self.graph, host.loop, host.digest_key),
            isolation=Isolation(),
            actors=self.crew.actors,
            ready=self.crew.ready,
            totals=self.totals,
            progress=self._progress,
            journal=self.journal,
            control=self.control,
            spending=self.spending,
            limits=self.limits,
            children=self.children,
            trace=self.trace,
            given_trace=self.beginning.trace,
        )

    # --- its start ---

    async def assemble(self) -> None:
        """Makes and connects its actors, before ``start``. Others have the loop meanwhile: of 50,000 it takes 0.2 s."""
        turn = turn_of(asyncio.get_running_loop())
        for _ in chain(self._actors, self._connecting()):
            await turn
        self._is_connected = True

    def start(self) -> None:
        """Writes ``run.started`` and begins whatever is ready."""
        inputs = self._encoded_inputs
        self.journal.write(
            run_started(
                self.run_id,
                {**self.graph.facts, "total_tasks": self.totals.tasks},
                {"input": json_object({name: value.json for name, value in inputs.items()}), **self.graph.large_facts},
                meta=self.beginning.meta,
                origin=self.beginning.origin,
                inputs=inputs,
                input_digest=input_digest(self._digest_key, self.beginning.inputs, inputs),
            )
        )
        self.control.stopwatch.go()
        self._pause_with_parent()
        self._connect()
        self.outside.begin()
        self.crew.ready.pump()

    def write_resumed(self, past: Past) -> None:
        """Writes ``run.resumed``, where a body of the run is left that has not ended."""
        if not self.crew.has_ended:
            number = self.feed.state.recoveries + 1
            data = {"reason": "recovered", "by": None, "downtime_ms": past.downtime_ms, "recovery": number}
            data |= {"crashed": True} if past.crashed else {}
            self.journal.write(Draft("run.resumed", orjson.dumps(data)))

    def recover(self, past: Past) -> None:
        """Goes on after ``write_resumed``: bodies that had begun begin again, a cancel is finished."""
        self.control.ending = past.ending
        if past.owes_pause:
            self.control.pause(EndReason.BUDGET, by=None)
        if past.is_paused:
            self.control.hold(self.feed.state.reason)
        with self.crew.ready.held():  # before all are connected, what one writes would be lost
            self._connect()
        if past.ending is not None:
            self.control.cancel_all(EndReason.CRASH)
        elif not self.control.is_paused:
            self.control.stopwatch.go()
            self.outside.begin(past.silent_ms / 1000)
            self._pause_with_parent()
        with self.crew.ready.held():  # the end of one must not begin the next
            for task_id, reason in past.cancelling.items():
                if (actor := self.crew.find(task_id)) is not None:
                    actor.cancel(reason)
        self.crew.ready.pump()

    def _pause_with_parent(self) -> None:
        """The parent may have been paused while this child run was looked for in the log."""
        if self.parent is not None and self.parent.run.is_paused:
            self.control.pause(EndReason.PARENT, by=None)

    def _connecting(self) -> Generator[None]:
        return self.crew.connect(self.journal.write, self._fail_on_bug, self._seal)

    def _connect(self) -> None:
        if not self._is_connected:
            deque(self._connecting(), maxlen=0)

    def _on_published(self, window: Window) -> None:
        self._published(window)
        self.spending.committed(window[-1].seq)

    # --- its end ---

    @property
    def sealed_as(self) -> str | None:
        """The final status, once the terminal event is written."""
        return None if self._terminal is None else RUN_STATUS[self._terminal.type]

    def _seal(self) -> None:
        """All tasks have ended: writes the terminal event, unless child runs are still open."""
        if self.children.open:
            self._is_waiting_for_children = True
            return
        if self.children.end_left():  # a crash, or a cancel, came between the start and the end of a child
            return
        self.control.stopwatch.ring_due()
        try:
            self._terminal = terminal_draft(
                self.run_id,
                self.graph,
                self.crew.actors,
                ending=self.control.ending,
                ledger=self.ledger,
                duration_ms=(self._clock.monotonic() - self._started_at) * 1000,
                task_time_ms=self.totals.task_time_ms,
                closing=self.outside.closing,
                is_child=self.parent is not None,
            )
            self.journal.seal(self._terminal)
        except Exception as bug:  # the run must not stay open without a word
            self._fail_on_bug(bug)

    def _fail_on_bug(self, error: Exception) -> None:
        logger.critical("a bug in the engine ended a run", run_id=self.run_id, exc_info=error)
        self.journal.lose(error)

    def _close(self) -> None:
        self.control.close()
        self.outside.leave()
        self.spending.leave()
        self._ended(self)
        self._terminal = None  # its parent has it: who keeps this run need not keep the outputs twice

    def warn(self, task_id: str, message: str, **fields: Any) -> None:
        """Writes a ``log.created`` of the engine's own about a task."""
        actor = self.crew.actor(task_id)
        data = {"level": "warning", "message": message, "fields": fields}
        actor.emit(actor.draft("log.created", orjson.dumps(data)))
