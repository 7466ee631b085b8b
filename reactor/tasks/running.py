"""One attempt of a body while it runs: its job in an executor, its voice, its timeout, its slots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Protocol, TypeVar, cast

from reactivex import Observable

from reactor import bounds
from reactor.clock import Patience
from reactor.ports.clock import Timer
from reactor.ports.executor import Job, Timed, Work
from reactor.supervision.slots import Claim
from reactor.supervision.stopwatch import Stopwatch
from reactor.tasks.arguments import bind
from reactor.tasks.attempts import attempt_of
from reactor.tasks.observable import ObservableJob
from reactor.tasks.outputs import COMMON_TYPES
from reactor.tasks.scope import Body
from reactor.tasks.voice import TaskVoice

T = TypeVar("T")


class RunningBody(Body, Protocol):
    """The actor whose attempt this is."""

    def take_answer(self, output: Any, error: BaseException | None, saw_cancel: bool) -> None:
        """The body has ended. Called once an attempt."""
        ...

    def give_up(self, *, is_gone: bool) -> None:
        """The body did not stop after its timeout. ``is_gone``: its process was killed."""
        ...


class Running:
    """Begins with ``start`` and ends with ``close``; after that nothing of the attempt reaches the run.

    In between it calls its actor once: ``take_answer``, or ``give_up`` where the body did not stop after its timeout.
    """

    __slots__ = (
        "_body",
        "_claim",
        "_freed",
        "_grace",
        "_is_stopping",
        "_job",
        "_scope",
        "_stopwatch",
        "_voice",
        "_waits",
        "started_at",
        "timed_out",
    )

    def __init__(self, body: RunningBody, claim: Claim | None) -> None:
        self._body = body
        self._scope = body.scope
        self._claim = claim
        self._voice: TaskVoice | None = None
        self._job: Job | None = None
        self._stopwatch: Stopwatch | None = None
        self._grace: Timer | None = None
        """Runs while the body may still stop after its timeout."""
        self._freed: asyncio.Future[None] | None = None
        """Done when it got the slot it waits for, or no longer needs it."""
        self._waits = 0
        self._is_stopping = False
        self.timed_out = False
        self.started_at = self._scope.clock.monotonic()

    def start(self) -> None:
        """Hands the body to its executor. Raises what binding its arguments raises."""
        body, scope, node = self._body, self._scope, self._body.node
        arguments, attempt = bind(body, node.arguments), None
        place = scope.given_trace
        if scope.trace is not None:
            place = scope.trace.begin(body.task_id, node.name, body.map_index, body.attempt)
        if node.context is not None:
            self._voice = TaskVoice(body, self)
            attempt = attempt_of(body, None if place is None else place.traceparent)
        if node.task.timeout is not None:
            self._stopwatch = Stopwatch(scope.clock, [(node.task.timeout, self._time_out)])
            self._stopwatch.go()
        work = Work(
            node.task, arguments, scope.run_id, body.task_id, node.context, attempt, self._voice, scope.tenant, place
        )  # fmt: skip
        self._job = self._in_context(scope.executors[node.executor].submit, work, self._take_answer)

    def _in_context(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function with the context variables of the run, not those of the body whose end started this one.

        The current span is that of this attempt.
        """
        scope = self._scope
        if scope.trace is None:
            return scope.isolation.call(function, *arguments)
        return scope.isolation.call(scope.trace.call, self._body.task_id, function, *arguments)

    @property
    def elapsed_ms(self) -> float:
        return round((self._scope.clock.monotonic() - self.started_at) * 1000, 3)

    def _take_answer(self, output: Any, error: BaseException | None) -> None:
        job, self._job = self._job, None
        if job is None:
            return
        # not isinstance: that asks the value, which may raise anything
        if type(output) not in COMMON_TYPES and issubclass(type(output), Observable) and not self._is_stopping:
            scope, task_id = self._scope, self._body.task_id
            observing = self._job = ObservableJob(
                scope.loop, scope.scheduler, self._take_answer, run_id=scope.run_id, task_id=task_id
            )
            self._in_context(observing.start, cast("Observable[Any]", output))
        else:
            if self._stopwatch is not None:
                self.timed_out = self.timed_out or self._is_late(job, self._stopwatch)
            self._scope.isolation.call(self._body.take_answer, output, error, job.saw_cancel)

    def _is_late(self, job: Job, stopwatch: Stopwatch) -> bool:
        """Whether the body took longer than its timeout while it held the loop, and with it the timer."""
        timeout = self._body.node.task.timeout
        if timeout is None or stopwatch.elapsed < timeout:
            return False
        ended_at = job.ended_at if isinstance(job, Timed) else None
        waited = 0.0 if ended_at is None else max(0.0, monotonic() - ended_at)  # its answer, for a loop that was held
        return stopwatch.elapsed - waited >= timeout

    # --- stopping ---

    def stop(self) -> None:
        """Asks the body to end. Its answer comes as ``take_answer``."""
        self._is_stopping = True
        if self._job is not None:
            self._job.cancel()

    def abandon(self) -> bool:
        """Stops waiting for the body. True where it is really gone, False where its thread goes on."""
        job, self._job = self._job, None
        return job is None or job.abandon()

    def _time_out(self) -> None:
        self.timed_out = True
        self._grace = Patience(self._scope.clock, bounds.TIMEOUT_GRACE_SECONDS, self._give_up)
        self.stop()

    def _give_up(self) -> None:
        if self._job is not None:
            self._body.give_up(is_gone=self.abandon())

    def body_ended(self) -> None:
        """The body has ended, and the attempt has not: what is left of it takes time, in which it says nothing."""
        if self._stopwatch is not None:
            self._stopwatch.stop()
        if self._voice is not None:
            self._voice.close()

    def close(self) -> None:
        """Ends the attempt: frees its slots, stops its timers, closes its voice."""
        if self._stopwatch is not None:
            self._stopwatch.stop()
        if self._grace is not None:
            self._grace.cancel()
        if self._voice is not None:
            self._voice.close()
        self._release_claim()

    def _release_claim(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()
            self._wake()

    # --- waiting while it runs ---

    async def park(self, answer: Awaitable[T]) -> T:
        """Waits for an answer without holding a slot, while the timeout stands still; then waits for its slots."""
        try:
            self._scope.limits.wait_begins(self._body)
        except BaseException:
            if asyncio.iscoroutine(answer):
                answer.close()
            raise
        self._waits += 1
        if self._waits == 1:
            self._release_claim()
            if self._stopwatch is not None:
                self._stopwatch.stop()
        try:
            return await answer
        finally:
            self._waits -= 1
            self._scope.limits.wait_ends(self._body)
            if self._waits == 0 and self.is_going:
                await self._reclaim()

    @property
    def is_going(self) -> bool:
        """False once the body has ended, or was told to stop."""
        return self._job is not None and not self._is_stopping

    async def _reclaim(self) -> None:
        """Takes its slots again. A cancel from the body itself (``asyncio.timeout``) has to wait for them too."""
        interrupted: asyncio.CancelledError | None = None
        self._claim = claim = self._scope.limits.claim_for(self._body.node, self._wake, starts=False)
        while claim is not None and claim is self._claim and not self._scope.limits.take(self._body, claim):
            while claim.is_waiting:
                self._freed = self._scope.loop.create_future()
                try:
                    await self._freed
                except asyncio.CancelledError as error:
                    if not self.is_going:
                        self._release_claim()  # the body may take long to end, and needs no slot for it
                        raise
                    interrupted = error
        if self._stopwatch is not None and self.is_going and self._waits == 0:
            self._stopwatch.go()
        if interrupted is not None:
            raise interrupted

    def _wake(self) -> None:
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)
