"""One body, from its slots to its end: whatever the code of a user does is an event, never a crash.

waits      for its upstreams (actor), its condition, its cache, its slots
runs       an attempt (running): a job in an executor, with a voice, within its timeout
ends       completed | failed | cancelled, or retrying: another attempt after a delay
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog

from reactor.definition.binding import MISSING, adapter_for
from reactor.definition.graph import Node
from reactor.errors import ContextClosed, TaskTimeout
from reactor.events import drafts
from reactor.events.event import Draft, task_head
from reactor.events.values import Encoded, describe_error, encode_output, traceback_of
from reactor.supervision.slots import Claim
from reactor.tasks.actor import Actor, Scope
from reactor.tasks.arguments import no_output, shown_arguments
from reactor.tasks.cached import cache_digest
from reactor.tasks.condition import wanted
from reactor.tasks.mailbox import Letter, Mailbox
from reactor.tasks.past import Output, Past
from reactor.tasks.running import Running

logger = structlog.get_logger("reactor")


class TaskActor(Actor):
    """One body: a task, or one child ``name[i]`` of a mapped task.

    ``item`` is the mapped item; for a map over a map it is ``pair``'s output, the child of the same index upstream.
    """

    __slots__ = (
        "_cancel_reason",
        "_cancelled_at",
        "_claim",
        "_digest",
        "_head",
        "_is_admitted",
        "_mailbox",
        "_retry_seconds",
        "_running",
        "_timer",
        "_waiting_children",
        "attempt",
        "exception",
        "failures",
        "item",
        "map_index",
        "pair",
        "was_abandoned",
    )

    def __init__(
        self,
        scope: Scope,
        node: Node,
        *,
        map_index: int | None = None,
        item: Any = None,
        pair: TaskActor | None = None,
    ) -> None:
        super().__init__(scope, node, node.name if map_index is None else f"{node.name}[{map_index}]")
        self.map_index = map_index
        self.item = item
        self.pair = pair
        self._waiting_children: list[TaskActor] | None = None
        """Of a child: those of the next map that pair with it."""
        self.attempt = 0
        self.failures = 0
        self.exception: BaseException | None = None
        """What it failed with, in the process where it did."""
        self.was_abandoned = False
        self._head = b""
        self._is_admitted = False
        self._claim: Claim | None = None
        """What it takes before it starts."""
        self._digest: str | None = None
        """Under what its output is kept, with ``cache=``."""
        self._mailbox: Mailbox | None = None
        self._running: Running | None = None
        self._timer: asyncio.TimerHandle | None = None
        """Of a retry's delay."""
        self._retry_seconds = 0.0
        """What is left of the delay that a restart interrupted."""
        self._cancelled_at = 0.0
        self._cancel_reason: str | None = None

    @property
    def seen_upstreams(self) -> Mapping[str, Actor]:
        """The upstreams as this body sees them: for a child of a map over a map, its pair in place of the whole."""
        pair, source = self.pair, self.node.map_source
        return self.upstreams if pair is None or source is None else {**self.upstreams, source: pair}

    @property
    def mailbox(self) -> Mailbox:
        if self._mailbox is None:
            self._mailbox = Mailbox()
        return self._mailbox

    def restore(self, past: Past) -> None:
        seen = past.tasks.get(self.task_id)
        if seen is not None:
            self.attempt = seen.attempt
            self.failures = seen.failures or 0
            self._retry_seconds = past.retry_seconds.get(self.task_id, 0.0)
            if seen.received:
                self.mailbox.letters += past.letters.get(self.task_id, ())
            if seen.waiting:
                self.mailbox.expect(seen.waiting)
        super().restore(past)

    # --- waiting ---

    def wait_for(self, upstreams: Iterable[Actor]) -> None:
        # a child's other upstreams ended before its mapped task fanned out
        super().wait_for(upstreams if self.map_index is None else self._pairs())
        if self.pair is not None and not self.pair.has_ended:
            self.pair.tell(self)

    def _pairs(self) -> Sequence[TaskActor]:
        return (self.pair,) if self.pair is not None else ()

    def tell(self, child: TaskActor) -> None:
        """Its end is waited for by a child that no graph knows of."""
        if self._waiting_children is None:
            self._waiting_children = []
        self._waiting_children.append(child)

    def tell_dependents(self) -> None:
        if self.map_index is None:
            super().tell_dependents()
            return
        waiting, self._waiting_children = self._waiting_children, None
        for child in waiting or ():
            child.upstream_ended(self)

    def begin(self) -> None:
        if self.status not in ("pending", "retrying"):
            return
        if self.scope.ending is not None:
            self.cancel(self.scope.ending.reason)
        elif self._is_admitted or self._admit():
            self._claim_and_start()

    def _admit(self) -> bool:
        """Decides whether the body runs at all; False where it ended, or will be asked again later."""
        blocker = self.blocked_by(self.upstreams.values() if self.map_index is None else self._pairs())
        if blocker is not None:
            self.skip_after(blocker)
            return False
        reused = self.scope.reused.get(self.task_id)
        if reused is not None:
            self._end_reused(reused)
            return False
        if self.node.task.when is not None and not wanted(self, self.node.task.when):
            if not self.has_ended:
                self.reason, self.because = "condition", self.task_id
                self.end("skipped", self.skipped_draft())
            return False
        self._is_admitted = True
        if self._retry_seconds > 0:
            self.status = "retrying"
            self._timer = self.scope.loop.call_later(self._retry_seconds, self._due)
            return False
        if self.node.task.cache is not None:
            self._digest = cache_digest(self, self.node.task.cache)
            self.scope.hold(self.scope.loop.create_task(self._recall(self._digest)))
            return False
        return True

    async def _recall(self, digest: str) -> None:
        found = await self.scope.cache.recall(self.node, digest)
        if not self.has_ended:
            if found is not None:
                self._end_reused(found)
            else:
                self._due()

    def _due(self) -> None:
        """Ready again, for its turn in the queue."""
        self._timer = None
        self.scope.ready.push(self)
        self.scope.ready.pump()

    def _claim_and_start(self) -> None:
        if self._claim is None:
            self._claim = self.scope.claim_for(self.node, self._again, starts=True)
        if self._claim is not None and (self._claim.is_waiting or not self._claim.take()):
            return
        if self.scope.may_start(self):
            self._start()
        elif self.scope.is_paused and self._claim is None:  # its budget has just paused the run
            self.scope.ready.push(self)

    def _again(self) -> None:
        """A slot is its own now; it may come from another run, whose own queue is the one that is being pumped."""
        self.scope.ready.push(self)
        self.scope.loop.call_soon(self.scope.ready.pump)

    def unclaim(self) -> None:
        if self._claim is not None and self.status in ("pending", "retrying"):
            self._unclaim()
            self.scope.ready.push(self)

    def _unclaim(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()

    def end(self, status: str, draft: Draft | None) -> None:
        self.scope.leave_children(self.task_id)
        super().end(status, draft)

    def fail(self, error: BaseException) -> None:
        if not self.has_ended:
            self._end_failed(error)

    # --- running ---

    def _start(self) -> None:
        self.status = "running"
        self.attempt += 1
        claim, self._claim = self._claim, None
        self._running = Running(self, claim)
        scope = self.scope
        data = drafts.started(self.node.executor, scope.next_index(), scope.total_tasks, shown_arguments(self))
        self.emit(self.draft("task.started", data))
        if self._mailbox is not None:
            self._mailbox.begin_attempt()
        self._running.start()

    def answered(self, output: Any, error: BaseException | None, saw_cancel: bool) -> None:
        """The body has ended, one way or another; called once an attempt."""
        running = self._running
        if self.status != "running" or running is None:
            return
        try:
            self._answered(running, output, error, saw_cancel=saw_cancel)
        except BaseException as broken:  # of a user's value: its repr, a lazy attribute, a predicate
            if not self.has_ended:
                self._end_failed(broken)
            if isinstance(broken, (KeyboardInterrupt, SystemExit)):
                raise  # the process's

    def _answered(self, running: Running, output: Any, error: BaseException | None, *, saw_cancel: bool) -> None:
        if error is None:
            error = no_output(output)
        if self._cancel_reason is not None and (error is not None or saw_cancel):
            self._log_clean_up(error)
            self._end_cancelled(stopped=True)
        elif running.timed_out:
            self._log_clean_up(error)
            self._failed(self._timeout_error())
        elif error is not None:
            self._failed(error)
        else:
            self._end_well(output)

    def gave_up(self, *, is_gone: bool) -> None:
        """It did not stop after its timeout."""
        self.was_abandoned = not is_gone
        if self._cancel_reason is not None:
            self._end_cancelled(stopped=is_gone)
        else:
            self._failed(self._timeout_error("" if is_gone else "; it did not stop and was abandoned"))

    def _end_well(self, output: Any) -> None:
        encoded = encode_output(output, None if self.node.returns is MISSING else adapter_for(self.node.returns))
        self.output = output
        if self.node.is_leaf:
            self.encoded = encoded.json
        if self._digest is not None and encoded.recoverable:
            self.scope.cache.remember(self.node, self._digest, Output(output, encoded.json, encoded.typed))
        self._complete(encoded, self._end_attempt())

    def _end_reused(self, reused: Output) -> None:
        """Completes with what was computed before, by an earlier run or another one."""
        self.output = reused.value
        self.encoded = reused.json if self.node.is_leaf else None
        self._complete(Encoded(reused.json, True, reused.typed), 0.0, cached=True)

    def _complete(self, encoded: Encoded, duration_ms: float, *, cached: bool = False) -> None:
        reference = f"runs/{self.scope.run_id}/tasks/{self.task_id}/output"
        data, blob = drafts.completed(encoded, duration_ms, reference, cached=cached)
        draft = self.draft("task.completed", data)
        self.end("completed", draft if blob is None else draft._replace(blob=blob))

    # --- failing ---

    def _failed(self, error: BaseException) -> None:
        retry = self.node.task.retry
        self.failures += 1
        if retry is None or self.failures >= retry.attempts or self._cancel_reason is not None:
            self._end_failed(error)
            return
        try:
            is_worth_it = retry.takes(error)
        except Exception as broken:  # of a user's function; what it was asked about is its cause
            broken.__cause__ = error
            self._end_failed(broken)
            return
        if is_worth_it:
            self._retry(error, retry.delay_after(self.failures, self.scope.chance(), error))
        else:
            self._end_failed(error)

    def _retry(self, error: BaseException, delay: float) -> None:
        duration_ms = self._end_attempt()
        described = describe_error(error, with_traceback=self.scope.tracebacks)
        data = drafts.retrying(self.attempt + 1, round(delay * 1000, 3), described, duration_ms)
        self.emit(self.draft("task.retrying", data))
        self.status = "retrying"
        self._timer = self.scope.loop.call_later(delay, self._due)
        self.scope.ready.pump()

    def _end_failed(self, error: BaseException) -> None:
        self.exception = error
        self.error = describe_error(error, with_traceback=self.scope.tracebacks)
        self.because = self.task_id
        duration_ms = self._end_attempt()
        self.end("failed", self.draft("task.failed", drafts.failed(self.error, duration_ms)))

    def _timeout_error(self, what_became: str = "") -> TaskTimeout:
        return TaskTimeout(
            f"task {self.task_id} took longer than its timeout of {self.node.task.timeout:g} s{what_became}",
            run_id=self.scope.run_id,
            task_id=self.task_id,
        )

    # --- stopping ---

    def cancel(self, reason: str) -> None:
        if self.has_ended or self._cancel_reason is not None:
            return
        self._cancel_reason = reason
        self._cancelled_at = self.scope.clock.monotonic()
        ending = self.scope.ending
        if self.status != "running" and ending is not None and ending.skips:
            self.reason, self.because = ending.reason, ending.because
            self.end("skipped", self.skipped_draft())
        elif self.status != "running":
            self._end_cancelled(stopped=True)
        elif self._running is not None:
            self._running.stop()

    def abandon(self, *, only_killed: bool = False) -> None:
        if (
            self._running is not None
            and self.status == "running"
            and (not only_killed or self.node.executor == "process")
        ):
            is_gone = self._running.abandon()
            self.was_abandoned = not is_gone
            self._end_cancelled(stopped=is_gone)

    def _end_cancelled(self, *, stopped: bool) -> None:
        stop_ms = self._elapsed_ms(self._cancelled_at) if self.status == "running" else 0.0
        self.because = self.task_id
        self._end_attempt()
        data = drafts.cancelled(self._cancel_reason, stop_ms, stopped=stopped)
        self.end("cancelled", self.draft("task.cancelled", data))

    def _log_clean_up(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, (asyncio.CancelledError, ContextClosed)):
            ids = {"run_id": self.scope.run_id, "task_id": self.task_id}
            logger.error("clean-up after cancel failed", traceback=traceback_of(error), **ids)

    def dispose(self) -> None:
        self._observer = None
        if self.has_ended:
            return
        self.status = "cancelled"  # also where it never began: a slot that becomes free is not for it
        running = self._running
        self.settle()
        if running is not None:
            running.stop()
            running.abandon()

    def _end_attempt(self) -> float:
        """Nothing of this attempt is heard any more; the milliseconds it took."""
        running, self._running = self._running, None
        if running is None:
            return 0.0
        duration_ms = running.elapsed_ms
        running.close()
        self.scope.body_ended(duration_ms)
        return duration_ms

    def settle(self) -> None:
        self._end_attempt()
        self._unclaim()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.item = self.pair = None
        self._head = b""

    # --- what it says, and is sent ---

    def draft(self, type: str, data: bytes) -> Draft:
        if not self._head or type == "task.started":
            self._head = task_head(self.task_id, self.node.name, self.map_index, self.attempt)
        return Draft(type, data, self.task_id, self._head)

    def deliver(self, letter: Letter) -> None:
        """A value somebody sent, which is in the log's window."""
        self.mailbox.deliver(letter)

    def _elapsed_ms(self, since: float) -> float:
        return round((self.scope.clock.monotonic() - since) * 1000, 3)
