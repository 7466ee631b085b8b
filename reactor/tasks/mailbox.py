"""What was sent to one task, in the order of the log, and what its body waits to receive."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reactor.context.forms import problem_of


class Letter(NamedTuple):
    """A value that was sent: ``seq`` of its ``task.received``."""

    seq: int
    key: str | None
    value: Any


class Asked(NamedTuple):
    """Somebody waits for a value."""

    key: str | None
    schema: dict[str, Any] | None
    answer: Future[Letter]


class Mailbox:
    """Recorded letters, each handed to an attempt once; one that runs again is handed the same ones in the same order.

    A ``receive`` with a key always gets the first letter of that key; the k-th without one the k-th letter without one.
    """

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self._asked: list[Asked] = []
        self._taken: set[int] = set()
        self._expected: list[tuple[str | None, dict[str, Any] | None]] = []

    def begin_attempt(self) -> None:
        """Another attempt: everything is there to be taken again, and nobody waits."""
        self._taken.clear()
        self._expected.clear()
        for asked in self._asked:
            asked.answer.cancel()
        self._asked.clear()

    @property
    def waiting(self) -> int:
        """Letters nobody has taken."""
        return sum(letter.seq not in self._taken for letter in self.letters)

    def take(self, key: str | None) -> Letter | None:
        """The recorded letter of the next ``receive``, if there is one."""
        for letter in self.letters:
            if letter.key == key and (key is not None or letter.seq not in self._taken):
                self._taken.add(letter.seq)
                return letter
        return None

    def put_back(self, answer: Future[Letter]) -> None:
        """Whoever asked is gone, by a timeout of its own say: the letter that answered it is for the next to ask."""
        if answer.done() and not answer.cancelled():
            self._taken.discard(answer.result().seq)

    def reject(self, letter: Letter) -> None:
        """It does not fit what it was received for."""
        self.letters.remove(letter)

    def ask(self, loop: AbstractEventLoop, key: str | None, schema: dict[str, Any] | None) -> Future[Letter]:
        """Done with the value as soon as one comes in."""
        asked = Asked(key, schema, loop.create_future())
        self._asked.append(asked)
        asked.answer.add_done_callback(lambda _: self._asked.remove(asked) if asked in self._asked else None)
        return asked.answer

    def expect(self, questions: Iterable[Mapping[str, Any]]) -> None:
        """What was being waited for before a restart, until the body asks again: ``key`` and ``schema`` of each."""
        self._expected += [(question["key"], question["schema"]) for question in questions]

    def problem(self, key: str | None, value: Any) -> str | None:
        """Why a value cannot be sent now, in a sentence; None where it can."""
        schemas = [asked.schema for asked in self._waiting_for(key)]
        schemas += [schema for expected, schema in self._expected if expected == key][:1]
        problems = (problem_of(schema, value) for schema in schemas)
        return next((problem for problem in problems if problem is not None), None)

    def is_awaited(self, key: str | None) -> bool:
        """Whether somebody waits for such a value."""
        return bool(self._waiting_for(key))

    def deliver(self, letter: Letter) -> None:
        """Keeps a letter that is written, and answers whoever waits for it."""
        self.letters.append(letter)
        answered = next((expected for expected in self._expected if expected[0] == letter.key), None)
        if answered is not None:
            self._expected.remove(answered)
        for asked in self._waiting_for(letter.key):
            self._asked.remove(asked)
            self._taken.add(letter.seq)
            asked.answer.set_result(letter)

    def _waiting_for(self, key: str | None) -> list[Asked]:
        """Whom the next letter answers: all who named its key; without one, who has waited longest."""
        found = [asked for asked in self._asked if asked.key == key and not asked.answer.done()]
        return found[:1] if key is None else found
