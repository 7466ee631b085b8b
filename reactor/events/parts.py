"""One large JSON object in parts, none of which is above a size, and the object again: for ``run.state``.

The first part is an object; each further one is laid onto what there is so far:

- an object onto an object: member by member
- an object onto a list: ``{"3": …}`` is laid onto item 3, or is the next item
- ``{"+": "…"}`` onto a text: it goes on
- anything else takes the place of what was there, so what is said twice is said once
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import orjson

from reactor.events.one_line import one_line

_AROUND: Final = 4
"""Bytes between a name and its value, and around them."""
_LONGEST: Final = 6
"""Bytes of one character in JSON, at most."""

_GOES_ON: Final = "+"

Path = tuple[str | int, ...]


def in_parts(value: Mapping[str, Any], most: int) -> Iterator[dict[str, Any]]:
    """The parts of an object, each as soon as it is made, with at most so many bytes (names that are longer aside)."""
    parts = _Parts(most)
    for name, member in value.items():
        yield from parts.add((name,), member)
    yield parts.last


def put_together(so_far: Any, part: Any) -> Any:
    """What there is, with the next part laid onto it. Lists and objects of ``so_far`` are changed."""
    if not isinstance(part, dict):
        return part
    members = cast("dict[str, Any]", part)
    if isinstance(so_far, dict):
        held = cast("dict[str, Any]", so_far)
        for name, value in members.items():
            held[name] = put_together(held[name], value) if name in held else value
        return held
    if isinstance(so_far, list):
        return _onto_list(cast("list[Any]", so_far), members)
    return so_far + members[_GOES_ON] if isinstance(so_far, str) and members.keys() == {_GOES_ON} else members


def _onto_list(items: list[Any], part: dict[str, Any]) -> list[Any]:
    for name, value in part.items():
        place = int(name)
        if place < len(items):
            items[place] = put_together(items[place], value)
        else:
            items.append(value)
    return items


def _size(value: Any) -> int:
    return len(one_line(orjson.dumps(value)))


class _Parts:
    """Makes parts one after the other. ``add`` gives those that are full; the last still has room."""

    def __init__(self, most: int) -> None:
        self.last: dict[str, Any] = {}
        self._most = most
        self._used = 0
        self._begun: set[Path] = set()
        """The lists of which a part has the beginning."""

    def add(self, path: Path, value: Any) -> Iterator[dict[str, Any]]:
        """Puts a value at its place, in as many parts as it takes."""
        if isinstance(value, (dict, list)) and 2 * len(cast("list[Any]", value)) > self._most:
            size = self._most + 1  # a member takes two bytes at least: no need to encode 50,000 tasks to see it
        else:
            size = _size(value)
        if size + _length(path) <= self._most or not isinstance(value, (dict, list, str)) or not value:
            yield from self._put(path, value, size)
        elif isinstance(value, dict):
            for name, member in cast("dict[str, Any]", value).items():
                yield from self.add((*path, name), member)
        elif isinstance(value, list):
            for place, item in enumerate(cast("list[Any]", value)):
                yield from self.add((*path, place), item)
        else:
            for place, piece in enumerate(_pieces(value, max(self._most - _length(path) - _AROUND, _LONGEST))):
                yield from self._begin()
                yield from self._put(path if place == 0 else (*path, _GOES_ON), piece, _size(piece))

    def _put(self, path: Path, value: Any, size: int) -> Iterator[dict[str, Any]]:
        size += _length(path)
        if self._used and self._used + size > self._most:
            yield from self._begin()
        self._used += size
        at: Any = self.last
        for depth, step in enumerate(path[:-1], 1):
            at = self._below(at, step, path[:depth], is_list=isinstance(path[depth], int))
        _set(at, path[-1], value)

    def _below(self, at: Any, step: str | int, path: Path, *, is_list: bool) -> Any:
        """What this part has at a step; where it has nothing: a list that begins here, or an object."""
        empty: Any = {}
        if is_list and path not in self._begun:
            self._begun.add(path)
            empty = []
        if isinstance(at, list):
            items = cast("list[Any]", at)
            if step == len(items):
                items.append(empty)
            return items[int(step)]
        return at.setdefault(str(step), empty)

    def _begin(self) -> Iterator[dict[str, Any]]:
        if self._used:
            yield self.last
            self.last, self._used = {}, 0


def _length(path: Path) -> int:
    return sum(len(one_line(orjson.dumps(str(step)))) + _AROUND for step in path)


def _set(at: Any, step: str | int, value: Any) -> None:
    if isinstance(at, list):
        cast("list[Any]", at).append(value)
    else:
        at[str(step)] = value


def _pieces(text: str, most: int) -> Iterator[str]:
    """A text in pieces whose JSON has at most so many bytes."""
    start = 0
    while start < len(text):
        end = start + max(1, most - 2)
        while end > start + 1 and _size(text[start:end]) > most:
            end = start + max(1, (end - start) // 2)
        yield text[start:end]
        start = end
