"""One attempt of a body while it runs: its job in an executor, its voice, its timeout, and what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

from reactor import bounds
from reactor.ports.executor import Job, Work
from reactor.supervision.slots import Claim
from reactor.supervision.stopwatch import Stopwatch
from reactor.tasks.arguments import bind
from reactor.tasks.voice import TaskVoice

if TYPE_CHECKING:
    from reactor.tasks.body import TaskActor

T = TypeVar("T")


class Running:
    """Begins with ``start``, and ends with ``close``, after which nothing of it is heard any more.

    In between it tells its actor once: ``answered``, or ``gave_up`` where it did not stop after its timeout.
    """

    __slots__ = (
        "_actor",
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

    def __init__(self, actor: TaskActor, claim: Claim | None) -> None:
        self._actor = actor
        self._scope = actor.scope
        self._claim = claim
        self._voice: TaskVoice | None = None
        self._job: Job | None = None
        self._stopwatch: Stopwatch | None = None
        self._grace: asyncio.TimerHandle | None = None
        """What it gets to stop after its timeout."""
        self._freed: asyncio.Future[None] | None = None
        """Done when a slot it waits for is its own, or no longer wanted."""
        self._waits = 0
        self._is_stopping = False
        self.timed_out = False
        self.started_at = self._scope.clock.monotonic()

    def start(self) -> None:
        """Hands the body to its executor. Raises what binding its arguments raises."""
        actor, scope, node = self._actor, self._scope, self._actor.node
        arguments, attempt = bind(actor, node.arguments), None
        if node.context is not None:
            self._voice = TaskVoice(actor, self)
            attempt = scope.attempt_of(actor)
        if node.task.timeout is not None:
            self._stopwatch = Stopwatch(scope.loop, [(node.task.timeout, self._time_out)])
            self._stopwatch.go()
        work = Work(node.task, arguments, scope.run_id, actor.task_id, node.context, attempt, self._voice)
        # in the run's context, not in that of the body whose end has begun this one
        self._job = scope.in_context(scope.executors[node.executor].submit, work, self._answered)

    @property
    def elapsed_ms(self) -> float:
        return round((self._scope.clock.monotonic() - self.started_at) * 1000, 3)

    def _answered(self, output: Any, error: BaseException | None) -> None:
        job, self._job = self._job, None
        if job is not None:
            self._scope.in_context(self._actor.answered, output, error, job.saw_cancel)

    # --- stopping ---

    def stop(self) -> None:
        """Asks the body to end; how it answers is told as ``answered``."""
        self._is_stopping = True
        if self._job is not None:
            self._job.cancel()

    def abandon(self) -> bool:
        """Waits for it no longer; True where it is really gone."""
        job, self._job = self._job, None
        return job is None or job.abandon()

    def _time_out(self) -> None:
        self.timed_out = True
        self._grace = self._scope.loop.call_later(bounds.TIMEOUT_GRACE_SECONDS, self._give_up)
        self.stop()

    def _give_up(self) -> None:
        if self._job is not None:
            self._actor.gave_up(is_gone=self.abandon())

    def close(self) -> None:
        """The attempt is over: its slots are free, its timers stopped, its voice silent."""
        if self._stopwatch is not None:
            self._stopwatch.stop()
        if self._grace is not None:
            self._grace.cancel()
        if self._voice is not None:
            self._voice.close()
        self._unclaim()

    def _unclaim(self) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.release()
            self._wake()

    # --- waiting while it runs ---

    async def parked(self, answer: Awaitable[T]) -> T:
        """Waits for an answer without holding a slot, while the timeout stands still; then waits for its slots."""
        try:
            self._scope.wait_begins(self._actor)
        except BaseException:
            if asyncio.iscoroutine(answer):
                answer.close()
            raise
        self._waits += 1
        if self._waits == 1:
            self._unclaim()
            if self._stopwatch is not None:
                self._stopwatch.stop()
        try:
            return await answer
        finally:
            self._waits -= 1
            self._scope.wait_ends(self._actor)
            if self._waits == 0 and self._is_going:
                await self._reclaim()

    @property
    def _is_going(self) -> bool:
        return self._job is not None and not self._is_stopping

    async def _reclaim(self) -> None:
        """Takes its slots again. A cancel of the body's own, by ``asyncio.timeout`` say, has to wait for them too."""
        interrupted: asyncio.CancelledError | None = None
        self._claim = claim = self._scope.claim_for(self._actor.node, self._wake, starts=False)
        while claim is not None and claim is self._claim and not claim.take():
            while claim.is_waiting:
                self._freed = self._scope.loop.create_future()
                try:
                    await self._freed
                except asyncio.CancelledError as error:
                    if not self._is_going:
                        self._unclaim()  # it may take long to end, and no slot is for it
                        raise
                    interrupted = error
        if self._stopwatch is not None and self._is_going and self._waits == 0:
            self._stopwatch.go()
        if interrupted is not None:
            raise interrupted

    def _wake(self) -> None:
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)
