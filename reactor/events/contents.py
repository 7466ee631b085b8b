"""What an object holds, whatever its class says of it: a subclass may hide from ``pickle`` what is in it."""

from __future__ import annotations

import copyreg
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final, cast

_MADE_WELL: Final = sys.stdlib_module_names | {"pydantic", "pydantic_core"}
"""Whose classes say all of themselves to ``pickle``. Some have slots for what they have computed and may forget."""
_OF_PATHS: Final = frozenset(name for kind in PurePath.__mro__ for name in kind.__dict__.get("__slots__", ()))

_tuple, _list, _dict, _set, _frozenset, _deque, _ordered = cast(
    "tuple[Any, ...]", (tuple, list, dict, set, frozenset, deque, OrderedDict)
)
_CONTENTS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (complex, complex.__complex__),
    (bytes, bytes.__bytes__),
    (bytearray, lambda value: bytes(memoryview(value))),
    (_tuple, lambda value: _tuple.__getnewargs__(value)[0]),
    (_list, _list.copy),
    (_ordered, lambda value: _list(_ordered.items(value))),
    (_dict, _dict.copy),
    (_set, lambda value: _frozenset(_set.__iter__(value))),
    (_frozenset, lambda value: _frozenset(_frozenset.__iter__(value))),
    (_deque, lambda value: (_deque.maxlen.__get__(value), _list(_deque.__iter__(value)))),
    (datetime, lambda value: datetime.__reduce_ex__(value, 4)[1]),
    (date, lambda value: date.__reduce__(value)[1]),
    (time, lambda value: time.__reduce_ex__(value, 4)[1]),
    (timedelta, lambda value: timedelta.__reduce__(value)[1]),
    (Decimal, lambda value: Decimal.__reduce__(value)[1]),
    (Fraction, lambda value: (value._numerator, value._denominator)),
    (PurePath, lambda value: PurePath.__reduce__(value)[1]),
)
"""By the methods of the builtin class itself, because a subclass may have others."""


def contents_of(value: Any, kind: type) -> Any:
    """What an instance of a subclass of a builtin class holds as such; None for any other object."""
    if _is_made_well(kind) and not issubclass(kind, (set, frozenset)):
        return None
    for base, read in _CONTENTS:
        if issubclass(kind, base):
            return read(value)
    return None


def attributes_of(value: Any, kind: Any, reduce: Any) -> Any:
    """The attributes of an object, where its class, or ``reduce``, has a word of its own on what ``pickle`` is told."""
    if _is_made_well(kind):
        return None
    is_usual = (
        reduce is None
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ is cast(Any, object).__getstate__
    )
    if is_usual:
        return None
    state = cast(Any, object).__getstate__(value)
    if isinstance(value, PurePath) and isinstance(state, tuple):
        return _without_computed(cast("tuple[Any, ...]", state))
    return state


def _without_computed(state: tuple[Any, ...]) -> tuple[Any, ...]:
    """The attributes of a path without what its class has computed, such as its hash; its parts are its contents."""
    attributes, slots = state
    return attributes, {name: value for name, value in slots.items() if name not in _OF_PATHS}


def adds_slots(kind: type, base: type) -> bool:
    """Whether a subclass has slots that ``base`` has not."""
    return any(cls.__dict__.get("__slots__") for cls in kind.__mro__[: kind.__mro__.index(base)])


def slots_of(value: Any, kind: type) -> dict[str, Any]:
    """What stands in the slots of an object."""
    return {name: getattr(value, name) for name in cast(Any, copyreg)._slotnames(kind) if hasattr(value, name)}


def _is_made_well(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _MADE_WELL
