"""Events that bodies, sessions and other callers emit: what they may be called, and their data as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from reactor import bounds
from reactor.errors import EventTooLarge, InvalidEvent
from reactor.events.one_line import one_line
from reactor.events.shown import dumps
from reactor.events.values import json_kind

_ENVELOPE_BYTES: Final = 512
"""How many of the 48 KiB of an event are left for its envelope."""

Failure = Callable[[type[Exception], str], Exception]
"""Makes the error of a kind from its sentence: it adds who emits."""


def check_type(type: object, failure: Failure) -> str:
    """Returns the type of an event of somebody's own; raises what ``failure`` makes where it cannot be one."""
    if not isinstance(type, str) or not bounds.EVENT_TYPE.fullmatch(type) or len(type) > bounds.EVENT_TYPE_CHARS:
        raise failure(
            InvalidEvent,
            f"{type!r:.200} is not an event type; write words of letters, digits and _ joined by . : or -, "
            f"like 'page.fetched', at most {bounds.EVENT_TYPE_CHARS} characters",
        )
    if type.startswith(bounds.RESERVED_EVENT_PREFIXES):
        first = type.partition(".")[0]
        raise failure(
            InvalidEvent,
            f"the event type {type!r} is reserved for the engine; begin it with another word than {first}",
        )
    return type


def encode_data(type: str, data: Any, failure: Failure, *, beside: int = 0) -> bytes:
    """The data of an event as JSON on one line; raises what ``failure`` makes where it is no object or too large.

    ``beside``: the bytes of what else stands in the envelope, an idempotency key.
    """
    try:
        json = one_line(dumps(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise failure(InvalidEvent, f"the data of its {type!r} event is not JSON: {error}") from error
    if json[:1] != b"{":
        raise failure(InvalidEvent, f"the data of its {type!r} event must be a JSON object, not {json_kind(data)}")
    if len(json) + beside > bounds.MAX_EVENT_BYTES - _ENVELOPE_BYTES:
        raise failure(
            EventTooLarge,
            f"its {type!r} event has {len(json):,} bytes, the limit is {bounds.MAX_EVENT_BYTES:,}; "
            "emit a reference, or several events",
        )
    return json
