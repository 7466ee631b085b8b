"""Refuses requests that a web page of another site could have sent."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Final, cast

from aiohttp import web
from yarl import URL

from reactor_web.guard.cors import is_allowed_origin
from reactor_web.http.keys import HOSTS
from reactor_web.http.problems import Problem

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def guard_change(request: web.Request) -> None:
    """Raises Problem 415 or 403 if a web page of another site could have sent this request to change something.

    Any page can reach a server on loopback. With a JSON content type its browser asks the server first (CORS), and this
    server allows it only to the origins of ``mount(cors=)``. A ``Host`` that is not ours is a name that its owner made
    point to this address.
    """
    # a page cannot send a DELETE to another site before its browser has asked, whatever the content type
    if request.method != "DELETE" and request.content_type != "application/json":
        raise Problem(415, f"send Content-Type: application/json, not {request.content_type}")
    allowed = request.config_dict.get(HOSTS, LOOPBACK)
    host = _host_of(request)
    if "*" not in allowed and host not in allowed and host != _own_address(request):
        raise Problem(403, f"this server does not accept the host name {host[:100]!r}; its operator can allow it")


def guard_site(request: web.Request, sentence: str = "a page of another site must not change anything here") -> None:
    """Raises Problem 403 for a page of another site, unless its origin may ask (``mount(cors=)``).

    For a GET that may change something: any page can send one. And 403 for a browser that only fetches ahead what
    somebody may want to see.
    """
    ahead = request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or request.headers.get("X-Moz", "")
    if "prefetch" in ahead.lower():
        raise Problem(403, "a prefetch changes nothing here: ask again without it")
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if is_allowed_origin(request):
        site = origin = None
    allowed = request.config_dict.get(HOSTS, LOOPBACK)
    hosts = {_host_of(request), *([] if origin is None else [_name_in(origin)])}
    is_ours = "*" in allowed or hosts <= {*allowed, _own_address(request)}
    if site not in (None, "same-origin", "none") or not is_ours:
        raise Problem(403, sentence)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
