"""One body, from its start to its end. Whatever a user's code does becomes an event, never a crash.

waits      for its upstreams (actor), its condition, its cache, its slots (starting)
runs       an attempt (running): a job in an executor, with a voice, within its timeout
ends       completed | failed | cancelled, or retrying: another attempt after a delay
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, NamedTuple

from reactor.definition.binding import MISSING, adapter_for
from reactor.definition.graph import Node
from reactor.definition.returns import OutputCheck
from reactor.errors import ContextClosed, TaskTimeout, WorkerDied
from reactor.events import drafts
from reactor.events.event import Draft, task_head
from reactor.events.in_pieces import encode_in_pieces, encode_small
from reactor.events.restoring import Encoded
from reactor.events.values import describe_error
from reactor.executors.kinds import KINDS
from reactor.interrupts import is_from_signal
from reactor.logger import get_logger, warn_once
from reactor.tasks.arguments import preview_arguments
from reactor.tasks.outputs import Output, output_problem
from reactor.tasks.running import Running
from reactor.tasks.scope import Scope
from reactor.tasks.starting import StartingActor
from reactor.tasks.turns import Turns

logger = get_logger()


class Asked(NamedTuple):
    """Why and when a body was asked to stop."""

    reason: str
    at: float
    """Monotonic, by the clock of the engine."""


class TaskActor(StartingActor):
    """A task that runs a body. ``child.ChildActor`` is the same for one item of a mapped task."""

    __slots__ = ("_asked_to_stop", "_encoding", "_head", "_running", "exception", "was_abandoned")

    def __init__(self, scope: Scope, node: Node, task_id: str) -> None:
        super().__init__(scope, node, task_id)
        self.exception: BaseException | None = None
        """The error itself, in the process where the task failed."""
        self.was_abandoned = False
        self._head = b""
        """The task's part of the envelope, made once an attempt."""
        self._running: Running | None = None
        self._asked_to_stop: Asked | None = None
        self._encoding: Turns[Encoded] | None = None
        """Of a large output."""

    # --- running ---

    def _start(self) -> None:
        self.status = "running"
        self.attempt += 1
        claim, self._claim = self._claim, None
        self._running = Running(self, claim)
        totals = self.scope.totals
        data = drafts.started(self.node.executor, totals.next_index(), totals.tasks, preview_arguments(self))
        self.emit(self.draft("task.started", data))
        if self._mailbox is not None:
            self._mailbox.begin_attempt()
        self._running.start()

    def take_answer(self, output: Any, error: BaseException | None, saw_cancel: bool) -> None:
        """The body has ended, one way or another. Called once an attempt."""
        running = self._running
        if self.status != "running" or running is None:
            return
        try:
            self._judge(running, output, error, saw_cancel=saw_cancel)
        except BaseException as broken:  # raised by a user's value: its repr, a lazy attribute, a predicate
            self._break(broken)

    def _break(self, broken: BaseException) -> None:
        if not self.has_ended:
            self._end_failed(broken)
        if is_from_signal(broken):
            raise broken

    def _judge(self, running: Running, output: Any, error: BaseException | None, *, saw_cancel: bool) -> None:
        if error is None:
            error = output_problem(output)
        if self._asked_to_stop is not None and (error is not None or saw_cancel):
            self._log_failed_clean_up(error)
            self._end_cancelled(stopped=True)
        elif running.timed_out:
            self._log_failed_clean_up(error)
            self._retry_or_fail(self._timeout_error())
        elif error is not None:
            self._retry_or_fail(error)
        else:
            self._encode(running, output)

    def give_up(self, *, is_gone: bool) -> None:
        """The body did not stop after its timeout. ``is_gone``: its process was killed."""
        self.was_abandoned = not is_gone
        if self._asked_to_stop is not None:
            self._end_cancelled(stopped=is_gone)
        else:
            self._retry_or_fail(self._timeout_error("" if is_gone else "; it did not stop and was abandoned"))

    # --- completing ---

    def _encode(self, running: Running, output: Any) -> None:
        """Makes the JSON of the output, and completes. A large one holds the loop for some milliseconds at a time.

        Meanwhile the task is still running. A cancel waits for it, as for a body that has nearly ended.
        """
        annotation = self.node.returns
        adapter = None if annotation is MISSING else adapter_for(annotation)
        encoded = encode_small(output, adapter)
        if encoded is not None:
            self._end_completed(output, encoded)
            return
        running.body_ended()

        def done(encoded: Encoded) -> None:
            try:
                self._end_completed(output, encoded)
            except BaseException as broken:  # of a user's value
                self._break(broken)

        self._encoding = Turns(encode_in_pieces(output, adapter, annotation), done, self._break)
        self._encoding.begin()

    def _end_completed(self, output: Any, encoded: Encoded) -> None:
        self.output = output
        if self.node.output_check is not None and type(output) is not self.node.returns:
            self._compare_with_annotation(self.node.output_check, output)
        if self.node.is_leaf:
            self.encoded = encoded.json
            self.hints = encoded.hints if encoded.typed else False if encoded.recoverable else "lost"
        if self._digest is not None and encoded.recoverable:
            kept = Output(output, encoded.json, encoded.typed, encoded.hints)
            self.scope.cache.remember(self.node, self._digest, kept)
        self._write_completed(encoded, self._end_attempt())

    def _compare_with_annotation(self, check: OutputCheck, output: Any) -> None:
        if (found := check.mismatch(output)) is not None:
            self.node.output_check = None  # once a task, not once an output
            returned, annotated = found
            warn_once(f"{check.task} returned {returned}, but its annotation says {annotated}")

    def _end_reused(self, reused: Output) -> None:
        """Completes with an output from the cache, or of the run that this one retries."""
        self.output = reused.value
        self.encoded = reused.json if self.node.is_leaf else None
        self.hints = reused.hints if reused.typed else False
        self._write_completed(Encoded(reused.json, True, reused.typed, reused.hints), 0.0, cached=True)

    def _write_completed(self, encoded: Encoded, duration_ms: float, *, cached: bool = False) -> None:
        reference = f"runs/{self.scope.run_id}/tasks/{self.task_id}/output"
        data, blob = drafts.completed(encoded, duration_ms, reference, cached=cached)
        self.end("completed", data, blob)

    # --- failing ---

    def fail(self, error: BaseException) -> None:
        if not self.has_ended:
            self._end_failed(error)

    def _retry_or_fail(self, error: BaseException) -> None:
        retry = self.node.task.retry
        self.failures += 1
        if retry is None or self.failures >= retry.attempts or self._asked_to_stop is not None:
            self._end_failed(error)
            return
        try:
            is_worth_it = retry.takes(error)
        except Exception as broken:  # raised by the user's retry_on
            broken.__cause__ = error
            self._end_failed(broken)
            return
        if is_worth_it:
            self._retry(error, retry.delay_after(self.failures, random.random(), error))
        else:
            self._end_failed(error)

    def _retry(self, error: BaseException, delay: float) -> None:
        duration_ms = self._end_attempt()
        described = describe_error(error, with_traceback=self.scope.tracebacks)
        reason = "worker_lost" if isinstance(error, WorkerDied) else "error"
        data = drafts.retrying(self.attempt + 1, round(delay * 1000, 3), described, duration_ms, reason)
        self.emit(self.draft("task.retrying", data))
        self.status = "retrying"
        self._timer = self.scope.clock.call_later(delay, self._become_ready)
        logger.info(
            "task fails and is tried again",
            run_id=self.scope.run_id,
            task_id=self.task_id,
            attempt=self.attempt,
            error=f"{described['type']}: {described['message']}",
            again_in_ms=round(delay * 1000),
        )
        self.scope.ready.pump()

    def _end_failed(self, error: BaseException) -> None:
        logger.error(
            "task failed", run_id=self.scope.run_id, task_id=self.task_id, attempt=self.attempt, exc_info=error
        )
        self.exception = error
        self.error = describe_error(error, with_traceback=self.scope.tracebacks)
        self.because = self.task_id
        duration_ms = self._end_attempt()
        self.end("failed", drafts.failed(self.error, duration_ms))

    def _timeout_error(self, addition: str = "") -> TaskTimeout:
        return TaskTimeout(
            f"task {self.task_id} took longer than its timeout of {self.node.task.timeout:g} s{addition}",
            run_id=self.scope.run_id,
            task_id=self.task_id,
        )

    # --- stopping ---

    def cancel(self, reason: str) -> None:
        if self.has_ended or self._asked_to_stop is not None:
            return
        self._asked_to_stop = Asked(reason, self.scope.clock.monotonic())
        ending = self.scope.control.ending
        if self.status != "running" and ending is not None and ending.skips:
            self.reason, self.because = ending.reason, ending.because
            self.end("skipped", self.skipped_data())
        elif self.status != "running":
            self._end_cancelled(stopped=True)
        elif self._running is not None:
            self._running.stop()

    def abandon(self, *, only_killed: bool = False) -> None:
        running = self._running
        if running is None or self.status != "running" or (only_killed and not KINDS[self.node.executor].can_kill):
            return
        is_gone = running.abandon()
        self.was_abandoned = not is_gone
        self._end_cancelled(stopped=is_gone)

    def _end_cancelled(self, *, stopped: bool) -> None:
        asked, stop_ms = self._asked_to_stop, 0.0
        if asked is not None and self.status == "running":
            stop_ms = round((self.scope.clock.monotonic() - asked.at) * 1000, 3)
        self.because = self.task_id
        self._end_attempt()
        self.end("cancelled", drafts.cancelled(None if asked is None else asked.reason, stop_ms, stopped=stopped))

    def _log_failed_clean_up(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, (asyncio.CancelledError, ContextClosed)):
            logger.error("clean-up after cancel failed", run_id=self.scope.run_id, task_id=self.task_id, exc_info=error)

    def dispose(self) -> None:
        self._observer = None
        if self.has_ended:
            return
        self.status = "cancelled"  # also where it never began: a slot that becomes free is not for it
        running = self._running
        self.release()
        if running is not None:
            running.stop()
            running.abandon()

    # --- the end of an attempt, and of the task ---

    def end(self, status: str, data: bytes | None, blob: bytes | None = None) -> None:
        self.scope.children.leave(self.task_id)
        super().end(status, data, blob)

    def _end_attempt(self) -> float:
        """Closes the attempt, so that nothing of it reaches the run any more. Returns the milliseconds it took."""
        running, self._running = self._running, None
        if self._encoding is not None:
            self._encoding.stop()
            self._encoding = None
        if running is None:
            return 0.0
        duration_ms = running.elapsed_ms
        running.close()
        self.scope.totals.task_time_ms += duration_ms
        return duration_ms

    def release(self) -> None:
        self._end_attempt()
        self._drop_claim()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._head = b""

    # --- its events ---

    def draft(self, type: str, data: bytes) -> Draft:
        if not self._head or type == "task.started":
            self._head = task_head(self.task_id, self.node.name, self.map_index, self.attempt)
        return Draft(type, data, self.task_id, self._head)
