"""The JSON of a request, and of a response."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, cast

import orjson
from aiohttp import web

from reactor.clock import patiently
from reactor.definition.names import did_you_mean
from reactor.events.values import json_kind
from reactor.waiting import turn_of
from reactor_web import bounds
from reactor_web.http.arriving import arriving_of_loop
from reactor_web.http.decoding import decode_body
from reactor_web.http.problems import Problem
from reactor_web.http.sending import PacedResponse

Kind = type | tuple[type, ...]

STRING: Final = str
NUMBER: Final = (int, float)
OBJECT: Final = dict
BOOLEAN: Final = bool
ANYTHING: Final = object
"""Kinds of a member of a body."""

_NAMES: Final[Mapping[Kind, str]] = {
    STRING: "a string",
    NUMBER: "a number",
    OBJECT: "an object",
    BOOLEAN: "true or false",
}

_AT_ONCE: Final = 500
"""Members of a long array that are encoded in one piece."""


class NoBody(PacedResponse):
    """A response that has no body: 204, or the answer to a HEAD.

    aiohttp fails when a middleware of the host asks it to compress nothing.
    """

    def enable_compression(self, force: object = None, strategy: int | None = None) -> None:
        """Does nothing."""


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> PacedResponse:
    """A response with ``body`` as JSON."""
    return PacedResponse(
        status=status, body=orjson.dumps(body), content_type="application/json", headers=dict(headers or {})
    )


async def json_in_turns(body: Mapping[str, Any]) -> bytes:
    """An object as JSON. Members that are iterators become arrays, and others run while they are read."""
    turn = turn_of(asyncio.get_running_loop())
    parts: list[bytes] = []
    for name, value in body.items():
        parts.append(b",%b:" % orjson.dumps(name))
        if not isinstance(value, Iterator):
            parts.append(orjson.dumps(value))
            continue
        items = cast(Iterator[Any], value)
        batches: list[bytes] = []
        while batch := list(islice(items, _AT_ONCE)):
            batches.append(orjson.dumps(batch)[1:-1])
            await turn
        parts.append(b"[%b]" % b",".join(batches))
    return b"{%b}" % b"".join(parts)[1:]


async def read_body(request: web.Request) -> bytes:
    """The bytes of the body, as many as the application allows.

    Raises Problem 408 where they do not come in time, 503 where too many bodies come at once.
    """
    try:
        with patiently(bounds.BODY_SECONDS):
            return await arriving_of_loop().read(request)
    except TimeoutError:
        raise Problem(408, f"the body of the request has not come within {bounds.BODY_SECONDS:g} seconds") from None


async def any_body(request: web.Request) -> object:
    """The body as JSON of any kind; an empty one is an empty object. Raises Problem 400 and 413."""
    raw = await read_body(request)
    return await decode_body(raw, request.client_max_size) if raw.strip() else {}


async def json_body(request: web.Request, members: Mapping[str, Kind]) -> dict[str, Any]:
    """The body as an object whose members are of these kinds. An empty body is an empty object.

    Raises Problem 400 if the body is not JSON, 422 as ``check_members`` does.
    """
    return check_members(await any_body(request), members)


def check_members(body: object, members: Mapping[str, Kind], what: str = "the body") -> dict[str, Any]:
    """The members of an object, which may be of these kinds. ``what`` names the object.

    A member that is null is left out, unless it may be anything. Raises Problem 422 if it is no object, has an unknown
    member or a member of another kind.
    """
    if not isinstance(body, dict):
        raise Problem(422, f"{what} must be a JSON object, not {json_kind(body)}")
    given: dict[str, Any] = {}
    for name, value in cast(dict[str, Any], body).items():
        kind = members.get(name)
        if kind is None:
            hint = did_you_mean(name, members) or f"; it may have {', '.join(sorted(members))}"
            raise Problem(422, f"{what} has an unknown member {name[:50]!r}{hint}")
        if kind is ANYTHING:
            given[name] = value
        elif value is not None:
            if isinstance(value, bool) is not (kind is BOOLEAN) or not isinstance(value, kind):
                raise Problem(422, f"{name} must be {_NAMES[kind]}, not {json_kind(value)}")
            given[name] = value
    return given
