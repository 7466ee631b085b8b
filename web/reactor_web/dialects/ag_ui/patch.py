"""Applies a JSON Patch to a value. Source: RFC 6902, with the pointers of RFC 6901."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


class PatchError(ValueError):
    """The patch is none, or does not fit the value. Nothing was changed."""


def apply(value: Any, patch: Sequence[Any]) -> Any:
    """The value after all operations; the given one stays as it is. Raises PatchError."""
    for operation in patch:
        value = _apply_one(value, operation)
    return value


def pointer(*names: str) -> str:
    """The pointer to a member of a member of ….

    >>> pointer("tasks", "a/b")
    '/tasks/a~1b'
    """
    return "".join(["/" + name.replace("~", "~0").replace("/", "~1") for name in names])


def _apply_one(value: Any, operation: Any) -> Any:
    if not isinstance(operation, Mapping):
        raise PatchError("an operation must be an object")
    given = cast("Mapping[str, Any]", operation)
    op, path = given.get("op"), _path(given.get("path"))
    if op in ("add", "replace", "test") and "value" not in given:
        raise PatchError(f"{op} needs a value")
    match op:
        case "add":
            return _put(value, path, given["value"], is_new=True)
        case "replace":
            _find(value, path)
            return _put(value, path, given["value"], is_new=False)
        case "remove":
            return _remove(value, path)
        case "copy":
            return _put(value, path, _find(value, _path(given.get("from"))), is_new=True)
        case "move":
            source = _path(given.get("from"))
            if len(source) < len(path) and path[: len(source)] == source:
                raise PatchError("a value cannot move into itself")
            moved = _find(value, source)
            return _put(_remove(value, source), path, moved, is_new=True)
        case "test":
            if not _is_equal(_find(value, path), given["value"]):
                raise PatchError(f"{given['path']} is not what the test says")
            return value
        case _:
            raise PatchError(f"there is no operation {op!r}")


def _is_equal(a: Any, b: Any) -> bool:
    """As JSON: ``true`` is no 1, and 1.0 is 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        one, other = cast("dict[str, Any]", a), cast("dict[str, Any]", b)
        return one.keys() == other.keys() and all(_is_equal(value, other[name]) for name, value in one.items())
    if isinstance(a, list) and isinstance(b, list):
        items, others = cast("list[Any]", a), cast("list[Any]", b)
        return len(items) == len(others) and all(map(_is_equal, items, others))
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def _path(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"{text!r} is not a pointer: it is empty or begins with /")
    if re.search("~(?![01])", text):
        raise PatchError(f"{text!r} is not a pointer: ~ stands before 0 or 1 only")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _find(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = _member(value, name)
    return value


def _member(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        if name in value:
            return cast("dict[str, Any]", value)[name]
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if _INDEX.fullmatch(name) and int(name) < len(items):
            return items[int(name)]
    raise PatchError(f"there is no {name!r}")


def _put(value: Any, path: Sequence[str], new: Any, *, is_new: bool) -> Any:
    """A copy of the value with ``new`` at the path; ``is_new``: in a list it goes before what is there."""
    if not path:
        return new
    name, rest = path[0], path[1:]
    if rest:
        return _with(value, name, _put(_member(value, name), rest, new, is_new=is_new))
    if isinstance(value, dict):
        return {**cast("dict[str, Any]", value), name: new}
    if isinstance(value, list) and is_new:
        items = cast("list[Any]", value)
        at = len(items) if name == "-" else int(name) if _INDEX.fullmatch(name) else -1
        if not 0 <= at <= len(items):
            raise PatchError(f"{name!r} is no place in a list of {len(items)}")
        return [*items[:at], new, *items[at:]]
    return _with(value, name, new)


def _with(value: Any, name: str, member: Any) -> Any:
    """A copy of the value with another member, which is there already."""
    if isinstance(value, dict):
        return {**cast("dict[str, Any]", value), name: member}
    _member(value, name)  # raises unless it is a place in a list
    items = cast("list[Any]", value)
    at = int(name)
    return [*items[:at], member, *items[at + 1 :]]


def _remove(value: Any, path: Sequence[str]) -> Any:
    if not path:
        raise PatchError("the whole value cannot be removed")
    name, rest = path[0], path[1:]
    member = _member(value, name)
    if rest:
        return _with(value, name, _remove(member, rest))
    if isinstance(value, dict):
        return {other: kept for other, kept in cast("dict[str, Any]", value).items() if other != name}
    items = cast("list[Any]", value)
    return [*items[: int(name)], *items[int(name) + 1 :]]
