"""From ready to started: whether the body has to run at all, and the slots it takes first."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from reactor.definition.graph import Node
from reactor.ports.clock import Timer
from reactor.supervision.slots import Claim
from reactor.tasks.actor import Actor
from reactor.tasks.cache_key import cache_digest
from reactor.tasks.condition import condition_holds
from reactor.tasks.mailbox import Mailbox
from reactor.tasks.outputs import Output
from reactor.tasks.past import Past
from reactor.tasks.scope import Ended, Scope


class StartingActor(Actor):
    """A task that runs a body, up to its start. ``body.TaskActor`` goes on from there.

    In this order: its upstreams, an output that a retry takes over, its condition, what is left of a retry's delay, its
    cache, its slots, the run's budget.
    """

    __slots__ = ("_claim", "_digest", "_is_admitted", "_mailbox", "_retry_seconds", "_timer", "attempt", "failures")

    map_index: int | None = None
    item: Any = None
    pair: Any = None  # of a ``ChildActor``

    def __init__(self, scope: Scope, node: Node, task_id: str) -> None:
        super().__init__(scope, node, task_id)
        self.attempt: int = 0
        self.failures: int = 0
        self._is_admitted = False
        self._digest: str | None = None
        """The key of its output in the store, with ``cache=``."""
        self._claim: Claim | None = None
        """The slots and rates it takes before it starts."""
        self._timer: Timer | None = None
        """Runs during the delay of a retry."""
        self._retry_seconds = 0.0
        """What is left of a retry's delay that a restart interrupted."""
        self._mailbox: Mailbox | None = None

    @property
    def seen_upstreams(self) -> Mapping[str, Ended]:
        """The upstreams as ``ctx.upstreams`` shows them."""
        return self.upstreams

    @property
    def mailbox(self) -> Mailbox:
        """The values that were sent to it."""
        if self._mailbox is None:
            self._mailbox = Mailbox()
        return self._mailbox

    def restore(self, past: Past) -> None:
        seen = past.tasks.get(self.task_id)
        if seen is not None:
            self.attempt = seen.attempt
            self.failures = seen.failures or 0
            self._retry_seconds = past.retry_seconds.get(self.task_id, 0.0)
            if self.task_id in past.mailboxes:
                self.mailbox.restore(*past.mailboxes[self.task_id])
        super().restore(past)

    def begin(self) -> None:
        if self.status not in ("pending", "retrying"):
            return
        ending = self.scope.control.ending
        if ending is not None:
            self.cancel(ending.reason)
        elif self._is_admitted or self._admit():
            self._claim_and_start()

    def blockers(self) -> Iterable[Ended]:
        """The upstreams whose failure skips it."""
        return self.upstreams.values()

    def _admit(self) -> bool:
        """Decides whether the body runs at all. False where the task has ended, or ``begin`` will be called again."""
        blocker = self.find_blocker(self.blockers())
        if blocker is not None:
            self.skip_after(blocker)
            return False
        reused = self.scope.reused.get(self.task_id)
        if reused is not None:
            self._end_reused(reused)
            return False
        if self.node.task.when is not None and not condition_holds(self, self.node.task.when):
            if not self.has_ended:
                self.reason, self.because = "condition", self.task_id
                self.end("skipped", self.skipped_data())
            return False
        self._is_admitted = True
        if self._retry_seconds > 0:
            self.status = "retrying"
            self._timer = self.scope.clock.call_later(self._retry_seconds, self._become_ready)
            return False
        if self.node.task.cache is not None:
            self._digest = cache_digest(self, self.node.task.cache)
            if self._digest is not None:
                self.scope.cache.recall(self.node, self._digest, self._take_recalled)
                return False
        return True

    def _take_recalled(self, output: Output | None) -> None:
        if self.has_ended:
            return
        if output is not None:
            self._end_reused(output)
        else:
            self._become_ready()

    def _become_ready(self) -> None:
        """Goes into the queue again, for its turn."""
        self._timer = None
        self.scope.ready.push(self)
        self.scope.ready.pump()

    def _claim_and_start(self) -> None:
        scope = self.scope
        if self._claim is None:
            self._claim = scope.limits.claim_for(self.node, self._try_again, starts=True)
        if self._claim is not None and (self._claim.is_waiting or not scope.limits.take(self, self._claim)):
            return
        if scope.spending.may_start(self):
            self._start()
        elif scope.control.is_paused and self._claim is None:  # its budget has just paused the run
            scope.ready.push(self)

    def _try_again(self) -> None:
        """A slot is free for it now. The slot may come from another run, whose own queue is being pumped."""
        self.scope.ready.push(self)
        self.scope.loop.call_soon(self.scope.ready.pump)

    def release_claim(self) -> None:
        if self._claim is not None and self.status in ("pending", "retrying"):
            self._drop_claim()
            self.scope.ready.push(self)

    def _drop_claim(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()

    @abstractmethod
    def _start(self) -> None:
        """Starts an attempt. Everything it needs is taken."""

    @abstractmethod
    def _end_reused(self, reused: Output) -> None:
        """Completes with an output from the cache, or of the run that this one retries."""
