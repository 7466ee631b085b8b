"""What the owner of an open run can do with it: pause, resume, cancel, cancel one task, send a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from reactor import bounds
from reactor.definition.names import did_you_mean, known_names
from reactor.errors import EventTooLarge, InvalidValue, MailboxFull, RunEnding, TaskEnded, UnknownTask
from reactor.events import drafts
from reactor.events.event import Draft
from reactor.runs.children import Children
from reactor.runs.crew import Crew
from reactor.runs.journal import Journal
from reactor.supervision.ending import Ending
from reactor.supervision.stopwatch import Stopwatch
from reactor.tasks.actor import Actor
from reactor.tasks.body import TaskActor
from reactor.tasks.mailbox import Letter
from reactor.waiting import READY

KILL_AT: Final = 0.8
"""The part of the grace after which processes are killed, so that a cancel ends within its grace."""


class Control:
    """The commands of one open run. What a command writes is in the run's window when it returns. Loop thread only."""

    def __init__(
        self,
        journal: Journal,
        crew: Crew,
        children: Children,
        stopwatch: Stopwatch,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._run_id = journal.run_id
        self._journal = journal
        self._crew = crew
        self._children = children
        self._loop = loop
        self.stopwatch = stopwatch
        """Measures the run's time limits. Stands still while the run is paused."""
        self.ending: Ending | None = None
        self.is_paused = False
        self.pause_reason: str | None = None
        self.grace = bounds.CANCEL_GRACE_SECONDS
        """Seconds that bodies get to stop."""
        self._timers: list[asyncio.TimerHandle] = []
        self._task_timers: dict[str, list[asyncio.TimerHandle]] = {}
        self._resumed: asyncio.Future[None] | None = None

    def _check_not_ending(self) -> None:
        if self.ending is not None:
            raise RunEnding(f"run {self._run_id} is being cancelled", run_id=self._run_id)

    # --- pause ---

    def pause(self, reason: str, *, by: str | None) -> None:
        """Starts nothing new. Bodies go on until their next ``checkpoint``. Does nothing to a paused run."""
        self._check_not_ending()
        if self.is_paused:
            return
        self._journal.write(Draft("run.paused", orjson.dumps({"reason": reason, "by": by})))
        self.hold(reason)
        self._children.pause()

    def hold(self, reason: str | None) -> None:
        """Pauses the run without an event: after a restart, of a run that was paused before."""
        self.is_paused = True
        self.pause_reason = reason
        self._crew.ready.is_paused = True
        self.stopwatch.stop()
        for actor in self._crew.actors.values():
            actor.release_claim()

    def resume(self, reason: str, *, by: str | None) -> None:
        """Goes on after a pause. Does nothing to a run that is not paused."""
        self._check_not_ending()
        if not self.is_paused:
            return
        self._journal.write(Draft("run.resumed", orjson.dumps({"reason": reason, "by": by})))
        self._release()
        self.stopwatch.go()
        self._children.resume()
        self._crew.ready.pump()

    def _release(self) -> None:
        self.is_paused = self._crew.ready.is_paused = False
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        self._resumed = None

    def resumed(self) -> Awaitable[None]:
        """Done when the run is not paused."""
        if not self.is_paused:
            return READY
        if self._resumed is None:
            self._resumed = self._loop.create_future()
        return asyncio.shield(self._resumed)

    # --- stop ---

    def cancel(self, reason: str, *, by: str | None, grace: float) -> None:
        """Writes ``run.cancelling``, ends what has not begun, and asks bodies to stop within ``grace`` seconds.

        A body that does not stop in time is abandoned. A second cancel can only shorten the grace.
        """
        self.stop(Ending(reason), by=by, grace=grace)

    def stop(self, ending: Ending, *, by: str | None = None, grace: float = bounds.CANCEL_GRACE_SECONDS) -> None:
        """Stops the run for any reason. Where ``ending`` has an error, the run fails; else it is cancelled."""
        if self.ending is None:
            data = {"reason": ending.reason, "by": by}
            data |= {} if ending.error is None else {"error": ending.error, "because": ending.because}
            self._journal.write(Draft("run.cancelling", orjson.dumps(data)))
            self.ending = ending
            self.grace = grace
            self._release()
            self.stopwatch.stop()
            self.cancel_all(ending.reason)
        self._timers = self._abandon_within(grace, self._timers, self._abandon_all)

    def cancel_all(self, reason: str) -> None:
        """Ends what has not begun and asks the bodies to stop. What becomes ready meanwhile does not begin."""
        with self._crew.ready.held():
            for actor in self._crew.actors.values():
                actor.cancel(reason)

    def _abandon_within(
        self, grace: float, timers: list[asyncio.TimerHandle], abandon: Callable[[bool], None]
    ) -> list[asyncio.TimerHandle]:
        """Timers that abandon what has not stopped. Processes are killed a little before threads are abandoned."""
        if timers and self._loop.time() + grace >= timers[-1].when():
            return timers
        for timer in timers:
            timer.cancel()
        return [self._loop.call_later(KILL_AT * grace, abandon, True), self._loop.call_later(grace, abandon, False)]

    def _abandon_all(self, only_killed: bool) -> None:
        for actor in self._crew.actors.values():
            actor.abandon(only_killed=only_killed)

    def close(self) -> None:
        """The run is over: stops all timers."""
        for timers in (self._timers, *self._task_timers.values()):
            for timer in timers:
                timer.cancel()
        self.stopwatch.stop()

    # --- single tasks ---

    def cancel_task(self, task_id: str, reason: str, *, by: str | None, grace: float) -> None:
        """Cancels one task, or one child of a mapped task. What depends on it is skipped, and the run goes on."""
        actor = self._open_task(task_id)
        if task_id not in self._task_timers:
            actor.emit(actor.draft("task.cancelling", orjson.dumps({"reason": reason, "by": by})))
            with self._crew.ready.held():  # the end of one child must not begin the next
                actor.cancel(reason)
            self._crew.ready.pump()
        timers = self._task_timers.get(task_id, [])
        self._task_timers[task_id] = self._abandon_within(grace, timers, lambda only: actor.abandon(only_killed=only))

    def send(self, task_id: str, value: Any, key: str | None, *, by: str | None) -> None:
        """Hands a value to a task that waits for one; where it does not wait, the value waits in its mailbox."""
        actor = self._open_task(task_id)
        ids = {"run_id": self._run_id, "task_id": task_id}
        if not isinstance(actor, TaskActor):
            raise TaskEnded(f"task {task_id} of run {self._run_id} is mapped; send to a child, {task_id}[0]", **ids)
        problem = actor.mailbox.problem(key, value)
        if problem is not None:
            raise InvalidValue(f"the value for task {task_id} of run {self._run_id} does not fit: {problem}", **ids)
        if not actor.mailbox.is_awaited(key) and actor.mailbox.waiting >= bounds.MAILBOX:
            raise MailboxFull(f"{bounds.MAILBOX} values wait for task {task_id} of run {self._run_id} already", **ids)
        data = drafts.received(value, key, by)
        if len(data) > bounds.MAX_INLINE_BYTES:
            raise EventTooLarge(f"the value for task {task_id} is above {bounds.MAX_INLINE_BYTES:,} bytes", **ids)
        actor.emit(actor.draft("task.received", data))
        actor.deliver(Letter(self._journal.last_written, key, value))

    def _open_task(self, task_id: str) -> Actor:
        ids = {"run_id": self._run_id, "task_id": task_id}
        actor = self._crew.find(task_id)
        if actor is None:
            names = self._crew.actors
            hint = did_you_mean(task_id, names) or f"; its tasks are {known_names(names)}"
            raise UnknownTask(f"there is no task {task_id[:100]!r} in run {self._run_id}{hint}", **ids)
        self._check_not_ending()
        if actor.has_ended:
            raise TaskEnded(f"task {task_id} of run {self._run_id} has ended: {actor.status}", **ids)
        return actor
