"""The values that were sent to one task, and the questions its body waits for."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reactor.context.forms import problem_of


class Letter(NamedTuple):
    """A value that was sent. ``seq`` is that of its ``task.received``."""

    seq: int
    key: str | None
    value: Any


class Question(NamedTuple):
    """A ``ctx.receive`` that waits for a value."""

    key: str | None
    schema: dict[str, Any] | None
    answer: Future[Letter]


class Mailbox:
    """Hands each letter to an attempt once. An attempt that runs again gets the same letters in the same order.

    A ``receive`` with a key gets the first letter of that key; the k-th ``receive`` without a key gets the k-th letter
    without one.
    """

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self._open: list[Question] = []
        self._taken: set[int] = set()
        self._expected: list[tuple[str | None, dict[str, Any] | None]] = []
        """(key, schema) of the questions that were open before a restart."""

    def begin_attempt(self) -> None:
        """Another attempt begins: it can take every letter again, and nobody waits."""
        self._taken.clear()
        self._expected.clear()
        for question in self._open:
            question.answer.cancel()
        self._open.clear()

    @property
    def waiting(self) -> int:
        """How many letters nobody has taken."""
        return sum(letter.seq not in self._taken for letter in self.letters)

    def take(self, key: str | None) -> Letter | None:
        """The recorded letter of the next ``receive``, if there is one."""
        for letter in self.letters:
            if letter.key == key and (key is not None or letter.seq not in self._taken):
                self._taken.add(letter.seq)
                return letter
        return None

    def put_back(self, answer: Future[Letter]) -> None:
        """The body no longer waits, after a timeout of its own for example: the letter is for its next ``receive``."""
        if answer.done() and not answer.cancelled():
            self._taken.discard(answer.result().seq)

    def reject(self, letter: Letter) -> None:
        """Removes a letter that does not fit the schema of its ``receive``."""
        self.letters.remove(letter)

    def ask(self, loop: AbstractEventLoop, key: str | None, schema: dict[str, Any] | None) -> Future[Letter]:
        """Opens a question. The future is done with the letter that answers it."""
        question = Question(key, schema, loop.create_future())
        self._open.append(question)
        question.answer.add_done_callback(lambda _: self._open.remove(question) if question in self._open else None)
        return question.answer

    def expect(self, questions: Iterable[Mapping[str, Any]]) -> None:
        """The questions (``key``, ``schema``) that were open before a restart, until the body asks them again."""
        self._expected += [(question["key"], question["schema"]) for question in questions]

    def problem(self, key: str | None, value: Any) -> str | None:
        """A sentence that says why a value cannot be sent now; None where it can."""
        schemas = [question.schema for question in self._waiting_for(key)]
        schemas += [schema for expected, schema in self._expected if expected == key][:1]
        problems = (problem_of(schema, value) for schema in schemas)
        return next((problem for problem in problems if problem is not None), None)

    def is_awaited(self, key: str | None) -> bool:
        """Whether a question is open for this key."""
        return bool(self._waiting_for(key))

    def deliver(self, letter: Letter) -> None:
        """Keeps a letter, whose event is written, and answers the questions it is for."""
        self.letters.append(letter)
        answered = next((expected for expected in self._expected if expected[0] == letter.key), None)
        if answered is not None:
            self._expected.remove(answered)
        for question in self._waiting_for(letter.key):
            self._open.remove(question)
            self._taken.add(letter.seq)
            question.answer.set_result(letter)

    def _waiting_for(self, key: str | None) -> list[Question]:
        """The questions that the next letter answers: all of its key; without a key, the oldest one."""
        found = [question for question in self._open if question.key == key and not question.answer.done()]
        return found[:1] if key is None else found
