"""A mapped task: an observable of its fan-out and of all its children's drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from reactor.definition.binding import UPSTREAM
from reactor.definition.graph import Node
from reactor.events import drafts
from reactor.events.event import Draft
from reactor.events.state import ENDED, mapped_status, outcome_of
from reactor.events.values import describe_error
from reactor.operators.attached import Callbacks
from reactor.stream.merge_tasks import merge_tasks
from reactor.tasks.actor import Actor, Scope
from reactor.tasks.body import TaskActor
from reactor.tasks.past import Past


class MappedActor(Actor):
    """Fans out over its source's list as soon as it is there; completes when all children ended.

    Over another mapped task it pairs by index: it fans out when that one does, and child i waits for child i.
    Its output is the ordered list of its children's; a child skipped by its own condition is left out.
    """

    __slots__ = ("_paired", "_past", "children", "has_fanned_out", "pairs_with", "source")

    def __init__(self, scope: Scope, node: Node) -> None:
        super().__init__(scope, node, node.name)
        source = scope.actors[node.map_source or ""]
        takes_whole_list = any(
            p.kind == UPSTREAM and p.source == node.map_source for p in (*node.parameters, *node.when)
        )
        self.source = source
        self.pairs_with = source if isinstance(source, MappedActor) and not takes_whole_list else None
        self.children: list[TaskActor] = []
        self.has_fanned_out = False
        self._past: Past | None = None
        self._paired: list[MappedActor] = []
        """Mapped tasks that wait for this one to fan out."""

    def restore(self, past: Past) -> None:
        seen = past.tasks.get(self.task_id)
        if seen is None or seen.count is None:
            super().restore(past)
            return
        self._past = past
        if seen.status in ENDED and self.task_id not in past.runs_again:
            # the items are not needed any more: every child has ended
            self.children = [self._child(i) for i in range(seen.count)]
            self.has_fanned_out = True
            for child in self.children:
                child.restore(past)
            self._conclude()
            self.status = seen.status

    def wait_for(self, upstreams: Iterable[Actor]) -> None:
        source = self.pairs_with
        if source is not None and not source.has_fanned_out and not source.has_ended:
            source._paired.append(self)  # pyright: ignore[reportPrivateUsage]  # of its own class
            self._waiting += 1
        super().wait_for(upstream for upstream in upstreams if upstream is not source)

    def upstream_ended(self, upstream: Actor) -> None:
        if upstream is not self.pairs_with:  # which tells when it fans out
            super().upstream_ended(upstream)

    def begin(self) -> None:
        if self.has_ended:
            return
        if self.scope.ending is not None:
            self.cancel(self.scope.ending.reason)
            return
        blocker = self._blocked()
        if blocker is not None:
            if self._past is None:
                self.skip_after(blocker)
            else:
                self._end_restored(self._past, lambda child: child.skip_after(blocker))
            return
        if self.pairs_with is not None:
            self._fan_out([self._child(i, pair=child) for i, child in enumerate(self.pairs_with.children)])
            return
        items = self.source.output
        if isinstance(items, (list, tuple)):
            listed: list[Any] = list(items)  # pyright: ignore[reportUnknownArgumentType]  # a body's output
            self._fan_out([self._child(i, item=item) for i, item in enumerate(listed)])
        else:
            self.fail(TypeError(f"map over {self.source.task_id!r} needs a list, not {type(items).__name__}"))

    def _blocked(self) -> Actor | None:
        # without a list there is nothing to map, whatever the policy says
        source = self.source
        there = source.status == "completed" if self.pairs_with is None else self.pairs_with.has_fanned_out
        if not there:
            return source
        return self.blocked_by(upstream for upstream in self.upstreams.values() if upstream is not source)

    def _child(self, index: int, *, item: Any = None, pair: TaskActor | None = None) -> TaskActor:
        return TaskActor(self.scope, self.node, map_index=index, item=item, pair=pair)

    def _fan_out(self, children: list[TaskActor]) -> None:
        if self._past is None:
            self.scope.total_tasks += len(children)
            self.emit(self.draft("task.mapped", b'{"count":%d}' % len(children)))
        elif (before := self._past.tasks[self.task_id].count) != len(children):
            error = ValueError(f"the list it maps over had {before} items before the restart, now {len(children)}")
            self._end_restored(self._past, lambda child: child.fail(error))
            return
        else:
            for child in children:
                child.restore(self._past)
        self.children = children
        self.has_fanned_out = True
        self.status = "running"
        if self._observer is not None:
            merge_tasks(children).attach(Callbacks(self._observer.on_next, self._child_broke, self._all_ended))
        if self._past is not None:
            for child in children:
                if (reason := self._past.cancelling.get(child.task_id)) is not None:  # asked to stop before the restart
                    child.cancel(reason)
        self._tell_paired()

    def _end_restored(self, past: Past, end: Callable[[TaskActor], None]) -> None:
        """It had fanned out before the restart and cannot again: ends the children that had not ended then."""
        with self.scope.ready.held():
            self._fan_out([self._child(i) for i in range(past.tasks[self.task_id].count or 0)])
            for child in self.children:
                if not child.has_ended:
                    end(child)

    def _tell_paired(self) -> None:
        paired, self._paired = self._paired, []
        for mapped in paired:
            Actor.upstream_ended(mapped, self)

    def _child_broke(self, error: Exception) -> None:
        """A bug of the engine: a failing body is a value."""
        raise error

    def _all_ended(self) -> None:
        self.end(self._conclude(), None)

    def _conclude(self) -> str:
        """Output, error and status from the children's."""
        tally: dict[str, int] = {}
        for child in self.children:
            outcome = outcome_of(child.status, child.reason)
            tally[outcome] = tally.get(outcome, 0) + 1
        failed = (child for child in self.children if child.status == "failed")
        blocked = (child for child in self.children if outcome_of(child.status, child.reason) != "completed")
        first = next(failed, None) or next((child for child in blocked if child.reason != "condition"), None)
        if first is not None:
            self.because, self.error = first.because, first.error
        status = mapped_status(tally)
        if status == "completed":
            completed = [child for child in self.children if child.status == "completed"]
            self.output = [child.output for child in completed]
            if self.node.is_leaf:
                self.encoded = b"[%b]" % b",".join(child.encoded or b"null" for child in completed)
        return status

    def fail(self, error: BaseException) -> None:
        if self.has_ended:
            return
        self.error = describe_error(error)
        self.because = self.task_id
        self.end("failed", self.draft("task.failed", drafts.failed(self.error, 0.0, mapped=True)))

    def skipped_draft(self) -> Draft:
        return self.draft("task.skipped", drafts.skipped(self.reason, self.because, mapped=True))

    def settle(self) -> None:
        self._tell_paired()  # it ended without fanning out: they are skipped too

    def cancel(self, reason: str) -> None:
        if self.has_ended:
            return
        if self.has_fanned_out:
            for child in self.children:
                child.cancel(reason)
            return
        if self._past is not None:
            self._end_restored(self._past, lambda child: child.cancel(reason))
            return
        ending = self.scope.ending
        if ending is not None and ending.skips:
            self.reason, self.because = ending.reason, ending.because
            self.end("skipped", self.skipped_draft())
            return
        self.reason = reason
        self.because = self.task_id
        data = drafts.cancelled(reason, 0.0, stopped=True, mapped=True)
        self.end("cancelled", self.draft("task.cancelled", data))

    def abandon(self, *, only_killed: bool = False) -> None:
        for child in self.children:
            child.abandon(only_killed=only_killed)

    def unclaim(self) -> None:
        for child in self.children:
            child.unclaim()

    def dispose(self) -> None:
        self._observer = None
        if not self.has_ended:
            self.status = "cancelled"
        for child in self.children:
            child.dispose()
