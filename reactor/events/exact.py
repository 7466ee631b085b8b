"""The exact form of a value: bytes that two values share only if nobody can tell the values apart.

The form holds what ``pickle`` would: builtin values by their type and content, any other object by the call that makes
it and by its state. So it tells ``1`` from ``1.0`` and ``True``, ``-0.0`` from ``0.0``, ``(1, 2)`` from ``[1, 2]``, and
it has the name of a time zone, the bound of a deque, and the private and excluded fields of a model. A class may keep
things from ``pickle``, such as a password; so what an object holds is in its form beside what its class says of it.
"""

from __future__ import annotations

import copyreg
import gc
import hashlib
import hmac
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import tzinfo
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType
from typing import Any, Final, cast

import orjson
from pydantic import BaseModel

from reactor.events.contents import adds_slots, attributes_of, contents_of, slots_of
from reactor.events.name_of import Named, NoExactForm, is_found_by_name
from reactor.events.plain import MAX_DEPTH, is_plain

__all__ = ["NoExactForm", "exact_form", "is_same_json", "keyed_digest"]


def exact_form(value: Any) -> bytes:
    """The form of a value for a comparison in this process; raises NoExactForm. The order of dicts counts."""
    return _form_of(value, is_key=False)


def keyed_digest(key: bytes, value: Any) -> str:
    """An HMAC-SHA256 of the exact form, the same in every process, in hex; raises NoExactForm.

    The order of the members of a dict does not count.
    """
    return hmac.new(key, _form_of(value, is_key=True), hashlib.sha256).hexdigest()


