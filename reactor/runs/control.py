"""What the owner of an open run can do with it: pause, resume, cancel, cancel one task, send a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import orjson

from reactor import bounds
from reactor.clock import Patience
from reactor.context.checking import problem_of
from reactor.definition.names import did_you_mean, known_names
from reactor.errors import EventTooLarge, InvalidValue, MailboxFull, RunEnding, TaskEnded, UnknownTask, WrongQuestion
from reactor.events import drafts
from reactor.events.event import Draft
from reactor.events.state import UNNAMED
from reactor.ports.clock import Timer
from reactor.runs.children import Children
from reactor.runs.crew import Crew
from reactor.runs.host import Host
from reactor.runs.journal import Journal
from reactor.supervision.ending import Ending
from reactor.supervision.stopwatch import Stopwatch
from reactor.tasks.actor import Actor
from reactor.tasks.body import TaskActor
from reactor.tasks.mailbox import Letter, Misdirected, Question
from reactor.waiting import READY

KILL_AT: Final = 0.8
"""The part of the grace after which processes are killed, so that a cancel ends within its grace."""


class Deadline(NamedTuple):
    """When bodies are abandoned, on the monotonic clock, and the timers of it."""

    at: float
    timers: tuple[Timer, ...]

    def cancel(self) -> None:
        for timer in self.timers:
            timer.cancel()


class Control:
    """The commands of one open run. What a command writes is in the run's window when it returns. Loop thread only."""

    def __init__(
        self,
        journal: Journal,
        crew: Crew,
        children: Children,
        stopwatch: Stopwatch,
        host: Host,
    ) -> None:
        self._run_id = journal.run_id
        self._journal = journal
        self._crew = crew
        self._children = children
        self._loop = host.loop
        self._clock = host.clock
        self.stopwatch = stopwatch
        """Measures the run's time limits. Stands still while the run is paused."""
        self.ending: Ending | None = None
        self.is_paused = False
        self.pause_reason: str | None = None
        self.grace = bounds.CANCEL_GRACE_SECONDS
        """Seconds that bodies get to stop."""
        self._deadline: Deadline | None = None
        """When the bodies of a run that ends are abandoned."""
        self._task_deadlines: dict[str, Deadline] = {}
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
        self._deadline = self._abandon_within(grace, self._deadline, self._abandon_all)

    def cancel_all(self, reason: str) -> None:
        """Ends what has not begun and asks the bodies to stop. What becomes ready meanwhile does not begin."""
        with self._crew.ready.held():
            for actor in self._crew.actors.values():
                actor.cancel(reason)
        self._crew.end_outside()

    def _abandon_within(self, grace: float, earlier: Deadline | None, abandon: Callable[[bool], None]) -> Deadline:
        """When what has not stopped is abandoned. Processes are killed a little before threads are abandoned."""
        at = self._clock.monotonic() + grace
        if earlier is not None:
            if at >= earlier.at:
                return earlier
            earlier.cancel()
        clock = self._clock
        return Deadline(at, (Patience(clock, KILL_AT * grace, abandon, True), Patience(clock, grace, abandon, False)))

    def _abandon_all(self, only_killed: bool) -> None:
        for actor in self._crew.actors.values():
            actor.abandon(only_killed=only_killed)

    def close(self) -> None:
        """The run is over: stops all timers."""
        if self._deadline is not None:
            self._deadline.cancel()
        for deadline in self._task_deadlines.values():
            deadline.cancel()
        self.stopwatch.stop()

    # --- single tasks ---

    def cancel_task(self, task_id: str, reason: str, *, by: str | None, grace: float) -> None:
        """Cancels one task, or one child of a mapped task. What depends on it is skipped, and the run goes on."""
        actor = self._open_task(task_id)
        if task_id not in self._task_deadlines:
            actor.emit(actor.draft("task.cancelling", orjson.dumps({"reason": reason, "by": by})))
            with self._crew.ready.held():  # the end of one child must not begin the next
                actor.cancel(reason)
            self._crew.ready.pump()
        self._task_deadlines[task_id] = self._abandon_within(
            grace, self._task_deadlines.get(task_id), lambda only: actor.abandon(only_killed=only)
        )

    async def send(self, task_id: str, value: Any, key: str | None, *, by: str | None) -> int:
        """Answers a question of a task, the one of this key if one is given; what nobody asks yet waits in its mailbox.

        Returns the seq of ``task.received``.
        Raises EventTooLarge, WrongQuestion, InvalidValue, MailboxFull, and what ``_open_task`` raises.
        """
        published = self._journal.feed.last_seq  # what the sender may have seen
        checked: tuple[Question, Any] | None = None
        while True:
            actor, question = self._addressee(task_id, key, published)
            name = key if question is None or question.key == UNNAMED else question.key
            data = drafts.received(value, name, by)
            ids = {"run_id": self._run_id, "task_id": task_id}
            if len(data) > bounds.MAX_INLINE_BYTES:  # before its schema is looked at: large values take long to check
                raise EventTooLarge(f"the value for task {task_id} is above {bounds.MAX_INLINE_BYTES:,} bytes", **ids)
            if question is None or (checked is not None and _is_same(checked, question)):
                break
            checked = question, question.schema
            if (problem := await problem_of(question.schema, value)) is not None:
                raise InvalidValue(f"the value for task {task_id} of run {self._run_id} does not fit: {problem}", **ids)
            # where that took long others went on: the question may be answered, or another one
        if question is None and actor.mailbox.waiting >= bounds.MAILBOX:
            raise MailboxFull(f"{bounds.MAILBOX} values wait for task {task_id} of run {self._run_id} already", **ids)
        actor.emit(actor.draft("task.received", data))
        seq = self._journal.last_written
        actor.mailbox.deliver(Letter(seq, name, value), question)
        return seq

    def _addressee(self, task_id: str, key: str | None, published: int) -> tuple[TaskActor, Question | None]:
        """The task and its question that a value is for."""
        actor = self._open_task(task_id)
        where, ids = f"task {task_id} of run {self._run_id}", {"run_id": self._run_id, "task_id": task_id}
        if not isinstance(actor, TaskActor):
            raise TaskEnded(f"{where} is mapped; send to a child, {task_id}[0]", **ids)
        try:
            return actor, actor.mailbox.addressee(key, published)
        except Misdirected as error:
            raise WrongQuestion(f"{where}: {error}", **ids, keys=actor.mailbox.open_keys()) from None

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


def _is_same(checked: tuple[Question, Any], question: Question) -> bool:
    return checked[0] is question and checked[1] == question.schema
