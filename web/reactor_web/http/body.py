"""JSON in and out, and the guard before anything that changes something."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

import orjson
from aiohttp import web

from reactor_web.http.problems import Problem


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/json", headers=dict(headers or {})
    )


async def json_object(request: web.Request, members: Collection[str]) -> dict[str, Any]:
    """The body as an object with known members; raises Problem 400 or 422. An empty body is an empty object."""
    raw = await request.read()
    try:
        body: object = orjson.loads(raw) if raw.strip() else {}
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Problem(422, f"the body must be a JSON object, not {type(body).__name__}")
    found = cast(dict[str, Any], body)
    for name in found:
        if name not in members:
            raise Problem(
                422, f"the body has an unknown member {name[:50]!r}; it may have {', '.join(sorted(members))}"
            )
    return found
