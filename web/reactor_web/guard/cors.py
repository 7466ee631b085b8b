"""CORS: which pages of other sites may ask, and what their browser is told (the Fetch standard, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiohttp import web
from yarl import URL

from reactor.events.values import named
from reactor_web.http.body import NoBody
from reactor_web.http.keys import CREDENTIALS, ORIGINS
from reactor_web.http.middleware import add_vary
from reactor_web.http.problems import Problem

_ALLOW_HEADERS: Final = (
    "Accept, Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, Reactor-Client, traceparent"
)
_EXPOSE_HEADERS: Final = "Link, Location, Preference-Applied, Retry-After, WWW-Authenticate, X-Workflow-Run-Id"
_MAX_AGE: Final = "600"
"""Seconds for which a browser need not ask again."""


def check_origins(origins: Iterable[str]) -> frozenset[str]:
    """The origins as browsers send them. Raises TypeError and ValueError.

    ``*`` and ``null`` are refused: with them any page could read what is here and change it.
    """
    if isinstance(origins, str):
        raise TypeError(f"cors must be a list of origins, not {origins!r}: [{origins!r}]")
    return frozenset(map(_check_origin, origins))


def _check_origin(origin: object) -> str:
    if not isinstance(origin, str):
        raise TypeError(f"cors: an origin is a text like 'https://app.example', not {named(origin)}")
    try:
        url = URL(origin)
        is_origin = url.scheme in ("http", "https") and bool(url.host) and str(url.origin()) == origin.rstrip("/")
    except ValueError:
        is_origin = False
    if not is_origin:
        raise ValueError(f"cors: {origin[:100]!r} is no origin: scheme, host and port, like 'https://app.example'")
    return origin.rstrip("/").lower()


def is_allowed_origin(request: web.Request) -> bool:
    """Whether the request is of a page of one of the origins that may ask."""
    origins = request.config_dict.get(ORIGINS)
    return origins is not None and request.headers.get("Origin", "").lower() in origins


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Runs before the headers of each response are sent, those of streams and of problem documents included."""
    if not request.config_dict.get(ORIGINS):
        return
    add_vary(response.headers, "Origin")
    if is_allowed_origin(request):
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        if request.config_dict.get(CREDENTIALS):
            response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = _EXPOSE_HEADERS


def answer_options(request: web.Request, methods: Iterable[str]) -> web.Response:
    """The answer to OPTIONS: 204 with ``Allow``. To a browser that asks for a page: whether that may ask, else 403."""
    allow = ", ".join(sorted({*methods, "OPTIONS"}))
    headers = {"Allow": allow}
    if "Access-Control-Request-Method" in request.headers:
        if not is_allowed_origin(request):
            origin = request.headers.get("Origin", "")
            raise Problem(
                403,
                f"pages of {origin[:100]!r} may not ask here; its operator can allow them: mount(cors=)",
                code="forbidden-origin",
            )
        headers |= {
            "Access-Control-Allow-Methods": allow,
            "Access-Control-Allow-Headers": _ALLOW_HEADERS,
            "Access-Control-Max-Age": _MAX_AGE,
        }
    return NoBody(status=204, headers=headers)
