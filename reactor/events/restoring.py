"""Outputs and inputs as JSON, and whether that JSON gives the value back after a restart.

A value is *recoverable* if what is restored cannot be told from it (``exact``). Plain JSON is so by nature, any
other value only through an annotation, with which pydantic makes it from its JSON again. What pydantic's JSON does not
say, *hints* beside it say: the time zone of a datetime, the bound of a deque, the fields of a model that were not set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, time, timezone
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, NamedTuple, cast
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel, TypeAdapter

from reactor.events.exact import NoExactForm, exact_form, keyed_digest
from reactor.events.one_line import one_line
from reactor.events.plain import is_plain, plain_copy_of_json
from reactor.events.shown import display_json
from reactor.events.values import describe_error
from reactor.logger import get_logger

logger = get_logger()

_HINT_BYTES: Final = 4_096
"""The hints stand in the event itself. A value that needs more of them is not recoverable."""

Hints = dict[str, list[list[Any]]]
"""``{"unset" | "bounds" | "zones": [[count, hint], …]}``: so many parts of a kind, one after the other, have a hint."""


_UNSET, _BOUNDS, _ZONES = "unset", "bounds", "zones"


class Encoded(NamedTuple):
    """A value as JSON, and whether that JSON restores it; ``typed``: only with the help of the annotation."""

    json: bytes
    recoverable: bool
    typed: bool = False
    hints: Hints | None = None
    """What the annotation needs besides the JSON."""


def encode_output(value: Any, returns: TypeAdapter[Any] | None) -> Encoded:
    """The JSON of an output or an input. Never raises: what cannot be restored is shown, and is not recoverable."""
    try:
        if is_plain(value):
            return Encoded(one_line(orjson.dumps(value)), True)
        if returns is not None:
            found = Noted()
            text = encode_part(value, returns, found)
            hints = found.hints()
            if text is not None and fit(hints):
                return Encoded(text, True, True, hints)
    except KeyboardInterrupt:
        raise  # it may be the user's Ctrl-C
    except BaseException as error:  # from a validator, serialiser or __eq__ that a user wrote
        log_not_restored(value, error)
    return Encoded(display_json(value), False)


def log_not_restored(value: Any, error: BaseException) -> None:
    logger.debug("output cannot be restored", type=type(value).__name__, error=describe_error(error))


def encode_part(value: Any, returns: TypeAdapter[Any], found: Noted) -> bytes | None:
    """The JSON that restores a value, or some members of one; None where that would not be equal.

    What it needs besides its JSON is added to ``found``. Raises what a user's validator or ``__eq__`` raises.
    """
    # pydantic warns where the annotation does not describe the value; it would then not restore it either
    text = one_line(orjson.dumps(plain_copy_of_json(returns.dump_json(value, warnings="error"))))
    form = exact_form(value)
    restored = returns.validate_json(text, by_name=True)
    mine = Noted()
    mine.note(value)
    found.add(mine)
    if (hints := mine.hints()) is not None:
        restored = _give_hints(restored, hints)
    if exact_form(restored) != form or restored != value:  # a value may have an __eq__ of its own
        return None
    return text


def fit(hints: Hints | None) -> bool:
    return hints is None or len(orjson.dumps(hints)) <= _HINT_BYTES


def restore_output(json: bytes, returns: TypeAdapter[Any] | None, hints: Hints | None = None) -> Any:
    """The output of a task, from its JSON, as downstream tasks receive it after a restart.

    Raises ValueError where the annotation no longer accepts it, or makes another value of it than the one that was
    encoded: its validators may have changed since, or depend on a setting that has. They may also raise anything else.
    """
    if returns is None:
        return orjson.loads(json)
    restored = returns.validate_json(json, by_name=True)
    if hints is not None:
        restored = _give_hints(restored, hints)
    if not _shows_more(returns) and not _is_shown_as(restored, returns, json):
        raise ValueError("it becomes another value when its validators see it again")
    return restored


@lru_cache(maxsize=4096)
def _shows_more(returns: TypeAdapter[Any]) -> bool:
    """Whether its JSON has computed fields, which need not be the same tomorrow."""
    return "'computed_fields': [{" in repr(returns.core_schema)


def _is_shown_as(restored: Any, returns: TypeAdapter[Any], json: bytes) -> bool:
    return _agree(plain_copy_of_json(returns.dump_json(restored, warnings="error")), orjson.loads(json))


def _agree(now: Any, logged: Any) -> bool:
    """Whether JSON says the same as it did. Only what both have counts: a release may have added or dropped a field."""
    if isinstance(now, dict) and isinstance(logged, dict):
        members = cast(dict[str, Any], logged)
        return all(_agree(value, members[name]) for name, value in cast(dict[str, Any], now).items() if name in members)
    if isinstance(now, list) and isinstance(logged, list):
        left, right = cast(list[Any], now), cast(list[Any], logged)
        in_order = len(left) == len(right) and all(map(_agree, left, right))
        return in_order or _unordered(left) == _unordered(right)
    return now == logged and isinstance(now, bool) == isinstance(logged, bool)


def _unordered(value: Any) -> bytes:
    """JSON without the order in lists: that of the members of a set is another in each process."""
    if isinstance(value, list):
        return b"[%b]" % b",".join(sorted(map(_unordered, cast(list[Any], value))))
    if isinstance(value, dict):
        members = sorted(cast(dict[str, Any], value).items())
        return b"{%b}" % b",".join(orjson.dumps(name) + _unordered(member) for name, member in members)
    return orjson.dumps(value)


def input_digest(key: bytes, values: Mapping[str, Any], encoded: Mapping[str, Encoded]) -> str | None:
    """An HMAC of the whole input of a run, with secrets and excluded fields.

    None where its JSON says all of it, and where it holds a value that cannot be told from others.
    """
    if all(value.recoverable for value in encoded.values()):
        return None
    try:
        return keyed_digest(key, dict(values))
    except NoExactForm:
        return None


def given_digest(key: bytes, given: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """An HMAC of an input before it was validated: ``default_factory`` makes another value of the same input each time.

    None where all values are plain JSON, and where the input cannot be told from others.
    """
    if is_plain(values):
        return None
    try:
        return keyed_digest(key, dict(given))
    except NoExactForm:
        return None


# --- hints ---


class Noted:
    """The hints of the parts of a value, in the order of its parts."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, list[Any]] = {}

    def note(self, value: Any) -> None:
        """Adds those of all parts of a value."""
        _walk(value, self._note)

    def _note(self, part: Any) -> Any:
        kind, hint = _hint_of(part)
        self._found.setdefault(kind, []).append(hint)
        return part

    def add(self, others: Noted) -> None:
        for kind, hints in others._found.items():
            self._found.setdefault(kind, []).extend(hints)

    def hints(self) -> Hints | None:
        """None where no part needs one."""
        if not any(map(any, self._found.values())):
            return None
        found = self._found.items()
        return {kind: [[len(list(same)), hint] for hint, same in groupby(hints)] for kind, hints in found}