def is_same_json(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same, ``1``, ``1.0`` and ``true`` told apart, in whatever order members are."""
    try:  # JSON says all of a JSON value, in a tenth of the time
        return orjson.dumps(a, option=orjson.OPT_SORT_KEYS) == orjson.dumps(b, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # deeper than orjson writes
        return _form_of(a, is_key=True) == _form_of(b, is_key=True)


def _form_of(value: Any, *, is_key: bool) -> bytes:
    try:
        return _Forms(is_key=is_key).of(value, 0)
    except NoExactForm:
        raise
    except Exception as error:  # of a user's __reduce__ or __getstate__, or a RecursionError
        raise NoExactForm(f"a {type(value).__name__} has no exact form: {type(error).__name__}: {error}") from error


def _text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(encoded), encoded)


_SIMPLE: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda value: b"n",
    bool: lambda value: b"t" if value else b"f",
    int: lambda value: b"i%x;" % value,
    float: lambda value: b"d" + struct.pack("<d", value),
    str: _text,
    bytes: lambda value: b"b%d:%b" % (len(value), value),
}
"""Each form says where it ends, so that forms can stand one after the other."""


class _Forms:
    """``is_key``: for a digest that must be the same in other processes, so classes count by their names only."""

    def __init__(self, *, is_key: bool) -> None:
        self._is_key = is_key
        self._texts: dict[str, bytes] = {}
        """The forms of the keys of dicts, which often come again."""
        self._names: dict[int, tuple[Any, bytes]] = {}
        """By id: classes and functions, which are kept so that no other gets the id, and their forms."""
        self._has_slots: dict[int, bool] = {}
        """By the id of a class of models."""

    def of(self, value: Any, depth: int) -> bytes:
        kind = cast(Any, type(value))
        simple = _SIMPLE.get(kind)
        if simple is not None:
            return simple(value)
        if depth > MAX_DEPTH:
            raise NoExactForm(f"it is nested more than {MAX_DEPTH} levels deep")
        if kind in _JSON and (depth < _NEAR or len(value) > _MANY) and is_plain(value):
            return self._plain(value, kind, depth)
        if kind is list or kind is tuple:
            return self._several(b"l" if kind is list else b"u", value, depth)
        if kind is dict:
            return self._pairs(cast(dict[Any, Any], value).items(), depth, in_order=not self._is_key)
        if issubclass(kind, BaseModel):
            return self._model(value, kind, depth)
        if kind is MappingProxyType:
            return b"p" + self.of(gc.get_referents(value)[0], depth + 1)
        if kind is set or kind is frozenset:
            return self._members(b"a" if kind is set else b"z", value, depth)
        if issubclass(kind, (type, *_FUNCTIONS)):
            return self._named(value, depth)
        if issubclass(kind, Enum):
            return self._enum_member(value, kind, depth)
        return self._made(value, kind, depth)

    def _plain(self, value: Any, kind: type, depth: int) -> bytes:
        """JSON says all of it, in a tenth of the time."""
        try:
            text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS if self._is_key else 0)
        except TypeError:  # half of a surrogate pair, or deeper than orjson writes
            if kind is list:
                return self._several(b"l", value, depth)
            return self._pairs(value.items(), depth, in_order=not self._is_key)
        return b"j%d:%b" % (len(text), text)

    def _model(self, value: Any, kind: Any, depth: int) -> bytes:
        """Whatever its class says of pickling: outputs are often lists of models."""
        known, given = kind.__pydantic_fields__, value.__pydantic_fields_set__
        unset = [name for name in known if name not in given]
        private, extra = value.__pydantic_private__, value.__pydantic_extra__
        is_usual = not unset and private is None and extra is None and len(given) == len(known)
        rest = b"-" if is_usual else self.of((given, private, extra), depth + 1)
        members = self._pairs(value.__dict__.items(), depth, in_order=not self._is_key)
        has_slots = self._has_slots.get(id(kind))
        if has_slots is None:
            has_slots = self._has_slots[id(kind)] = adds_slots(kind, BaseModel)
        others = b"+" + self.of(slots_of(value, kind), depth + 1) if has_slots else b""
        return b"k%b%b%b%b" % (self._named(kind, depth), rest, members, others)

    def _enum_member(self, value: Any, kind: Any, depth: int) -> bytes:
        name = value._name_  # a combination of flags may have none
        return b"e" + self._named(kind, depth) + self.of(value._value_ if name is None else name, depth + 1)

    def _several(self, tag: bytes, values: Iterable[Any], depth: int) -> bytes:
        forms = [self.of(value, depth + 1) for value in values]
        return b"%b%d[%b" % (tag, len(forms), b"".join(forms))

    def _members(self, tag: bytes, values: Iterable[Any], depth: int) -> bytes:
        forms = sorted(self.of(value, depth + 1) for value in values)
        return b"%b%d[%b" % (tag, len(forms), b"".join(forms))

    def _pairs(self, pairs: Iterable[tuple[Any, Any]], depth: int, *, in_order: bool) -> bytes:
        forms = [self._key(key, depth) + self.of(value, depth + 1) for key, value in pairs]
        return b"m%d[%b" % (len(forms), b"".join(forms if in_order else sorted(forms)))

    def _key(self, key: Any, depth: int) -> bytes:
        if type(key) is not str:
            return self.of(key, depth + 1)
        form = self._texts.get(key)
        if form is None:
            form = self._texts[key] = _text(key)
        return form

    def _named(self, value: Any, depth: int) -> bytes:
        """A class or a function: by its name; in this process by itself, since names may be used twice."""
        known = self._names.get(id(value))
        if known is not None:
            return known[1]
        if not self._is_key and not isinstance(value, (MethodType, BuiltinFunctionType)):
            form = b"c%d;" % id(value)
        else:
            named = Named.of(value)
            form = b"c" + _text(named.name) + b"".join(self.of(part, depth + 1) for part in named.parts)
        self._names[id(value)] = value, form
        return form

    def _made(self, value: Any, kind: Any, depth: int) -> bytes:
        """Any other object: by what makes it again, as ``pickle`` asks for it, and by what it holds itself."""
        if (
            kind.__eq__ is object.__eq__
            and not issubclass(kind, tzinfo)
            and not is_found_by_name(value, kind.__reduce_ex__(value, 4))
        ):
            raise NoExactForm(f"a {kind.__name__} is equal to nothing but itself")
        reduce = copyreg.dispatch_table.get(kind)
        made: Any = kind.__reduce_ex__(value, 4) if reduce is None else reduce(value)
        if isinstance(made, str):
            if not is_found_by_name(value, made):
                raise NoExactForm(f"a {kind.__name__} is not found under its name {made!r}")
            return b"g" + self._named(kind, depth) + _text(made)
        parts: list[Any] = [*made, None, None, None]
        function, arguments, state, items, pairs = parts[:5]
        held = contents_of(value, kind)
        if isinstance(held, frozenset):
            arguments = ()  # they have the members in an order that another process does not repeat
        in_order = not self._is_key or issubclass(kind, OrderedDict)
        return b"o%b%b%b%b%b%b%b%b" % (
            self._named(kind, depth),
            self.of(function, depth + 1),
            self._several(b"u", arguments, depth),
            self.of(state, depth + 1),
            b"n" if items is None else self._several(b"l", items, depth),
            b"n" if pairs is None else self._pairs(pairs, depth, in_order=in_order),
            b"" if held is None else b"h" + self.of(held, depth + 1),
            b"" if (own := attributes_of(value, kind, reduce)) is None else b"w" + self.of(own, depth + 1),
        )


_FUNCTIONS: Final = (FunctionType, BuiltinFunctionType, MethodType)
_JSON: Final = (list, dict)
_NEAR: Final = 3
_MANY: Final = 100
"""Lists and dicts that stand near the top, or have so many members, are looked at whether they are plain JSON."""
