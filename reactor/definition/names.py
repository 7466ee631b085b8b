"""Names: what a name of each kind may look like, in words; the id of a mapped child; the hints for a misspelt name.

The patterns themselves stand in ``bounds``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from difflib import get_close_matches
from functools import wraps
from inspect import iscoroutinefunction, signature
from itertools import islice
from typing import Any, Final, ParamSpec, TypeVar, cast

from reactor.bounds import TASK_NAME

C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")

WORKFLOW_NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 . _ ~ -, beginning with none of . ~ -"
TASK_NAME_RULE: Final = "one of A-Z a-z _, then up to 63 of A-Z a-z 0-9 . _ ~ -"
PLAN_TASK_ID_RULE: Final = "one of A-Z a-z _, then up to 63 of A-Z a-z 0-9 _ ~ -"
TOOL_NAME_RULE: Final = "one of A-Z a-z _, then up to 63 of A-Z a-z 0-9 _ . -"

_COMPARED_CHARS: Final = 64
_COMPARED_NAMES: Final = 100
_LISTED_NAMES: Final = 10


def child_task_id(task: str, index: int) -> str:
    """``measure[3]``: the id of one child of a mapped task; ``index`` counts from 0."""
    return f"{task}[{index}]"


def task_id_parts(task_id: str) -> tuple[str, int | None] | None:
    """Name and index of a task id: ``("measure", 3)`` for ``measure[3]``; None for what cannot be one."""
    name, _, rest = task_id.partition("[")
    if not is_name(TASK_NAME, name):
        return None
    if name == task_id:
        return name, None
    digits = rest.removesuffix("]")
    index = int(digits[:9]) if digits.isascii() and digits.isdigit() else -1
    return (name, index) if child_task_id(name, index) == task_id else None


def is_name(pattern: re.Pattern[str], name: object) -> bool:
    """Whether it is text of this form. Users without a type checker pass anything."""
    return isinstance(name, str) and pattern.fullmatch(name) is not None


def did_you_mean(name: str, known: Iterable[str], *, most: int = _COMPARED_NAMES) -> str:
    """``, did you mean 'fetch'?``, or an empty string where no known name is close.

    The comparison is slow and strangers may choose the names, so only the first ``most`` names are compared.
    """
    close = get_close_matches(name[:_COMPARED_CHARS], islice(known, most), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def known_names(known: Iterable[str]) -> str:
    """``fetch, use``: the first ten names, and ``none`` where there are none."""
    names = list(islice(known, _LISTED_NAMES + 1))
    more = [] if len(names) <= _LISTED_NAMES else ["..."]
    return ", ".join([*names[:_LISTED_NAMES], *more]) or "none"


def unknown_options(of: str, given: Iterable[str], known: Collection[str]) -> TypeError:
    """The error for options that a function does not have; ``of`` is how it is called: ``flow.task``."""
    first, *others = sorted(given)
    unknown = ", ".join(map(repr, (first, *others)))
    close = [word for name in (first, *others) for word in get_close_matches(name[:_COMPARED_CHARS], known, n=1)]
    hint = f", did you mean {' and '.join(map(repr, dict.fromkeys(close)))}?" if close else ""
    if not hint and "input" in known:
        members = ", ".join(f'"{name}": ...' for name in (first, *others))
        hint = f"; inputs of a run are given together: input={{{members}}}"
    return TypeError(f"{of} has no option {unknown}{hint or '; its options are ' + ', '.join(known)}")


def missing_attribute(of: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for something that an object does not have; ``of`` is what users call the object."""
    public = [one for one in known if not one.startswith("_")]
    return AttributeError(f"{of} has no {name!r}{did_you_mean(name, public) or '; it has ' + ', '.join(public)}")


def names_options(of: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function say which options it has where it is given another one; ``of``: how it is called.

    Python's own sentence names the wrong option only. The function keeps its signature for type checkers.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = [name for name in signature(function).parameters if name != "self"]
        expected = frozenset(known)

        def check(options: Iterable[str]) -> None:
            if unknown := expected.union(options) - expected:
                raise unknown_options(of, unknown, known)

        @wraps(function)
        def checked(*args: P.args, **options: P.kwargs) -> R:
            check(options)
            return function(*args, **options)

        @wraps(function)
        async def checked_async(*args: P.args, **options: P.kwargs) -> Any:
            check(options)
            return await cast("Callable[P, Awaitable[Any]]", function)(*args, **options)

        return cast("Callable[P, R]", checked_async) if iscoroutinefunction(function) else checked

    return decorate


def names_its_options(**methods: str) -> Callable[[type[C]], type[C]]:
    """The same for a class, and for methods of it: name of the method -> how it is called."""

    def decorate(kind: type[C]) -> type[C]:
        for name, of in {"__init__": kind.__name__, **methods}.items():
            setattr(kind, name, names_options(of)(getattr(kind, name)))
        return kind

    return decorate


def is_near(name: str, other: str) -> bool:
    """Whether two different names are so alike that one is probably a slip of the other.

    That is one letter that is missing, added, replaced, or swapped with its neighbour; two of these in names of six
    letters and more. In names of four letters and less only a swap counts: there are too many short words.
    """
    most = 2 if min(len(name), len(other)) >= 6 else 1
    if name == other or abs(len(name) - len(other)) > most or max(len(name), len(other)) > _COMPARED_CHARS:
        return False
    if len(set(name) ^ set(other)) > 2 * most:  # each of the changes adds and removes one letter at most
        return False
    if min(len(name), len(other)) <= 4 and sorted(name) != sorted(other):
        return False
    return _edits(name, other) <= most


def is_one_edit(name: str, other: str) -> bool:
    """Whether one letter that is missing, added, replaced or swapped with its neighbour makes one name the other."""
    if not 0 < len(name) <= _COMPARED_CHARS or abs(len(name) - len(other)) > 1 or name == other:
        return False
    same = next((i for i, (a, b) in enumerate(zip(name, other, strict=False)) if a != b), min(len(name), len(other)))
    rest, its = name[same:], other[same:]
    if len(rest) != len(its):
        return rest[1:] == its or rest == its[1:]
    return rest[1:] == its[1:] or (rest[:2] == its[1::-1] and rest[2:] == its[2:])


def _edits(name: str, other: str) -> int:
    """The optimal string alignment distance: how many letters are added, left out, replaced or swapped."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(name, 1):
        row = [i]
        for j, its in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and name[i - 2] == its:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
