"""JSON in and out, and the guard before anything that changes something."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

import orjson
from aiohttp import web
from yarl import URL

from web.keys import HOSTS
from web.problems import Problem

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


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


def guard_change(request: web.Request) -> None:
    """Raises Problem 415 or 403 for what a web page somewhere else could have sent.

    Any page can reach a server on loopback. A JSON content type makes its browser ask first, and there is no answer;
    a Host that is not ours is a name that was rebound to this address.
    """
    if request.content_type != "application/json":
        raise Problem(415, f"send Content-Type: application/json, not {request.content_type}")
    allowed = request.app[HOSTS]
    host = _host_of(request)
    if "*" not in allowed and host not in allowed and host != _own_address(request):
        raise Problem(403, f"this server is not known as {host[:100]!r}; whoever runs it can allow that name")


def guard_site(request: web.Request) -> None:
    """Raises Problem 403 for a page of another site; for a GET that may change something, which any page can send."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    allowed = request.config_dict.get(HOSTS, LOOPBACK)
    hosts = {_host_of(request), *([] if origin is None else [_name_in(origin)])}
    is_ours = "*" in allowed or hosts <= {*allowed, _own_address(request)}
    if site not in (None, "same-origin", "none") or not is_ours:
        raise Problem(403, "a page of another site must not cancel runs here")


def _name_in(origin: str) -> str:
    try:
        return URL(origin).host or origin
    except ValueError:
        return origin


def _host_of(request: web.Request) -> str:
    try:
        return (URL(f"http://{request.host}").host or "").rstrip(".")
    except ValueError:
        return request.host


def _own_address(request: web.Request) -> str | None:
    name = request.get_extra_info("sockname")
    return str(cast(Any, name)[0]) if isinstance(name, tuple) and name else None
