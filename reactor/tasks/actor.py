"""Run: one task is one observable.

An actor is subscribed to once, by the merge into the run's bus. It waits until its upstreams ended, is begun by the
ready queue, runs, emits its drafts and completes. A failing body is a ``task.failed`` draft; ``on_error`` would mean a
bug in here. ``body.TaskActor`` runs a body, ``mapped.MappedActor`` fans out.

    upstreams  --x----x|
    actor      -------(started)--(what the body emits)--(completed | failed | skipped | cancelled)|
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from reactivex.abc import SchedulerBase

from reactor.definition.graph import Node
from reactor.definition.policy import Budget
from reactor.events import drafts
from reactor.events.event import Draft, task_head
from reactor.events.state import ENDED
from reactor.operators.attached import Attachable, Disposing, Sink
from reactor.ports.clock import Clock
from reactor.ports.executor import Executor
from reactor.supervision.ending import Ending
from reactor.supervision.slots import Claim, ReadyQueue
from reactor.tasks.past import Output, Past

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.ports.attempt import Attempt
    from reactor.tasks.body import TaskActor
    from reactor.tasks.cached import OutputCache


T = TypeVar("T")


class Scope(Protocol):
    """What an actor sees of its run."""

    run_id: str
    inputs: dict[str, Any]
    input_json: dict[str, bytes]
    loop: asyncio.AbstractEventLoop
    clock: Clock
    ready: ReadyQueue
    executors: Mapping[str, Executor]
    tracebacks: bool
    total_tasks: int
    reused: Mapping[str, Output]
    cache: OutputCache

    @property
    def actors(self) -> Mapping[str, Actor]: ...
    @property
    def ending(self) -> Ending | None: ...
    @property
    def is_paused(self) -> bool: ...
    @property
    def is_crowded(self) -> bool: ...
    def in_context(self, function: Callable[..., T], *arguments: Any) -> T: ...
    def wait_for_room(self) -> Awaitable[None]: ...
    def committed(self) -> Awaitable[None]: ...
    def resumed(self) -> Awaitable[None]: ...
    def claim_for(self, node: Node, again: Callable[[], None], *, starts: bool) -> Claim | None: ...
    def wait_begins(self, actor: TaskActor) -> None: ...
    def wait_ends(self, actor: TaskActor) -> None: ...
    def may_start(self, actor: TaskActor) -> bool: ...
    def next_index(self) -> int: ...
    def attempt_of(self, actor: TaskActor) -> Attempt: ...
    def hold(self, job: asyncio.Task[None]) -> None: ...
    def body_ended(self, duration_ms: float) -> None: ...
    def chance(self) -> float: ...
    def spend(self, actor: TaskActor, cost: Decimal, tokens: int, source: str) -> None: ...
    def run_child(
        self,
        actor: TaskActor,
        workflow: Any,
        input: Mapping[str, Any],
        name: str,
        budget: Budget | None,
        *,
        again: bool,
    ) -> Awaitable[dict[str, Any]]: ...
    def leave_children(self, task_id: str) -> None: ...


class Actor(Attachable[Draft]):
    """What a task and a mapped task have in common: waiting, ending, and telling those who depend on it.

    ``status`` is as in ``RunState``; ``because`` is the task where a skip or failure began.
    """

    __slots__ = (
        "_observer",
        "_waiting",
        "because",
        "encoded",
        "error",
        "node",
        "output",
        "reason",
        "scope",
        "status",
        "task_id",
    )

    # not Attachable.__init__: these speak for themselves
    def __init__(self, scope: Scope, node: Node, task_id: str) -> None:
        self.scope = scope
        self.node = node
        self.task_id = task_id
        self.status = "pending"
        self.output: Any = None
        self.encoded: bytes | None = None
        """JSON of the output, kept where the run's terminal event needs it."""
        self.error: dict[str, Any] | None = None
        self.reason: str | None = None
        self.because: str | None = None
        self._waiting = 0
        self._observer: Sink[Draft] | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def upstreams(self) -> dict[str, Actor]:
        """By name; looked up and not kept, for a run may have 50,000 tasks."""
        actors = self.scope.actors
        return {name: actors[name] for name in self.node.upstreams}

    def attach(self, sink: Sink[Draft], scheduler: SchedulerBase | None = None) -> Disposing:
        """Begins to wait, and speaks to this one from now on."""
        if self._observer is not None:
            raise RuntimeError(f"the actor of {self.task_id} has its one subscriber, the run's bus; follow the run")
        self._observer = sink
        if self.has_ended:  # before a restart
            sink.on_completed()
        else:
            self.wait_for(self.upstreams.values())
        return self

    def wait_for(self, upstreams: Iterable[Actor]) -> None:
        """Counts the upstreams that have not ended, each of which will tell; ready when none is left."""
        for upstream in upstreams:
            if not upstream.has_ended:
                self._waiting += 1
        if not self._waiting:
            self.scope.ready.push(self)

    def upstream_ended(self, upstream: Actor) -> None:
        """Called once by each that had not ended when this one began to wait."""
        self._waiting -= 1
        if not self._waiting:
            self.scope.ready.push(self)

    def blocked_by(self, upstreams: Iterable[Actor]) -> Actor | None:
        """The first upstream whose end skips this task."""
        if not self.node.runs_on_failure:
            for upstream in upstreams:
                if upstream.status != "completed":
                    return upstream
        return None

    def restore(self, past: Past) -> None:
        """Takes over what the log says of this task, before the run goes on."""
        seen = past.tasks.get(self.task_id)
        if seen is None or self.task_id in past.runs_again:
            return
        if seen.status in ENDED:
            self.status, self.reason, self.because, self.error = seen.status, seen.reason, seen.because, seen.error
            if self.because is None and seen.status != "completed":
                self.because = self.task_id  # a failure begins where it happened, which its event need not say
            output = past.outputs.get(self.task_id)
            if output is not None:
                self.output, self.encoded = output.value, output.json

    def begin(self) -> None:
        """Called by the ready queue, in the order in which tasks became ready."""
        raise AssertionError("abstract")

    def fail(self, error: BaseException) -> None:
        """Ends as failed, for what went wrong around a body instead of in it."""
        raise AssertionError("abstract")

    def cancel(self, reason: str) -> None:
        """Asks to end; what has not begun ends at once."""
        raise AssertionError("abstract")

    def abandon(self, *, only_killed: bool = False) -> None:
        """Ends without the body's answer; ``only_killed``: only what can be killed, so that nothing is left of it."""
        raise AssertionError("abstract")

    def unclaim(self) -> None:
        """The run is paused: what waits for its slots waits in the ready queue instead."""

    def dispose(self) -> None:
        """The run is gone: stops without a word."""
        raise AssertionError("abstract")

    def emit(self, draft: Draft) -> None:
        if self._observer is not None:
            self._observer.on_next(draft)

    def skip_after(self, upstream: Actor) -> None:
        """Ends as skipped, naming where it began."""
        self.reason = "condition" if upstream.reason == "condition" else "upstream_failed"
        self.because = upstream.because or upstream.task_id
        self.end("skipped", self.skipped_draft())

    def skipped_draft(self) -> Draft:
        """What a skip of this task writes."""
        return self.draft("task.skipped", drafts.skipped(self.reason, self.because))

    def draft(self, type: str, data: bytes) -> Draft:
        return Draft(type, data, self.task_id, task_head(self.task_id, self.node.name, None, 0))

    def end(self, status: str, draft: Draft | None) -> None:
        """The one way out: the last draft, completion, then everybody who waited."""
        self.status = status
        self.settle()
        observer = self._observer
        if observer is not None:
            if draft is not None:
                observer.on_next(draft)
            observer.on_completed()
        self.tell_dependents()
        self.scope.ready.pump()

    def tell_dependents(self) -> None:
        """Those whose upstream it is, in the graph's order."""
        actors = self.scope.actors
        for name in self.node.dependents:
            actors[name].upstream_ended(self)

    def settle(self) -> None:
        """What has to be settled before anybody hears of the end."""
