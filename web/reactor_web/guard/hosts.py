"""Refuses requests that a web page of another site could have sent, or that came under a name that is not ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, cast

from aiohttp import HttpVersion11, web
from yarl import URL

from reactor.events.values import named
from reactor_web.guard.admission import admission_of
from reactor_web.guard.cors import is_allowed_origin
from reactor_web.http.keys import CREDENTIALS, HOSTS
from reactor_web.http.problems import Problem

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\]+)(:[0-9]*)?")
"""A name or an address, and a port. ``evil.example@localhost`` is none, though in a URL it would name localhost."""

_MAX_URL: Final = 300
"""Characters of a URL of a name alone: a name of DNS has at most 253 (RFC 1035, 2.3.4)."""

_FROM_ELSEWHERE: Final = "a page of another site must not change anything here"


def check_hosts(names: Iterable[str]) -> frozenset[str]:
    """The host names under which a server is asked, as they are compared. Raises TypeError and ValueError.

    A port and capitals do not count: ``API.example:8443`` is the name ``api.example``.
    """
    if isinstance(names, str):
        raise TypeError(f"allowed_hosts must be a list of names, not {names!r}: [{names!r}]")
    return frozenset(map(_check_name, names))


def _check_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"allowed_hosts: a host is a text like 'api.example', not {named(name)}")
    if name == "*":
        return name
    netloc = name.partition("://")[2].removesuffix("/") if "://" in name else _bracketed(name)
    found = _name_in(f"http://{netloc}")
    if not _HOST.fullmatch(netloc) or not found or "*" in found:
        raise ValueError(f"allowed_hosts: {name[:100]!r} is no host name, like 'api.example', and not '*'")
    return found


def _bracketed(name: str) -> str:
    """An IPv6 address as it stands in a URL."""
    return f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name


def check_host(request: web.Request) -> None:
    """Raises Problem 403 for a ``Host`` that is not ours: a name that its owner made point to this address.

    With such a name a web page of its owner reads whatever this server shows without asking who asks. Problem 400 for
    two of them, and for none; HTTP/1.0 has none, but no browser speaks that.
    """
    given = request.headers.getall("Host", [])
    if len(given) != 1:
        if not given and request.version < HttpVersion11:
            return
        raise Problem(400, f"the request has {'two Host headers' if given else 'no Host header'}")
    allowed = request.config_dict.get(HOSTS, LOOPBACK)
    host = _host_of(request)
    if "*" not in allowed and host not in allowed and host != _own_address(request):
        raise Problem(
            403,
            f"this server does not accept the host name {given[0][:100]!r}; its operator can allow it",
            code="forbidden-host",
        )


def guard_change(request: web.Request) -> None:
    """Raises Problem 415 or 403 if a web page of another site could have sent this request to change something.

    Any page can reach a server on loopback. With a JSON content type its browser asks the server first (CORS), and this
    server allows it only to the origins of ``mount(cors=)``. What a browser says of where a page is from is believed.
    """
    if (request.content_length or 0) > request.client_max_size > 0:  # before any of it is read
        raise web.HTTPRequestEntityTooLarge(request.client_max_size, request.content_length or 0)
    # a page cannot send a DELETE to another site before its browser has asked, whatever the content type
    if request.method != "DELETE" and request.content_type != "application/json":
        raise Problem(415, f"send Content-Type: application/json, not {request.content_type}")
    check_host(request)
    guard_site(request)


def guard_site(request: web.Request, sentence: str = _FROM_ELSEWHERE) -> None:
    """Raises Problem 403 for a page of another site, unless its origin may ask (``mount(cors=)``).

    For a GET that may change something: any page can send one. And 403 for a browser that only fetches ahead what
    somebody may want to see.
    """
    ahead = request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or request.headers.get("X-Moz", "")
    if "prefetch" in ahead.lower():
        raise Problem(403, "a prefetch changes nothing here: ask again without it", code="forbidden-origin")
    if is_allowed_origin(request) and (request.config_dict.get(CREDENTIALS) or not _is_by_cookie(request)):
        check_host(request)
    elif not (_is_of_our_site(request) and _is_of_our_name(request)):
        raise Problem(403, sentence, code="forbidden-origin")


def _is_of_our_site(request: web.Request) -> bool:
    """Whether the browser says that the page is of this origin, or that there is no page. An old one says nothing."""
    return request.headers.get("Sec-Fetch-Site") in (None, "same-origin", "none")


def _is_of_our_name(request: web.Request) -> bool:
    """Whether the name that the page came under is one of this server.

    Another port of it may ask, such as that of a build tool, but not where a cookie says who asks: browsers send
    cookies to all ports of a name, and on another port there may be an application of somebody else.
    """
    allowed, own, host = request.config_dict.get(HOSTS, LOOPBACK), _own_address(request), _host_of(request)
    if not {"*", host}.intersection(allowed) and host != own:
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    name = _name_in(origin) or origin
    if "Sec-Fetch-Site" in request.headers:  # of our site, as it says
        return "*" in allowed or name in {own, *allowed}
    if _is_by_cookie(request):
        return name == host and _port_in(f"http://{request.host}") in (None, _port_in(origin, default=True))
    return name in {host, own, *allowed}


def _is_by_cookie(request: web.Request) -> bool:
    """Whether who asks may be known by a cookie, which a browser sends whatever page has asked it."""
    admission = admission_of(request)
    return admission is not None and admission.is_of_host and "Cookie" in request.headers


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    try:
        return ip_address(_plain(host)).is_loopback
    except ValueError:
        return host == "localhost"


def _plain(address: str) -> str:
    """An address as names are compared: IPv4 of a socket for both kinds as IPv4, and without the interface."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str((found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found)


def _name_in(url: str) -> str:
    """The host name in a URL; empty where there is none, or one that is longer than a name can be."""
    if len(url) > _MAX_URL:  # to decode 8,000 characters of Punycode takes 30 ms
        return ""
    try:
        return (URL(url).host or "").rstrip(".").lower()
    except ValueError:
        return ""


def _port_in(url: str, *, default: bool = False) -> int | None:
    """The port in a URL; where it has none, that of its scheme, if that is wanted."""
    if len(url) > _MAX_URL:
        return None
    try:
        return URL(url).port if default else URL(url).explicit_port
    except ValueError:
        return None


def _host_of(request: web.Request) -> str:
    """The name that the request was sent to; empty where ``Host`` has none."""
    host = request.headers.get("Host", "")
    return _name_in(f"http://{host}") if _HOST.fullmatch(host) else ""


def _own_address(request: web.Request) -> str | None:
    name = request.get_extra_info("sockname")
    return _plain(str(cast(Any, name)[0])) if isinstance(name, tuple) and name else None
