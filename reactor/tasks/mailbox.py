"""The questions that the body of one task has asked, in all its attempts, and the values that were sent to it."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

from reactor.events.state import EXPIRED, UNNAMED, WITHDRAWN
from reactor.ports.speech import Ask

OPEN: Final = "open"
ANSWERED: Final = "answered"
_SAID: Final = {ANSWERED: "is already answered", EXPIRED: "has expired", WITHDRAWN: "was withdrawn"}
"""What became of a question, for messages."""
_PROMPT_CHARS: Final = 60
_LISTED: Final = 10
"""Questions that a message names."""


class Letter(NamedTuple):
    """A value that was sent. ``seq`` is that of its ``task.received``."""

    seq: int
    key: str | None
    value: Any


@dataclass(slots=True, eq=False)
class Question:
    """One ``ctx.receive`` and what became of it: ``open``, ``answered``, ``expired`` or ``withdrawn``."""

    key: str
    """``UNNAMED`` for one without a key that a version before 0.2 has asked."""
    prompt: str | None
    schema: dict[str, Any] | None
    expires: str | None = None
    """An event time."""
    seq: int = 0
    """Of the ``task.waiting`` that asked it first."""
    status: str = OPEN
    answer: Letter | None = None
    is_live: bool = False
    """The present attempt has asked it, or it was open when the run stopped before a restart."""
    waiters: dict[int, Future[None]] = field(default_factory=dict[int, "Future[None]"])
    """By place: the calls of ``ctx.receive`` that wait for it. A future is done when the question is not open."""
    among: dict[str, Question] | None = None
    """The open questions of its mailbox that it is one of, by key: so that nobody has to look for the open ones."""

    def asked(self) -> dict[str, Any]:
        """What its ``task.waiting`` says."""
        data = {"prompt": self.prompt, "schema": self.schema, "key": self.key}
        return data if self.expires is None else {**data, "expires": self.expires}

    def settle(self, status: str, answer: Letter | None = None) -> None:
        """Closes it and wakes who waits for it."""
        self.status, self.answer = status, answer
        self.leave()
        for waiter in self.waiters.values():
            if not waiter.done():
                waiter.set_result(None)

    def join(self, among: dict[str, Question]) -> None:
        """It is one of these, as long as it is open; and of no others."""
        self.leave()
        if self.status == OPEN:
            among[self.key] = self
            self.among = among

    def leave(self) -> None:
        """It is one of none."""
        if self.among is not None and self.among.get(self.key) is self:
            del self.among[self.key]
        self.among = None

    def __str__(self) -> str:
        prompt = "" if self.prompt is None else f" ({self.prompt[:_PROMPT_CHARS]!r})"
        return f"{self.key!r}{prompt}" if self.key != UNNAMED else f"one without a key{prompt}"


class Misdirected(Exception):
    """Why a value answers no question: the end of a sentence that begins with ``task t of run r``."""


class Mailbox:
    """Brings values and questions together. A question keeps its answer, so each attempt is given the same.

    A value that names a key is for that question, asked or not. One that names none is for the one open question, or
    for the first one where the task has not asked anything yet.
    """

    def __init__(self) -> None:
        self.questions: dict[str, Question] = {}
        """By key, in the order they were asked."""
        self._live: dict[str, Question] = {}
        """The open ones of the present attempt."""
        self._earlier: dict[str, Question] = {}
        """Those that are open from an attempt before it."""
        self._has_asked = False
        """Whether the present attempt has asked anything."""
        self._early: list[Letter] = []
        """Values that wait for their question, in the order they came."""
        self._is_of_before = False
        """The log has questions without keys, of a version before 0.2: there the k-th value is for the k-th one."""

    def restore(self, questions: Iterable[Question], letters: Iterable[Letter]) -> None:
        """Takes over what the log says, after a restart."""
        self.questions = {question.key: question for question in questions}
        unnamed = self.questions.get(UNNAMED)
        if unnamed is not None and not (unnamed.is_live and unnamed.status == OPEN):
            del self.questions[UNNAMED]
        for question in self.questions.values():
            question.join(self._live if question.is_live else self._earlier)
            self._has_asked = self._has_asked or question.is_live
        taken = {question.answer.seq for question in self.questions.values() if question.answer is not None}
        self._early = [letter for letter in letters if letter.seq not in taken and not self._is_spent(letter)]
        without_key = sum(letter.key is None for letter in self._early)
        self._is_of_before = unnamed is not None or without_key > 1

    def _is_spent(self, letter: Letter) -> bool:
        """Whether a letter answered an earlier question of its place, which is another question now."""
        return letter.key is not None and letter.key.isdigit() and letter.key in self.questions

    def begin_attempt(self) -> None:
        """Another attempt begins: it has asked nothing yet."""
        self._drop(UNNAMED)  # asked again, it has a key
        self._has_asked = False
        for question in self.questions.values():
            question.is_live = False
            question.join(self._earlier)
            for waiter in question.waiters.values():
                waiter.cancel()
            question.waiters.clear()

    # --- the body asks ---

    def recorded(self, ask: Ask) -> Question | None:
        """The question that this one repeats. One without ``key=`` is the same only with its prompt and schema."""
        question = self.questions.get(ask.name)
        if question is None or (ask.key is None and (question.prompt, question.schema) != (ask.prompt, ask.schema)):
            return None
        return question

    def add(self, ask: Ask, expires: str | None) -> Question:
        """A new question, in place of what was asked under its name before."""
        question = Question(ask.name, ask.prompt, ask.schema, expires)
        self._drop(ask.name)
        self.questions[ask.name] = question
        self.ask(question)
        return question

    def ask(self, question: Question) -> None:
        """The present attempt asks it."""
        question.is_live = self._has_asked = True
        question.join(self._live)

    def _drop(self, key: str) -> None:
        question = self.questions.pop(key, None)
        if question is not None:
            question.leave()

    def early(self, ask: Ask) -> list[Letter]:
        """The values that were sent for a question before it was asked."""
        is_for_it = self._is_for_unnamed(ask)
        return [letter for letter in self._early if letter.key == ask.name or (letter.key is None and is_for_it)]

    def take(self, letter: Letter) -> None:
        """An early value has found its question."""
        self._early.remove(letter)

    def _is_for_unnamed(self, ask: Ask) -> bool:
        return ask.key is None if self._is_of_before else ask.place == 1

    def give_back(self, question: Question) -> None:
        """The body gave up a question as its answer came. One with ``key=`` may be asked again, and then has it."""
        letter, question.answer = question.answer, None
        if letter is not None and not question.key.isdigit():
            self._early.append(letter._replace(key=question.key))

    # --- somebody sends ---

    @property
    def waiting(self) -> int:
        """How many values wait for their question."""
        return len(self._early)

    def addressee(self, key: str | None, published: int) -> Question | None:
        """The open question that a value is for; None where it waits for its question. Raises Misdirected.

        ``published``: the last seq that anybody can have seen. A value without a key is not for a later question.
        """
        if key is None:
            return self._only_open(published)
        question = self.questions.get(key)
        if question is not None and question.status != OPEN:
            raise Misdirected(f"its question {question} {_SAID[question.status]}{self._others()}")
        if question is None and any(letter.key == key for letter in self._early):
            raise Misdirected(f"a value waits for its question {key!r} already")
        return question

    def _only_open(self, published: int) -> Question | None:
        found = self._open
        if len(found) > 1:
            raise Misdirected(f"{len(found)} of its questions are open, say which one with key=: {_listed(found)}")
        for question in found.values():
            if question.seq > published and len(self.questions) > 1:  # it was sent before anybody could see it
                raise Misdirected(f"its question {question} has just been asked, answer it with key=")
            return question
        if self._early and not self._is_of_before:
            raise Misdirected("a value waits for its next question already, send others with key=")
        if self.questions and not self._early:
            last = self._last_asked()
            raise Misdirected(f"it asks nothing now, and its question {last} {_SAID[last.status]}")
        return None

    @property
    def _open(self) -> dict[str, Question]:
        """The open questions of this attempt; where it has asked nothing yet, those that the one before left open."""
        return self._live if self._has_asked else self._earlier

    def _last_asked(self) -> Question:
        """The last question of this attempt; where it has asked nothing yet, that of the one before."""
        newest_first = reversed(self.questions.values())
        return next(question for question in newest_first if question.is_live or not self._has_asked)

    def open_keys(self) -> list[str]:
        """The names of the open questions."""
        return [key for key in self._open if key != UNNAMED]

    def _others(self) -> str:
        found = self._open
        return f"; open: {_listed(found)}" if found else ""

    def deliver(self, letter: Letter, question: Question | None) -> None:
        """Keeps a value, whose event is written: as the answer of its question, or until that is asked."""
        if question is not None and question.key != UNNAMED:
            question.settle(ANSWERED, letter)
            return
        if question is not None:
            self._drop(UNNAMED)
        self._early.append(letter)


def _listed(questions: Mapping[str, Question]) -> str:
    """The first of them: a task may have thousands."""
    named = [str(question) for question in islice(questions.values(), _LISTED)]
    return ", ".join(named if len(questions) <= _LISTED else [*named, f"and {len(questions) - _LISTED:,} more"])
