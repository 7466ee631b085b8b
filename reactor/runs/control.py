"""Pausing, stopping and feeding one open run, and its time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson

from reactor import bounds
from reactor.errors import EventTooLarge, InvalidValue, MailboxFull, RunEnding, TaskEnded, UnknownTask
from reactor.events.event import Draft
from reactor.supervision.ending import Ending
from reactor.supervision.ledger import WARN_AT
from reactor.supervision.stopwatch import Alarm, Stopwatch
from reactor.tasks.actor import Actor
from reactor.tasks.body import TaskActor
from reactor.tasks.mailbox import Letter
from reactor.tasks.mapped import MappedActor
from reactor.waiting import READY

if TYPE_CHECKING:
    from reactor.runs.execution import Execution

KILL_AT: Final = 0.8
"""The part of the grace after which processes are killed, so that a cancel ends within it."""


class Control:
    """What its owner can do with a run. Each command is in the run's window when it returns; loop thread only."""

    def __init__(self, execution: Execution, *, elapsed: float) -> None:
        self._execution = execution
        self.ending: Ending | None = None
        self.is_paused = False
        self.pause_reason: str | None = None
        self.grace = bounds.CANCEL_GRACE_SECONDS
        """Seconds bodies get to stop."""
        self._timers: list[asyncio.TimerHandle] = []
        self._task_timers: dict[str, list[asyncio.TimerHandle]] = {}
        self._resumed: asyncio.Future[None] | None = None
        self.stopwatch = Stopwatch(execution.loop, self._alarms(), elapsed)

    # --- time ---

    def _alarms(self) -> list[Alarm]:
        alarms: list[Alarm] = []
        timeout, budget = self._execution.graph.timeout, self._execution.ledger.budget
        if timeout is not None:
            alarms.append((timeout, self._time_out))
        if budget is not None and budget.seconds is not None:
            alarms.append((float(WARN_AT) * budget.seconds, lambda: self._seconds_used(WARN_AT)))
            alarms.append((budget.seconds, lambda: self._seconds_used(Decimal(1))))
        return alarms

    def _time_out(self) -> None:
        message = f"the run took longer than its timeout of {self._execution.graph.timeout:g} s"
        self.stop(Ending("timeout", {"type": "RunTimeout", "message": message}))

    def _seconds_used(self, part: Decimal) -> None:
        spending = self._execution.spending
        limit = spending.ledger.limit_of("seconds")
        if limit is not None:
            used = max(Decimal(repr(round(self.stopwatch.elapsed, 3))), limit * part)
            for crossing in spending.ledger.crossings_of("seconds", used, is_reached=part == 1):
                spending.tell(crossing, None)

    # --- pause ---

    def pause(self, reason: str, *, by: str | None) -> None:
        """Nothing new starts; what runs goes on, up to its next ``checkpoint``. Again: nothing happens."""
        execution = self._execution
        if self.ending is not None:
            raise RunEnding(f"run {execution.run_id} is being cancelled", run_id=execution.run_id)
        if self.is_paused:
            return
        execution.write(Draft("run.paused", orjson.dumps({"reason": reason, "by": by})))
        self.hold(reason)
        for child in execution.children.values():
            if child.ending is None:
                child.control.pause("parent", by=None)

    def hold(self, reason: str | None) -> None:
        """Paused, without a word: it was before the restart."""
        self.is_paused = True
        self.pause_reason = reason
        self._execution.ready.is_paused = True
        self.stopwatch.stop()
        for actor in self._execution.actors.values():
            actor.unclaim()

    def resume(self, reason: str, *, by: str | None) -> None:
        """Goes on. Where the run is not paused nothing happens."""
        execution = self._execution
        if self.ending is not None:
            raise RunEnding(f"run {execution.run_id} is being cancelled", run_id=execution.run_id)
        if not self.is_paused:
            return
        execution.write(Draft("run.resumed", orjson.dumps({"reason": reason, "by": by})))
        self._release()
        self.stopwatch.go()
        for child in execution.children.values():
            if child.ending is None and child.control.pause_reason == "parent":
                child.control.resume("parent", by=None)
        execution.ready.pump()

    def _release(self) -> None:
        self.is_paused = self._execution.ready.is_paused = False
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        self._resumed = None

    def resumed(self) -> Awaitable[None]:
        """Done when the run is not paused."""
        if not self.is_paused:
            return READY
        if self._resumed is None:
            self._resumed = self._execution.loop.create_future()
        return asyncio.shield(self._resumed)

    # --- stop ---

    def cancel(self, reason: str, *, by: str | None, grace: float) -> None:
        """``run.cancelling`` at once: what has not begun ends, bodies are told, and abandoned ``grace`` seconds later.

        A second cancel may only shorten the grace.
        """
        self.stop(Ending(reason), by=by, grace=grace)

    def stop(self, ending: Ending, *, by: str | None = None, grace: float = bounds.CANCEL_GRACE_SECONDS) -> None:
        """The same for whatever reason; with an error the run will fail instead."""
        execution = self._execution
        if self.ending is None:
            data = {"reason": ending.reason, "by": by}
            data |= {} if ending.error is None else {"error": ending.error, "because": ending.because}
            execution.write(Draft("run.cancelling", orjson.dumps(data)))
            self.ending = ending
            self.grace = grace
            self._release()
            self.stopwatch.stop()
            self.cancel_all(ending.reason)
        self._shorten(grace)

    def cancel_all(self, reason: str) -> None:
        """Ends what has not begun and tells the bodies; what becomes ready meanwhile does not begin."""
        with self._execution.ready.held():
            for actor in self._execution.actors.values():
                actor.cancel(reason)

    def _shorten(self, grace: float) -> None:
        self._timers = self._within(grace, self._timers, self._abandon)

    def _within(
        self, grace: float, timers: list[asyncio.TimerHandle], abandon: Callable[[bool], None]
    ) -> list[asyncio.TimerHandle]:
        """Timers that end what has not ended: processes are killed a little before the rest is abandoned."""
        loop = self._execution.loop
        if timers and loop.time() + grace >= timers[-1].when():
            return timers
        for timer in timers:
            timer.cancel()
        return [loop.call_later(KILL_AT * grace, abandon, True), loop.call_later(grace, abandon, False)]

    def _abandon(self, only_killed: bool) -> None:
        for actor in self._execution.actors.values():
            actor.abandon(only_killed=only_killed)

    def close(self) -> None:
        """The run is over: no timer is left."""
        for timers in (self._timers, *self._task_timers.values()):
            for timer in timers:
                timer.cancel()
        self.stopwatch.stop()

    # --- single tasks ---

    def cancel_task(self, task_id: str, reason: str, *, by: str | None, grace: float) -> None:
        """Cancels one task, or one child of a mapped one; what depends on it is skipped and the run goes on."""
        actor = self._open_task(task_id)
        if task_id not in self._task_timers:
            actor.emit(actor.draft("task.cancelling", orjson.dumps({"reason": reason, "by": by})))
            with self._execution.ready.held():  # the end of a child must not begin the next
                actor.cancel(reason)
            self._execution.ready.pump()
        timers = self._task_timers.get(task_id, [])
        self._task_timers[task_id] = self._within(grace, timers, lambda only: actor.abandon(only_killed=only))

    def send(self, task_id: str, value: Any, key: str | None) -> None:
        """Hands a value to a task: whoever waits for it goes on, else it waits in the task's mailbox."""
        actor = self._open_task(task_id)
        ids = {"run_id": self._execution.run_id, "task_id": task_id}
        if not isinstance(actor, TaskActor):
            raise TaskEnded(f"task {task_id} of run {ids['run_id']} is mapped; send to a child, {task_id}[0]", **ids)
        problem = actor.mailbox.problem(key, value)
        if problem is not None:
            raise InvalidValue(f"the value for task {task_id} of run {ids['run_id']} does not fit: {problem}", **ids)
        if not actor.mailbox.is_awaited(key) and actor.mailbox.waiting >= bounds.MAILBOX:
            raise MailboxFull(f"{bounds.MAILBOX} values wait for task {task_id} of run {ids['run_id']} already", **ids)
        data = orjson.dumps({"value": value, "key": key})
        if len(data) > bounds.MAX_INLINE_BYTES:
            raise EventTooLarge(f"the value for task {task_id} is above {bounds.MAX_INLINE_BYTES:,} bytes", **ids)
        actor.emit(actor.draft("task.received", data))
        actor.deliver(Letter(self._execution.last_written, key, value))

    def _open_task(self, task_id: str) -> Actor:
        execution = self._execution
        ids = {"run_id": execution.run_id, "task_id": task_id}
        actor = execution.actors.get(task_id) or self._child(task_id)
        if actor is None:
            raise UnknownTask(f"there is no task {task_id[:100]!r} in run {execution.run_id}", **ids)
        if self.ending is not None:
            raise RunEnding(f"run {execution.run_id} is being cancelled", run_id=execution.run_id)
        if actor.has_ended:
            raise TaskEnded(f"task {task_id} of run {execution.run_id} has ended: {actor.status}", **ids)
        return actor

    def _child(self, task_id: str) -> Actor | None:
        name, _, index = task_id.rstrip("]").partition("[")
        mapped = self._execution.actors.get(name)
        if not isinstance(mapped, MappedActor) or not index.isascii() or not index.isdigit():
            return None
        position = int(index[:9])
        children = mapped.children
        return children[position] if position < len(children) and children[position].task_id == task_id else None
