from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Final, TypeVar, cast

from reactivex import Observable

from reactor.bounds import RESERVED_EVENT_PREFIXES
from reactor.definition.names import did_you_mean, is_near, names_options
from reactor.events.event import Message, Notice
from reactor.events.values import named
from reactor.events.vocabulary import NOTICES, RESERVED, VOCABULARY
from reactor.operators.attached import Sink, Stage, operator_of

M = TypeVar("M", bound=Message)

PATTERN_CHARS: Final = 256
PATTERNS: Final = 64
DECISIONS: Final = 1_024
"""How many types one matcher remembers. Bodies can invent types without end, so there must be a bound."""


class InvalidPattern(ValueError):
    """A pattern of ``select`` is empty, too long, or can match no event; or there are too many of them."""


_KNOWN: Final = (*VOCABULARY, *NOTICES, *RESERVED)
"""The types of the engine."""


@names_options("select")
def select(
    types: str | Sequence[str] | None = None, tasks: str | Sequence[str] | None = None
) -> Callable[[Observable[M]], Observable[M]]:
    """Passes the messages whose type matches ``types`` and whose task id matches ``tasks``.

        source  --S(a)--P(a)--S(b)--C(a)--gap--|
                    select("S,C", tasks="a")
        result  --S(a)--------------C(a)--gap--|

    An event without a task passes ``tasks``; a message without a seq (``stream.gap``) always passes. A pattern is a
    case-sensitive glob for the whole type or id. It knows ``*`` and ``?`` only: brackets are literal, because
    ``measure[3]`` is a task id. A string may hold several patterns, separated by commas, of which one must match. None
    matches everything. Events keep their seq, so a cursor is valid under any selection.

    Raises ``InvalidPattern`` when the operator is made. That includes a type under a prefix of the engine (``task.``)
    that the engine does not have, and a type that is nearly one of the engine's: ``task_completed``.

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

    def make(sink: Sink[M]) -> _Selecting[M]:
        return _Selecting(matches, sink)

    return operator_of(make)


class _Selecting(Stage[M, M]):
    __slots__ = ("matches",)

    def __init__(self, matches: Callable[[Message], bool], sink: Sink[M]) -> None:
        super().__init__(sink)
        self.matches = matches

    def on_next(self, message: M, /) -> None:
        if self.matches(message):
            self.sink.on_next(message)


def _everything(source: Observable[M]) -> Observable[M]:
    return source


def matcher(
    types: str | Sequence[str] | None = None, tasks: str | Sequence[str] | None = None, *, any_type: bool = False
) -> Callable[[Message], bool]:
    """The predicate of ``select``: a dict look-up for the type and, with ``tasks``, one regular expression.

    ``any_type``: takes patterns under a prefix of the engine as they are, for what is named by users alone.
    """
    by_type = None if types is None else _Decisions(_compile(types, "types", any_type=any_type))
    by_task = None if tasks is None else _compile(tasks, "tasks")

    def matches(message: Message) -> bool:
        if isinstance(message, Notice):
            return True
        if by_type is not None and not by_type[message.type]:
            return False
        return by_task is None or message.task_id is None or by_task.fullmatch(message.task_id) is not None

    return matches


class _Decisions(dict[str, bool]):
    """Event type -> whether it matches; each type is decided once."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        super().__init__()
        self._pattern = pattern

    def __missing__(self, type: str) -> bool:
        if len(self) >= DECISIONS:
            self.clear()
        decision = self[type] = self._pattern.fullmatch(type) is not None
        return decision


def _compile(patterns: str | Sequence[str], argument: str, *, any_type: bool = True) -> re.Pattern[str]:
    globs = [glob.strip() for text in _texts(patterns, argument) for glob in text.split(",")]
    if not globs or "" in globs:
        raise InvalidPattern(f"{argument}= holds an empty pattern; leave it out to select everything")
    if len(globs) > PATTERNS:
        raise InvalidPattern(f"{argument}= holds {len(globs)} patterns; at most {PATTERNS} are allowed")
    for glob in globs:
        if len(glob) > PATTERN_CHARS:
            raise InvalidPattern(f"{argument}= holds a pattern of {len(glob)} characters, above {PATTERN_CHARS}")
        if not any_type and (problem := _type_problem(glob)) is not None:
            raise InvalidPattern(f"types= names {glob!r}, {problem}")
    return re.compile("|".join(map(_regex, globs)), re.DOTALL)


def _texts(patterns: object, argument: str) -> Sequence[str]:
    """The patterns as a list; users without a type checker pass anything."""
    texts: object = (patterns,) if isinstance(patterns, str) else patterns
    if isinstance(texts, (list, tuple, set, frozenset)):
        items = tuple(cast("Collection[object]", texts))
        if all(isinstance(item, str) for item in items):
            return cast("tuple[str, ...]", items)
    if isinstance(patterns, Observable):
        raise InvalidPattern("select is called before it is used: run.events.pipe(select(types=...))")
    raise InvalidPattern(f'{argument}= must be text, like "task.*", or a list of texts, not {named(patterns)}')


@lru_cache(maxsize=DECISIONS)
def _type_problem(glob: str) -> str | None:
    """Why no event has this type; None where one may have it. Users' own types may be anything."""
    pattern = re.compile(_regex(glob), re.DOTALL)
    if any(pattern.fullmatch(type) for type in _KNOWN):
        return None
    is_glob = "*" in glob or "?" in glob
    near = None if is_glob else next((type for type in _KNOWN if is_near(glob, type)), None)
    if near is not None:
        return f"did you mean {near!r}?"
    prefix = next((prefix for prefix in RESERVED_EVENT_PREFIXES if glob.startswith(prefix)), None)
    if prefix is None:
        return None
    types = [type for type in _KNOWN if type.startswith(prefix)]
    hint = did_you_mean(glob, types) or f"; there are {', '.join(types)}"
    return f"but no event of the engine has such a type{hint}"


def _regex(glob: str) -> str:
    # Each part between two stars matches at its first place and is never tried again (``(?>…)``). For a glob that is
    # always right, while with plain ``.*`` a pattern like ``*a*a*a*a*b`` from a URL would take hours.
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in glob.split("*"))
    if not rest:
        return first
    return first + "".join(f"(?>.*?{part})" for part in rest[:-1]) + ".*" + rest[-1]