def _hint_of(part: Any) -> tuple[str, Any]:
    """The names of the fields of a model that are not set; the bound of a deque; zone and fold of a time."""
    if isinstance(part, BaseModel):
        known, given = type(part).__pydantic_fields__, part.__pydantic_fields_set__
        return _UNSET, [name for name in known if name not in given]
    if isinstance(part, deque):
        return _BOUNDS, cast(Any, part).maxlen
    if isinstance(part.tzinfo, timezone):
        return _ZONES, {"zone": None, "fold": part.fold}
    return _ZONES, {"zone": part.tzinfo.key, "fold": part.fold} if isinstance(part.tzinfo, ZoneInfo) else None


def _give_hints(restored: Any, hints: Hints) -> Any:
    """Adds to what pydantic restored what the hints say. Raises ValueError where they are hints of another value."""
    given = {kind: _each(hints[kind]) for kind in hints}

    def change(part: Any) -> Any:
        kind, _ = _hint_of(part)
        try:
            return _changed(part, next(given[kind]))
        except (KeyError, StopIteration):
            raise ValueError(f"it has more {kind} than it had") from None

    changed = _walk(restored, change)
    for kind, hints_left in given.items():
        for _ in hints_left:
            raise ValueError(f"it has fewer {kind} than it had")
    return changed


def _each(hints: list[list[Any]]) -> Iterator[Any]:
    for count, hint in hints:
        for _ in range(count):
            yield hint


def _changed(part: Any, hint: Any) -> Any:
    if isinstance(part, BaseModel):
        part.__pydantic_fields_set__.difference_update(hint)
        return part
    if isinstance(part, deque):
        return deque(cast("deque[Any]", part), hint)
    if hint is None:
        return part
    key = hint["zone"]
    return part.replace(tzinfo=timezone(part.utcoffset()) if key is None else ZoneInfo(key), fold=hint["fold"])


def _walk(value: Any, at: Callable[[Any], Any]) -> Any:
    """Calls ``at`` for every model, deque and time with a zone in a value, always in the same order.

    What ``at`` returns takes the place of what it was given. Returns the value, or what takes its place.
    """
    kind = cast(Any, type(value))
    is_model = issubclass(kind, BaseModel)
    is_zoned = issubclass(kind, (datetime, time)) and value.tzinfo is not None
    if kind is list or kind is deque:
        _walk_members(value, range(len(value)), at)
    elif kind is dict:
        _walk_members(value, list(value), at)
    elif issubclass(kind, tuple):
        value = _walk_tuple(value, at)
    elif is_model:
        _walk_members(value.__dict__, list(value.__dict__), at)
        _walk_members(value.__pydantic_extra__, list(value.__pydantic_extra__ or ()), at)
    elif is_dataclass(kind):
        for field in fields(kind):
            member = getattr(value, field.name)
            if (changed := _walk(member, at)) is not member:
                object.__setattr__(value, field.name, changed)
    return at(value) if kind is deque or is_model or is_zoned else value


def _walk_tuple(value: Any, at: Callable[[Any], Any]) -> Any:
    """A tuple cannot be changed, so another one takes its place."""
    members = [_walk(member, at) for member in value]
    if all(a is b for a, b in zip(members, value, strict=True)):
        return value
    return tuple(members) if type(value) is tuple else value._make(members)


def _walk_members(value: Any, keys: Iterable[Any], at: Callable[[Any], Any]) -> None:
    for key in keys:
        member = value[key]
        if (changed := _walk(member, at)) is not member:
            value[key] = changed
