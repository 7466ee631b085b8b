"""JSON that strangers send, decoded in a time that they cannot make long.

What a text costs is in the number of its values, not in its bytes: a megabyte may be one string, or half a million
lists, and whoever looks at it has to look at each. So the values are counted before any of them is made.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

import orjson

from reactor.events.plain import rounded_integer_in, values_in
from reactor_web.bounds import BYTES_PER_VALUE
from reactor_web.http.problems import Problem

_SMALL: Final = 10_000
"""Bytes of a text whose values need not be counted."""
_LARGE: Final = 100_000


def check_values(raw: bytes, limit: int, what: str = "the body") -> None:
    """Raises the Problem 413 of ``decode``."""
    most = limit // BYTES_PER_VALUE
    if len(raw) > _SMALL and 0 < most < values_in(raw, most):
        raise Problem(413, f"{what} has more than {most:,} JSON values", code="body-too-large")


async def decode_body(raw: bytes, limit: int) -> object:
    """``decode`` of a body, which then lets others go on where it was large: much more is still to be done with it."""
    value = decode(raw, limit)
    if len(raw) > _LARGE:
        await asyncio.sleep(0)
    return value


def decode(raw: bytes, limit: int, what: str = "the body") -> object:
    """The value of a JSON text of at most ``limit`` bytes. ``what`` names the text.

    Raises Problem 400 where it is not JSON, or has an integer that would be rounded in silence, 413 where it has more
    than a value for each ``BYTES_PER_VALUE`` of the limit, 0 being no limit.
    """
    check_values(raw, limit, what)
    if (rounded := rounded_integer_in(raw)) is not None:
        number = rounded if len(rounded) <= 50 else f"{rounded[:50]}…"
        raise Problem(400, f"{what} has an integer of more than 64 bits, {number}: send it as a text")
    is_collected = len(raw) > _SMALL and gc.isenabled()
    if is_collected:
        gc.disable()  # it would look through all that is made here again and again, and find nothing to free
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"{what} is not JSON: {error}") from error
    finally:
        if is_collected:
            gc.enable()
