"""One task is one observable.

An actor is subscribed to once, by the run's bus: the merged stream of all its tasks (``runs.crew``). It waits until its
upstreams have ended, is begun by the ready queue, runs, emits its drafts and completes. A failing body is a
``task.failed`` draft; ``on_error`` would mean a bug in here. ``body.TaskActor`` runs a body, ``mapped.MappedActor``
fans out.

    upstreams  --x----x|                     their completion is all it observes
    actor      -------(started)--(what the body emits)--(completed | failed | skipped | cancelled)|
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Final, Literal

from reactivex.abc import SchedulerBase

from reactor.definition.graph import Node
from reactor.events import drafts
from reactor.events.event import Draft, task_head
from reactor.events.progress import WHOLE_TASK
from reactor.events.restoring import Hints
from reactor.events.state import ENDED, TASK_STATUS
from reactor.events.vocabulary import TASK_ENDS
from reactor.operators.attached import Attachable, Disposing, Sink
from reactor.tasks.past import Past
from reactor.tasks.scope import CompletionObserver, Ended, Scope, UpstreamTask

_END_TYPES: Final = {TASK_STATUS[type]: type for type in TASK_ENDS}
"""Final status -> the type of the event that leads to it."""


class Actor(Attachable[Draft]):
    """What a task and a mapped task have in common: waiting for upstreams, and ending.

    ``status`` is as in ``RunState``; ``because`` is the task where a skip or failure began.
    """

    __slots__ = (
        "_dependents",
        "_observer",
        "_waiting",
        "because",
        "encoded",
        "error",
        "hints",
        "node",
        "output",
        "reason",
        "scope",
        "status",
        "task_id",
    )

    units: int = WHOLE_TASK
    """What its end adds to the progress of the run."""

    # not Attachable.__init__: an actor attaches by itself
    def __init__(self, scope: Scope, node: Node, task_id: str) -> None:
        self.scope = scope
        self.node = node
        self.task_id = task_id
        self.status = "pending"
        self.output: Any = None
        self.encoded: bytes | None = None
        """The JSON of the output, kept where the run's terminal event needs it."""
        self.hints: Hints | Literal[False, "lost"] | None = False
        """What the return annotation needs to restore the output from that JSON. False: nothing, it is plain JSON;
        ``"lost"``: that JSON only shows it."""
        self.error: dict[str, Any] | None = None
        self.reason: str | None = None
        self.because: str | None = None
        self._waiting = 0
        self._observer: Sink[Draft] | None = None
        """The run's bus. It gets the drafts and the completion."""
        self._dependents: list[CompletionObserver] | None = None
        """They get the completion only. In the order of the graph; dropped at the end."""

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def upstreams(self) -> dict[str, UpstreamTask]:
        """By name. Looked up each time and not kept, because a run may have 50,000 tasks."""
        actors = self.scope.actors
        return {name: actors[name] for name in self.node.upstreams}

    # --- before a run goes on after a restart ---

    def restore(self, past: Past) -> None:
        """Takes over what the log says of this task."""
        seen = past.tasks.get(self.task_id)
        if seen is None or self.task_id in past.runs_again:
            return
        if seen.status in ENDED:
            self.status, self.reason, self.because, self.error = seen.status, seen.reason, seen.because, seen.error
            if self.because is None and seen.status != "completed":
                self.because = self.task_id  # a failure begins where it happened; its event need not say so
            output = past.outputs.get(self.task_id)
            if output is not None:
                self.output, self.encoded = output.value, output.json
                self.hints = "lost" if seen.recoverable is False else output.hints if output.typed else False

    # --- waiting ---

    def attach(self, sink: Sink[Draft], scheduler: SchedulerBase | None = None) -> Disposing:
        """Starts to wait for its upstreams. ``sink`` gets every draft, then the end."""
        if self._observer is not None:
            raise RuntimeError(f"the actor of {self.task_id} already has its one subscriber, the run's bus")
        self._observer = sink
        if self.has_ended:  # before a restart
            sink.on_completed()
        else:
            self.wait_for(self.upstreams.values())
        return self

    def wait_for(self, upstreams: Iterable[UpstreamTask]) -> None:
        """Observes the completion of the upstreams that have not ended. When none is left it is ready."""
        for upstream in upstreams:
            if upstream.status not in ENDED:
                self._waiting += 1
                upstream.observe_completion(self)
        if not self._waiting:
            self.scope.ready.push(self)

    def on_completed(self) -> None:
        """An upstream has completed."""
        self._waiting -= 1
        if not self._waiting:
            self.scope.ready.push(self)

    def observe_completion(self, observer: CompletionObserver) -> None:
        """Calls ``on_completed`` once, when this task ends. Costs a place in a list, and no subscription object."""
        if self._dependents is None:
            self._dependents = [observer]
        else:
            self._dependents.append(observer)

    def find_blocker(self, upstreams: Iterable[Ended]) -> Ended | None:
        """The first upstream whose end skips this task."""
        if not self.node.runs_on_failure:
            for upstream in upstreams:
                if upstream.status != "completed":
                    return upstream
        return None

    # --- what each kind of task does in its own way ---

    @abstractmethod
    def begin(self) -> None:
        """Called by the ready queue, in the order in which tasks became ready."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Ends as failed, because of an error around the body and not in it."""

    @abstractmethod
    def cancel(self, reason: str) -> None:
        """Asks the task to end. What has not begun ends at once."""

    @abstractmethod
    def abandon(self, *, only_killed: bool = False) -> None:
        """Ends without the body's answer. ``only_killed``: only where the body's process can be killed."""

    @abstractmethod
    def dispose(self) -> None:
        """The run is gone: stops the body and writes nothing more."""

    def release_claim(self) -> None:
        """The run is paused: gives back the slots it waits for, and waits in the ready queue instead."""

    # --- writing and ending ---

    def emit(self, draft: Draft) -> None:
        if self._observer is not None:
            self._observer.on_next(draft)

    def draft(self, type: str, data: bytes) -> Draft:
        return Draft(type, data, self.task_id, task_head(self.task_id, self.node.name, None, 0))

    def skip_after(self, upstream: Ended) -> None:
        """Ends as skipped, and names the task where the skip began."""
        self.reason = "condition" if upstream.reason == "condition" else "upstream_failed"
        self.because = upstream.because or upstream.task_id
        self.end("skipped", self.skipped_data())

    def skipped_data(self) -> bytes:
        return drafts.skipped(self.reason, self.because)

    def end(self, status: str, data: bytes | None, blob: bytes | None = None) -> None:
        """The one way out: writes the last event, then completes. The bus and its dependents observe that.

        ``data``: of the event ``task.<status>``; None for a mapped task whose children have said all.
        """
        observer = self._observer
        last = None
        if data is not None and observer is not None:
            last = self.draft(_END_TYPES[status], self.ended_data(data))
            if blob is not None:
                last = last._replace(blob=blob)
        self.status = status
        self.release()
        if observer is not None:
            if last is not None:
                observer.on_next(last)
            observer.on_completed()
        dependents, self._dependents = self._dependents, None
        if dependents is not None:
            for dependent in dependents:
                dependent.on_completed()
        self.scope.ready.pump()

    def ended_data(self, data: bytes) -> bytes:
        """Data of an event that ends this task, with the progress of the run and what the task has spent."""
        scope, task_id = self.scope, self.task_id
        progress = scope.progress.add_end(task_id, self.units)
        return drafts.ended(data, progress, scope.spending.spent_by.get(task_id))

    def release(self) -> None:
        """Lets go of what it holds, before anybody hears of its end."""
