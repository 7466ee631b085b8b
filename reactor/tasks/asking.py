"""What one attempt of a body asks: opens questions, waits for their answers, lets them expire and withdraws them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from reactor.context.checking import problem_of
from reactor.errors import QuestionExpired
from reactor.events import drafts
from reactor.events.state import EXPIRED, WITHDRAWN
from reactor.events.timing import milliseconds
from reactor.ports.clock import Timer
from reactor.ports.speech import Answer, Ask
from reactor.tasks.mailbox import ANSWERED, OPEN, Letter, Question
from reactor.tasks.scope import Body

Problems = dict[int, str | None]
"""The seq of a sent value -> what is wrong with it."""


class Waiting(Protocol):
    """An attempt that can wait without holding a slot."""

    @property
    def is_going(self) -> bool:
        """False once its body has ended, or was told to stop: what is cancelled then, the body did not give up."""
        ...

    async def park(self, answer: Awaitable[Any]) -> Any: ...


class Asking:
    """The calls of ``ctx.receive`` of one attempt. Every question is in the log; a recorded one is not asked again."""

    def __init__(self, body: Body, running: Waiting | None, write: Callable[[str, bytes], object]) -> None:
        self._body = body
        self._scope = body.scope
        self._running = running
        self._write = write
        self._places: dict[int, Question] = {}
        """By place: what this attempt has asked."""
        self._uses: dict[Question, int] = {}
        """In how many places it has asked it."""
        self._told: set[str] = set()
        """The questions that this attempt knows to be expired or withdrawn: asked again they are new ones."""
        self._timers: dict[Question, Timer] = {}

    async def receive(self, ask: Ask) -> Answer:
        """The answer to a question; raises QuestionExpired where there will be none."""
        problems = await self._check_sent(ask)
        question = self._asked(ask, problems)
        self._leave(ask.place)
        self._places[ask.place] = question
        self._uses[question] = self._uses.get(question, 0) + 1
        if question.status == OPEN:
            await self._wait(question, ask)
        if question.answer is not None:
            return Answer(question.answer.seq, question.answer.value)
        self._told.add(question.key)
        await asyncio.sleep(0)  # a body that asks in a loop must not hold the engine
        raise self._closed_error(question)

    def withdraw(self, place: int) -> None:
        """The body has given up the question it asked at this place, while it goes on itself."""
        question = self._leave(place)
        if question is None:
            return
        question.waiters.pop(place, None)
        if self._running is None or not self._running.is_going or question in self._uses:
            return  # not its doing, or it still waits elsewhere
        if question.status in (OPEN, ANSWERED):
            self._body.mailbox.give_back(question)
            self._close(question, WITHDRAWN)
            self._told.add(question.key)

    def _leave(self, place: int) -> Question | None:
        """The question that was asked at a place, which is of that place no more."""
        question = self._places.pop(place, None)
        if question is not None:
            left = self._uses.pop(question) - 1
            if left:
                self._uses[question] = left
        return question

    def close(self) -> None:
        """The attempt has ended. Its open questions stay as they are: the next attempt asks them again."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # --- asking ---

    async def _check_sent(self, ask: Ask) -> Problems:
        """What is wrong with each value that was sent before it is asked for, by its seq.

        Until the last is checked more may come; when this returns, nothing has come that is not checked.
        """
        found: Problems = {}
        while unchecked := [letter for letter in self._sent(ask) if letter.seq not in found]:
            for letter in unchecked:
                if found:
                    await asyncio.sleep(0)  # a hundred of them would hold the loop
                found[letter.seq] = await problem_of(ask.schema, letter.value)
        return found

    def _sent(self, ask: Ask) -> list[Letter]:
        question = self._recorded(ask)
        if question is None:
            return self._body.mailbox.early(ask)
        is_checked = question.schema == ask.schema  # it was checked when it came
        return [] if question.answer is None or is_checked else [question.answer]

    def _recorded(self, ask: Ask) -> Question | None:
        """The question that this one repeats; None for a new one."""
        question = self._body.mailbox.recorded(ask)
        if question is not None and question.status in (EXPIRED, WITHDRAWN) and question.key in self._told:
            return None
        return question

    def _asked(self, ask: Ask, problems: Problems) -> Question:
        """The question, which is open now, or was answered or closed before."""
        question = self._recorded(ask)
        if question is None:
            return self._open(ask, problems)
        problem = self._problem_of_answer(question, ask, problems)
        if problem is not None and question.answer is not None:
            self._reopen(question, ask, question.answer.seq, problem)
        elif question.status == OPEN and not question.is_live:  # asked by an attempt before this one
            self._renew(question, ask)
            self._write("task.waiting", drafts.waiting(question.asked()))
        elif question.status == OPEN and self._renew(question, ask):
            self._write("task.waiting", drafts.waiting(question.asked()))
        return question

    def _problem_of_answer(self, question: Question, ask: Ask, problems: Problems) -> str | None:
        if question.answer is None:
            return None
        if ask.rejected is not None and ask.rejected[0] == question.answer.seq:
            return ask.rejected[1]
        return problems.get(question.answer.seq)

    def _open(self, ask: Ask, problems: Problems) -> Question:
        mailbox = self._body.mailbox
        question = mailbox.add(ask, self._expiry(ask))
        rejected: list[int] = []
        problem: str | None = None
        answered: int | None = None
        for letter in mailbox.early(ask):
            mailbox.take(letter)
            found = problems[letter.seq]
            if found is None:
                question.settle(ANSWERED, letter)
                answered = letter.seq
                break
            rejected.append(letter.seq)  # it was sent before its schema was known
            problem = found
        data = drafts.waiting(question.asked(), rejected=rejected, problem=problem, answered=answered)
        self._write("task.waiting", data)
        question.seq = self._scope.journal.last_written
        return question

    def _reopen(self, question: Question, ask: Ask, seq: int, problem: str) -> None:
        """The answer does not fit after all: the question stays open, and the log says why."""
        question.status, question.answer = OPEN, None
        self._renew(question, ask)
        self._write("task.waiting", drafts.waiting(question.asked(), rejected=[seq], problem=problem))

    def _renew(self, question: Question, ask: Ask) -> bool:
        """Takes over what is asked now; whether that is anything new. An expiry that was told can only come nearer."""
        before = question.asked()
        self._body.mailbox.ask(question)
        question.prompt, question.schema = ask.prompt, ask.schema
        expiry = self._expiry(ask)
        if question.expires is None or (expiry is not None and expiry < question.expires and question.waiters):
            question.expires = expiry
        return question.asked() != before

    # --- waiting ---

    async def _wait(self, question: Question, ask: Ask) -> None:
        """Returns once the question is not open any more."""
        if question.expires is not None and not self._arm(question, question.expires):
            return
        answered = self._answered(question, ask.place)
        try:
            await (answered if self._running is None else self._running.park(answered))
        except BaseException:  # while it waited for its slots again, or it may not wait at all
            self.withdraw(ask.place)
            raise

    async def _answered(self, question: Question, place: int) -> None:
        answered = question.waiters[place] = self._scope.loop.create_future()
        try:
            await answered
        except asyncio.CancelledError:
            self.withdraw(place)  # now, and not when the body has its slots again: an answer would be lost
            raise
        finally:
            question.waiters.pop(place, None)

    def _arm(self, question: Question, expires: str) -> bool:
        """Sets the timer of a question; False where its time is over already."""
        seconds = milliseconds(self._scope.clock.now().decode(), expires) / 1000
        if seconds <= 0:
            self._expire(question)
            return False
        timer = self._timers.pop(question, None)
        if timer is not None:
            timer.cancel()
        self._timers[question] = self._scope.clock.call_later(seconds, partial(self._expire, question))
        return True

    def _expire(self, question: Question) -> None:
        if question.status == OPEN:
            self._close(question, EXPIRED)

    def _close(self, question: Question, status: str) -> None:
        question.settle(status)
        timer = self._timers.pop(question, None)
        if timer is not None:
            timer.cancel()
        self._write(f"task.{status}", drafts.question_closed(question.key))

    def _expiry(self, ask: Ask) -> str | None:
        if ask.timeout is None:
            return None
        now = datetime.fromisoformat(self._scope.clock.now().decode())
        return (now + timedelta(seconds=ask.timeout)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _closed_error(self, question: Question) -> QuestionExpired:
        run_id, task_id = self._scope.run_id, self._body.task_id
        why = "was not answered in time" if question.status == EXPIRED else "was given up by the body before"
        return QuestionExpired(
            f"task {task_id} of run {run_id}: its question {question} {why}",
            run_id=run_id,
            task_id=task_id,
            key=question.key,
        )
