"""How a value that is not plain JSON is shown: the one rule for events, HTTP and the terminal.

A value is shown as pydantic shows it: a model as an object, a set as a list, a Decimal as text, a secret masked, an
excluded field left out. Where JSON has no number, its name stands: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``. What
pydantic cannot show is ``{"$repr": text}``, and only that: what stands around it is shown as usual.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from enum import Enum
from itertools import islice
from typing import Any, Final, cast

import orjson
from pydantic import BaseModel, RootModel
from pydantic_core import to_jsonable_python

from reactor.events.plain import INT64, MAX_DEPTH, is_plain, plain_copy_of_json
from reactor.events.values import preview

REPR: Final = "$repr"
"""The one key of an object that stands for a value which cannot be shown."""


def show(value: Any) -> Any:
    """A value as plain JSON, for people; never raises. Plain JSON is returned as it is."""
    return value if is_plain(value) and _is_utf8(value) else _Showing(is_strict=False).show(value, 0)


def display_json(value: Any) -> bytes:
    """The same as JSON text."""
    try:
        if is_plain(value):
            return orjson.dumps(value)
    except TypeError:
        pass  # text with a lone surrogate
    return orjson.dumps(_Showing(is_strict=False).show(value, 0))


class SameNames(ValueError):
    """A dict has two keys that look the same, so only the later one is shown."""


def display_pieces(value: Any, members: int) -> Iterator[bytes]:
    """The same in pieces, so many members of a list, a tuple or a dict at once. Joined they are what it returns.

    A value that is none of these is one piece. Raises SameNames.
    """
    kind = cast("object", type(value))
    if kind is not list and kind is not tuple and kind is not dict:
        yield display_json(value)
        return
    showing, names, before = _Showing(is_strict=False, inside={id(value)}), set[str](), b""
    yield b"{" if kind is dict else b"["
    for part in parts_of(value, members):
        if kind is dict:
            some = {showing.name(key): showing.show(member, 1) for key, member in part.items()}
            if len(some) < len(part) or not names.isdisjoint(some):
                raise SameNames
            names.update(some)
        else:
            some = [showing.show(member, 1) for member in part]
        yield before + orjson.dumps(some)[1:-1]
        before = b","
    yield b"}" if kind is dict else b"]"


def parts_of(value: Any, members: int) -> Iterator[Any]:
    """A list, tuple or dict in parts of its own kind, each with so many members; one that is empty has one part."""
    if not isinstance(value, dict):
        for start in range(0, max(1, len(value)), members):
            yield value[start : start + members]
        return
    pairs = iter(cast("dict[Any, Any]", value).items())
    part = dict(islice(pairs, members))
    yield part
    while part := dict(islice(pairs, members)):
        yield part


def dumps(value: Any) -> bytes:
    """The JSON of a value that pydantic can show; raises TypeError, with a sentence, for any other."""
    try:
        return orjson.dumps(value if is_plain(value) else plain_copy(value))
    except TypeError as error:
        raise TypeError(str(error)) from error


def plain_copy(value: Any) -> Any:
    """A value as it is shown, as plain JSON of its own; raises TypeError if it cannot be shown whole."""
    if is_plain(value):
        try:
            return orjson.loads(orjson.dumps(value))
        except TypeError:
            pass  # text with a lone surrogate, which is refused below
    return plain_copy_of_json(orjson.dumps(_Showing(is_strict=True).show(value, 0)))


def _is_utf8(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


_HOLDERS: Final = (Mapping, list, tuple, set, frozenset, deque, BaseModel)


class _Showing:
    """``is_strict``: raises TypeError instead of showing anything as ``{"$repr": …}``."""

    def __init__(self, *, is_strict: bool, inside: Iterable[int] = ()) -> None:
        self._is_strict = is_strict
        self._inside = set(inside)
        """The ids of what is being shown around a value: who meets one of them again is in a cycle."""

    def show(self, value: Any, depth: int) -> Any:
        try:
            return self._show(value, depth)
        except BaseException as error:  # a user's model, serialiser or container may raise anything
            if self._is_strict and not isinstance(error, Exception):
                raise
            return self._repr(value, str(error) or type(error).__name__)

    def _show(self, value: Any, depth: int) -> Any:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, Enum):
            return self.show(value.value, depth)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            number = int(value)  # of a subclass: a range would look through all its members for one
            return number if number in INT64 else self._repr(value, "an integer of more than 64 bits")
        if isinstance(value, float):
            return _number(float(value))
        if isinstance(value, _HOLDERS) or (is_dataclass(value) and not isinstance(value, type)):
            return self._around(cast(Any, value), depth)
        if isinstance(value, orjson.Fragment):
            return plain_copy_of_json(orjson.dumps(value))
        if isinstance(value, (type, Iterator)):
            return self._repr(value, "an iterator can be consumed only once")
        return self._checked(to_jsonable_python(value), depth)

    def _around(self, value: Any, depth: int) -> Any:
        """What holds other values."""
        if depth >= MAX_DEPTH or id(value) in self._inside:
            why = f"nested more than {MAX_DEPTH} levels deep" if depth >= MAX_DEPTH else "inside of itself"
            if self._is_strict:
                raise TypeError(why)
            return {REPR: f"<{type(value).__name__}, {why}>"}
        self._inside.add(id(value))
        try:
            kind = cast(Any, type(value))
            if issubclass(kind, Mapping):
                return {self.name(key): self.show(member, depth + 1) for key, member in value.items()}
            if issubclass(kind, BaseModel) or is_dataclass(kind):
                return self._fields(value, depth)
            return [self.show(member, depth + 1) for member in value]
        finally:
            self._inside.discard(id(value))

    def _fields(self, value: Any, depth: int) -> Any:
        """A model or a dataclass: whole as pydantic shows it, or else field by field, without those it excludes."""
        try:
            return self._checked(to_jsonable_python(value), depth)
        except Exception:
            if self._is_strict or isinstance(value, type):
                raise
        if isinstance(value, RootModel):
            return self.show(cast(Any, value).root, depth + 1)
        return {name: self.show(getattr(value, name), depth + 1) for name in _shown_fields(value)}

    def _checked(self, jsonable: Any, depth: int) -> Any:
        """What pydantic made of a value, with what JSON has no word for replaced."""
        return jsonable if is_plain(jsonable) and _is_utf8(jsonable) else self._show(jsonable, depth)

    def name(self, key: Any) -> str:
        """A key of a dict as the name of a member."""
        if self._is_strict and not isinstance(key, str):
            raise TypeError(f"the keys of an object must be text, not {type(key).__name__}")
        try:
            (name,) = (key,) if type(key) is str else to_jsonable_python({key: None})
            return orjson.loads(orjson.dumps(name))
        except Exception:
            if self._is_strict:
                raise
            return preview(key)

    def _text(self, value: str) -> Any:
        text = str.__str__(value)
        return text if text.isascii() or _is_utf8(text) else self._repr(text, "text with a lone surrogate")

    def _repr(self, value: Any, why: str) -> Any:
        if self._is_strict:
            raise TypeError(why)
        return {REPR: preview(repr(value) if isinstance(value, str) else value)}


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _shown_fields(value: Any) -> list[str]:
    """The names of the fields of a model or a dataclass that pydantic would show."""
    known: Mapping[str, Any] = getattr(value, "__pydantic_fields__", None) or {}
    hidden = {name for name, field in known.items() if field.exclude or getattr(field, "exclude_if", None)}
    names = (
        [*known, *(value.__pydantic_extra__ or {})] if isinstance(value, BaseModel) else map(_name_of, fields(value))
    )
    return [name for name in names if name not in hidden]


def _name_of(field: Field[Any]) -> str:
    return field.name
