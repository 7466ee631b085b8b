from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from reactivex import Observable

from reactor.events.event import Control, Message
from reactor.operators.attached import Sink, Stage, operator_of

PATTERN_CHARS: Final = 256
PATTERNS: Final = 64
DECISIONS: Final = 1_024
"""Types one matcher remembers; a body can invent types without end."""


class InvalidPattern(ValueError):
    """A pattern is empty or too long, or there are too many of them."""


def select(
    types: str | Sequence[str] | None = None, tasks: str | Sequence[str] | None = None
) -> Callable[[Observable[Message]], Observable[Message]]:
    """Only messages that match ``types=`` and ``tasks=`` pass; what has no task passes ``tasks=``, control passes both.

        source  --S(a)--P(a)--S(b)--C(a)--gap--|
                    select("S,C", tasks="a")
        result  --S(a)--------------C(a)--gap--|

    A pattern is a glob that knows ``*`` and ``?`` only, matched with the whole event type or task id, case and all;
    brackets are literal, because ``measure[3]`` is a task id. A string may hold several, separated by commas, any of
    which may match; None matches everything. A cursor stays valid under any selection: nothing is numbered anew.
    Raises ``InvalidPattern`` when it is built, not when it runs.

        >>> from reactivex import from_iterable
        >>> from reactor.events.event import Event
        >>> started = Event(1, "r", "task.started", "measure[3]", b"")
        >>> ended = Event(2, "r", "run.completed", None, b"")
        >>> from_iterable([started, ended]).pipe(select("task.*", tasks="measure[?]")).subscribe(print).dispose()
        <Event 1 task.started measure[3] of r>
    """
    if types is None and tasks is None:
        return _everything
    matches = matcher(types, tasks)

    return operator_of(lambda sink: _Selecting(matches, sink))


class _Selecting(Stage[Message, Message]):
    __slots__ = ("matches",)

    def __init__(self, matches: Callable[[Message], bool], sink: Sink[Message]) -> None:
        super().__init__(sink)
        self.matches = matches

    def on_next(self, message: Message, /) -> None:
        if self.matches(message):
            self.sink.on_next(message)


def _everything(source: Observable[Message]) -> Observable[Message]:
    return source


def matcher(
    types: str | Sequence[str] | None = None, tasks: str | Sequence[str] | None = None
) -> Callable[[Message], bool]:
    """The predicate of ``select``: a dict look-up for the type and, under ``tasks=``, one regular expression."""
    by_type = None if types is None else _Decisions(_compile(types, "types"))
    by_task = None if tasks is None else _compile(tasks, "tasks")

    def matches(message: Message) -> bool:
        if isinstance(message, Control):
            return True
        if by_type is not None and not by_type[message.type]:
            return False
        return by_task is None or message.task_id is None or by_task.fullmatch(message.task_id) is not None

    return matches


class _Decisions(dict[str, bool]):
    """Whether a type matches, decided once."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        super().__init__()
        self._pattern = pattern

    def __missing__(self, type: str) -> bool:
        if len(self) >= DECISIONS:
            self.clear()
        decision = self[type] = self._pattern.fullmatch(type) is not None
        return decision


def _compile(patterns: str | Sequence[str], argument: str) -> re.Pattern[str]:
    texts = [patterns] if isinstance(patterns, str) else patterns
    globs = [glob.strip() for text in texts for glob in text.split(",")]
    if not globs or "" in globs:
        raise InvalidPattern(f"{argument}= holds an empty pattern; leave it out to select everything")
    if len(globs) > PATTERNS:
        raise InvalidPattern(f"{argument}= holds {len(globs)} patterns; at most {PATTERNS} are allowed")
    for glob in globs:
        if len(glob) > PATTERN_CHARS:
            raise InvalidPattern(f"{argument}= holds a pattern of {len(glob)} characters, above {PATTERN_CHARS}")
    return re.compile("|".join(map(_regex, globs)), re.DOTALL)


def _regex(glob: str) -> str:
    # Each part between two stars is taken where it is found first and never looked for again (``(?>…)``), which is
    # always right for a glob; plain ``.*`` would let ``*a*a*a*a*b`` from a URL take hours.
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in glob.split("*"))
    if not rest:
        return first
    return first + "".join(f"(?>.*?{part})" for part in rest[:-1]) + ".*" + rest[-1]
