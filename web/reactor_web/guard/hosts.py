"""Who may ask: what a web page somewhere else could have sent is refused."""

from __future__ import annotations

from typing import Any, Final, cast

from aiohttp import web
from yarl import URL

from reactor_web.http.keys import HOSTS
from reactor_web.http.problems import Problem

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


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
