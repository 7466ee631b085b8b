"""The exact form of a value: bytes that two values share only if nobody can tell the values apart.

The form holds what ``pickle`` would: builtin values by their type and content, any other object by the call that makes
it and by its state. So it tells ``1`` from ``1.0`` and ``True``, ``-0.0`` from ``0.0``, ``(1, 2)`` from ``[1, 2]``, and
it has the name of a time zone, the bound of a deque, and the private and excluded fields of a model.
"""

from __future__ import annotations

import copyreg
import hashlib
import hmac
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import tzinfo
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Final, cast

import orjson
from pydantic import BaseModel

from reactor.events.plain import MAX_DEPTH


class NoExactForm(TypeError):
    """A value that cannot be told from others like it: an object without ``__eq__``, a lock, an iterator, a cycle."""


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

    def of(self, value: Any, depth: int) -> bytes:
        kind = cast(Any, type(value))
        simple = _SIMPLE.get(kind)
        if simple is not None:
            return simple(value)
        if depth > MAX_DEPTH:
            raise NoExactForm(f"it is nested more than {MAX_DEPTH} levels deep")
        if kind is list or kind is tuple:
            return self._several(b"l" if kind is list else b"u", value, depth)
        if kind is dict:
            return self._pairs(cast(dict[Any, Any], value).items(), depth, in_order=not self._is_key)
        if issubclass(kind, BaseModel) and kind.__getstate__ is BaseModel.__getstate__:
            return self._model(value, kind, depth)
        if kind is MappingProxyType:
            return b"p" + self.of(dict(value), depth + 1)
        if kind is set or kind is frozenset:
            members = sorted(self.of(member, depth + 1) for member in cast(Iterable[Any], value))
            return b"%b%d[%b" % (b"a" if kind is set else b"z", len(members), b"".join(members))
        if isinstance(value, (type, FunctionType, BuiltinFunctionType, MethodType)):
            return self._named(value, depth)
        if isinstance(value, Enum):
            name = cast(Any, value).name  # a combination of flags may have none
            member: Any = value.value if name is None else name
            return b"e" + self._named(kind, depth) + self.of(member, depth + 1)
        return self._made(value, kind, depth)

    def _model(self, value: Any, kind: Any, depth: int) -> bytes:
        """The same as ``_made`` would give, in a third of the time: outputs are often lists of models."""
        known, given = kind.__pydantic_fields__, value.__pydantic_fields_set__
        unset = [name for name in known if name not in given]
        private, extra = value.__pydantic_private__, value.__pydantic_extra__
        is_usual = not unset and private is None and extra is None and len(given) == len(known)
        rest = b"-" if is_usual else self.of((given, private, extra), depth + 1)
        members = self._pairs(value.__dict__.items(), depth, in_order=not self._is_key)
        return b"k%b%b%b" % (self._named(kind, depth), rest, members)

    def _several(self, tag: bytes, values: Iterable[Any], depth: int) -> bytes:
        forms = [self.of(value, depth + 1) for value in values]
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
        """A class or a function: by its name; in this process also by itself, since names may be used twice."""
        if isinstance(value, type) and not self._is_key:
            return b"c%d;" % id(value)
        name = f"{getattr(value, '__module__', None)}:{value.__qualname__}"
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType):
            return b"c" + _text(name) + self.of(owner, depth + 1)
        if not self._is_key:
            return b"c%d;" % id(value)
        if "<" in value.__qualname__:  # of a function call, which may make several classes or functions of one name
            what = "class" if isinstance(value, type) else "function"
            raise NoExactForm(f"the {what} {name} has a name that may be that of others")
        return b"c" + _text(name)

    def _made(self, value: Any, kind: type, depth: int) -> bytes:
        """Any other object: by what makes it again, as ``pickle`` asks for it."""
        if kind.__eq__ is object.__eq__ and not isinstance(value, tzinfo):
            raise NoExactForm(f"a {kind.__name__} is equal to nothing but itself")
        reduce = copyreg.dispatch_table.get(kind)
        made: Any = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(made, str):
            return b"g" + self._named(kind, depth) + _text(made)
        parts: list[Any] = [*made, None, None, None]
        function, arguments, state, items, pairs = parts[:5]
        in_order = not self._is_key or isinstance(value, OrderedDict)
        return b"o%b%b%b%b%b%b" % (
            self._named(kind, depth),
            self.of(function, depth + 1),
            self._several(b"u", arguments, depth),
            self.of(state, depth + 1),
            b"n" if items is None else self._several(b"l", items, depth),
            b"n" if pairs is None else self._pairs(pairs, depth, in_order=in_order),
        )
