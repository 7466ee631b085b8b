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
            return _encode_typed(value, returns)
    except KeyboardInterrupt:
        raise  # it may be the user's Ctrl-C
    except BaseException as error:  # from a validator, serialiser or __eq__ that a user wrote
        logger.debug("output cannot be restored", type=type(value).__name__, error=describe_error(error))
    return Encoded(display_json(value), False)


def _encode_typed(value: Any, returns: TypeAdapter[Any]) -> Encoded:
    # pydantic warns where the annotation does not describe the value; it would then not restore it either
    text = one_line(orjson.dumps(plain_copy_of_json(returns.dump_json(value, warnings="error"))))
    form = exact_form(value)
    restored = returns.validate_json(text, by_name=True)
    hints = _hints_of(value)
    if hints is not None:
        restored = _give_hints(restored, hints)
        if len(orjson.dumps(hints)) > _HINT_BYTES:
            return Encoded(display_json(value), False)
    if exact_form(restored) != form or restored != value:  # a value may have an __eq__ of its own
        return Encoded(display_json(value), False)
    return Encoded(text, True, True, hints)


def restore_output(json: bytes, returns: TypeAdapter[Any] | None, hints: Hints | None = None) -> Any:
    """The output of a task, from its JSON, as downstream tasks receive it after a restart.

    Raises ValueError where the annotation no longer accepts it.
    """
    if returns is None:
        return orjson.loads(json)
    restored = returns.validate_json(json, by_name=True)
    return restored if hints is None else _give_hints(restored, hints)


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


# --- hints ---


def _hints_of(value: Any) -> Hints | None:
    """None where none of its parts needs one."""
    found: dict[str, list[Any]] = {}

    def note(part: Any) -> Any:
        kind, hint = _hint_of(part)
        found.setdefault(kind, []).append(hint)
        return part

    _walk(value, note)
    if not any(map(any, found.values())):
        return None
    return {kind: [[len(list(same)), hint] for hint, same in groupby(hints)] for kind, hints in found.items()}


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
