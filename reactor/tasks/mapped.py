"""A mapped task: one child an item. Its drafts are those of its children."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Final

from reactivex.abc import SchedulerBase

from reactor.definition.graph import Node
from reactor.events import drafts
from reactor.events.event import Draft
from reactor.events.state import ENDED, mapped_status, outcome_of
from reactor.events.values import describe_error
from reactor.interrupts import is_from_signal
from reactor.logger import get_logger
from reactor.operators.attached import Callbacks, Disposing, Sink
from reactor.stream.merge_tasks import merge_tasks
from reactor.tasks.actor import Actor
from reactor.tasks.child import ChildActor
from reactor.tasks.past import Past
from reactor.tasks.scope import CompletionObserver, Ended, Scope, UpstreamTask
from reactor.tasks.turns import Turns

logger = get_logger()

_AT_ONCE: Final = 200
"""Children that are made in one step of a fan-out."""


class MappedActor(Actor):
    """Fans out over the list of its source, as soon as there is one. Completes when all children have ended.

    Over another mapped task it pairs by index: it fans out when its source does, and child i waits for child i of it.
    Its output is the list of the children's outputs, in order, without those skipped by their own condition.

    One that had fanned out before a restart has its children at once, also while its run is paused or its source runs
    again: they can be sent values and be cancelled. They go on once it fans out again, which gives them their items.
    """

    __slots__ = (
        "_fan_out_observers", "_fanning_out", "_open", "_past", "children", "has_fanned_out", "pairs_with", "source",
    )  # fmt: skip

    def __init__(self, scope: Scope, node: Node, task_id: str) -> None:
        super().__init__(scope, node, task_id)
        source = scope.actors[node.map_source or ""]
        self.source = source
        self.pairs_with = source if isinstance(source, MappedActor) and node.pairs else None
        self.children: list[ChildActor] = []
        self.has_fanned_out = False
        self._past: Past | None = None
        self._open = 0
        """How many merged parts of its children have not ended."""
        self._fanning_out: Turns[list[ChildActor]] | None = None
        self._fan_out_observers: list[CompletionObserver] = []
        """The maps over this one."""

    def restore(self, past: Past) -> None:
        seen = past.tasks.get(self.task_id)
        if seen is None or seen.count is None:
            super().restore(past)
            return
        self._past = past
        self.children = [ChildActor(self.scope, self.node, i, seen.count) for i in range(seen.count)]
        for child in self.children:
            child.restore(past)
        if seen.status in ENDED and self.task_id not in past.runs_again:
            # every child has ended, so the items are no longer needed
            self.has_fanned_out = True
            self._conclude()
            self.status = seen.status

    def attach(self, sink: Sink[Draft], scheduler: SchedulerBase | None = None) -> Disposing:
        attached = super().attach(sink, scheduler)
        if self._past is not None and not self.has_ended:
            for child in self.children:
                child.await_item()
            self._open = 1
            self._merge(self.children)
        return attached

    def _merge(self, children: list[ChildActor]) -> None:
        if self._observer is not None:
            merge_tasks(children).attach(Callbacks(self._observer.on_next, self._child_broke, self._part_ended))

    def _part_ended(self) -> None:
        self._open -= 1
        if not self._open:
            self.end(self._conclude(), None)

    def wait_for(self, upstreams: Iterable[UpstreamTask]) -> None:
        source = self.pairs_with
        if source is not None and not source.has_fanned_out and not source.has_ended:
            source.observe_fan_out(self)
            self._waiting += 1
        super().wait_for(upstream for upstream in upstreams if upstream is not source)

    def observe_fan_out(self, observer: CompletionObserver) -> None:
        """Calls ``on_completed`` once, when the children are known or there will be none."""
        self._fan_out_observers.append(observer)

    def begin(self) -> None:
        if self.has_ended:
            return
        if self.scope.control.ending is not None:
            self.cancel(self.scope.control.ending.reason)
            return
        blocker = self._find_blocker()
        if blocker is not None:
            if self._past is None:
                self.skip_after(blocker)
            else:
                self._end_restored(lambda child: child.skip_after(blocker))
            return
        if self.pairs_with is not None:
            self._fan_out(pairs=self.pairs_with.children)
            return
        items = self.source.output
        if isinstance(items, (list, tuple)):
            self._fan_out(items=list(items))  # pyright: ignore[reportUnknownArgumentType]  # a body's output
        else:
            self.fail(TypeError(f"map over {self.source.task_id!r} needs a list, not {type(items).__name__}"))

    def _find_blocker(self) -> Ended | None:
        # without a list there is nothing to map, whatever ``on_upstream_failure`` says
        source = self.source
        there = source.status == "completed" if self.pairs_with is None else self.pairs_with.has_fanned_out
        if not there:
            return source
        return self.find_blocker(upstream for upstream in self.upstreams.values() if upstream is not source)

    def _fan_out(self, *, items: Sequence[Any] | None = None, pairs: Sequence[ChildActor] | None = None) -> None:
        """One child for each item, or each pair. Many are made in turns of the loop, before anybody hears of them."""
        count = len(items or pairs or ())
        if self._past is not None:
            self._fan_out_again(count, items, pairs)
            return
        self._fanning_out = Turns(self._make_children(count, items, pairs), self._has_children, self._break)
        self._fanning_out.begin()

    def _make_children(
        self, count: int, items: Sequence[Any] | None, pairs: Sequence[ChildActor] | None
    ) -> Generator[None, None, list[ChildActor]]:
        """New children, each with its item or its pair, merged into the run. None of them begins yet."""
        made: list[ChildActor] = []
        starts = range(0, max(1, count), _AT_ONCE)
        self._open = len(starts)
        for start in starts:
            part = [
                ChildActor(
                    self.scope, self.node, i, count, item=items[i] if items else None, pair=pairs[i] if pairs else None
                )
                for i in range(start, min(start + _AT_ONCE, count))
            ]
            for child in part:
                child.await_item()
            made += part
            if part:
                self._merge(part)
            yield
        return made

    def _has_children(self, children: list[ChildActor]) -> None:
        """All are made: says so, and lets them begin."""
        self._fanning_out = None
        self.scope.totals.tasks += len(children)
        data = drafts.mapped(len(children))
        self.emit(self.draft("task.mapped", data if children else self.ended_data(data)))
        self.children = children
        self.has_fanned_out = True
        self.status = "running"
        with self.scope.ready.held():
            for child in children:
                child.on_completed()  # what it awaited besides its pair
            if not children:
                self._part_ended()
            self._complete_fan_out()
        self.scope.ready.pump()

    def _break(self, broken: BaseException) -> None:
        self.fail(broken)
        if is_from_signal(broken):
            raise broken

    def _fan_out_again(self, count: int, items: Sequence[Any] | None, pairs: Sequence[ChildActor] | None) -> None:
        """Gives the children that there are since before a restart what they need to go on."""
        if (before := len(self.children)) != count:
            error = ValueError(f"the list it maps over had {before} items before the restart, now {count}")
            self._end_restored(lambda child: child.fail(error))
            return
        self.has_fanned_out = True
        self.status = "running"
        for i, child in enumerate(self.children):
            child.give(items[i] if items else None, pairs[i] if pairs else None)
        self._complete_fan_out()

    def _end_restored(self, end: Callable[[ChildActor], None]) -> None:
        """It had fanned out before the restart and cannot do so again: ends the children that had not ended."""
        with self.scope.ready.held():
            self.has_fanned_out = True
            for child in self.children:
                if not child.has_ended:
                    end(child)
            self._complete_fan_out()

    def _complete_fan_out(self) -> None:
        observers, self._fan_out_observers = self._fan_out_observers, []
        for observer in observers:
            observer.on_completed()

    def _child_broke(self, error: Exception) -> None:
        """A bug in the engine, since a failing body is a value."""
        raise error

    def _conclude(self) -> str:
        """Derives output, error and status from those of the children."""
        tally: dict[str, int] = {}
        for child in self.children:
            outcome = outcome_of(child.status, child.reason)
            tally[outcome] = tally.get(outcome, 0) + 1
        if len(tally) > 1 or "completed" not in tally:
            self._name_cause()
        status = mapped_status(tally)
        if status == "completed":
            completed = [child for child in self.children if child.status == "completed"]
            self.output = [child.output for child in completed]
            if self.node.is_leaf:
                self.encoded = b"[%b]" % b",".join(child.encoded or b"null" for child in completed)
        return status

    def _name_cause(self) -> None:
        """Not all have completed: the first that failed is why, else the first that did not for a reason of others."""
        failed = (child for child in self.children if child.status == "failed")
        blocked = (child for child in self.children if outcome_of(child.status, child.reason) != "completed")
        first = next(failed, None) or next((child for child in blocked if child.reason != "condition"), None)
        if first is not None:
            self.because, self.error = first.because, first.error

    def fail(self, error: BaseException) -> None:
        if self.has_ended:
            return
        logger.error("task failed", run_id=self.scope.run_id, task_id=self.task_id, attempt=0, exc_info=error)
        self.error = describe_error(error)
        self.because = self.task_id
        self.end("failed", drafts.failed(self.error, 0.0, mapped=True))

    def skipped_data(self) -> bytes:
        return drafts.skipped(self.reason, self.because, mapped=True)

    def release(self) -> None:
        self._stop_fanning_out()
        self._complete_fan_out()  # it has ended without fanning out: maps over it are skipped too

    def cancel(self, reason: str) -> None:
        if self.has_ended:
            return
        if self.has_fanned_out:
            for child in self.children:
                child.cancel(reason)
            return
        if self._past is not None:
            self._end_restored(lambda child: child.cancel(reason))
            return
        ending = self.scope.control.ending
        if ending is not None and ending.skips:
            self.reason, self.because = ending.reason, ending.because
            self.end("skipped", self.skipped_data())
            return
        self.reason = reason
        self.because = self.task_id
        self.end("cancelled", drafts.cancelled(reason, 0.0, stopped=True, mapped=True))

    def abandon(self, *, only_killed: bool = False) -> None:
        for child in self.children:
            child.abandon(only_killed=only_killed)

    def release_claim(self) -> None:
        for child in self.children:
            child.release_claim()

    def _stop_fanning_out(self) -> None:
        fanning_out, self._fanning_out = self._fanning_out, None
        if fanning_out is not None:
            fanning_out.stop()

    def dispose(self) -> None:
        self._observer = None
        self._stop_fanning_out()
        if not self.has_ended:
            self.status = "cancelled"
        for child in self.children:
            child.dispose()
