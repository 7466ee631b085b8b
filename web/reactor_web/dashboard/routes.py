"""``add_dashboard``: the page and its files in an application. They are public; what they show is asked of the API."""

from __future__ import annotations

from posixpath import relpath
from typing import Final

from aiohttp import web

from reactor.engine import Engine
from reactor_web.dashboard.static_files import assets, index
from reactor_web.guard.access import Need
from reactor_web.http.problems import Problem
from reactor_web.http.sending import PacedResponse
from reactor_web.http.static_files import answer_file
from reactor_web.own.route import add_route

POLICY: Final = "; ".join((
    "default-src 'none'", "script-src 'self'", "worker-src 'self'", "style-src 'self'", "img-src 'self' data:",
    "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))  # fmt: skip
"""What a browser lets the page do. No inline script or style, nothing from elsewhere, in no frame."""
_HEADERS: Final = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
_OF_FILES: Final = {**_HEADERS, "Cross-Origin-Resource-Policy": "same-origin"}
_PUBLIC: Final = Need((), is_public=True)


def check_dashboard(app: web.Application, dashboard: object) -> str | None:
    """The prefix at which the dashboard stands, ``""`` at the top; None without one.

    Raises TypeError and ValueError for what is no place, and for one that is taken.
    """
    if dashboard is None or dashboard is False:
        return None
    if dashboard is not True and not isinstance(dashboard, str):
        raise TypeError(f"dashboard must be True or a prefix like '/runs', not {dashboard!r}")
    prefix = "" if dashboard is True or dashboard == "/" else dashboard
    if prefix and (not prefix.startswith("/") or prefix.endswith("/") or "{" in prefix):
        raise ValueError(f"dashboard={prefix!r} is not a prefix: it begins with / and does not end with /, like '/ops'")
    if any(resource.canonical == f"{prefix}/" for resource in app.router.resources()):
        raise ValueError(f"something is mounted at {prefix + '/'!r} already; give the dashboard another prefix")
    return prefix


def add_dashboard(app: web.Application, engine: Engine, prefix: str | None, api: str) -> None:
    """Adds the page under ``prefix/``, and its files; nothing where that is None. ``api``: the path of the routes."""
    if prefix is None:
        return
    page = index(relpath(api, f"{prefix}/"))

    async def get_page(request: web.Request) -> web.Response:
        return answer_file(request, page, "text/html", _HEADERS)

    async def get_asset(request: web.Request) -> web.Response:
        name = request.match_info["asset"]
        asset = assets().get(name)
        if asset is None:
            raise Problem(404, f"the dashboard has no file {name[:50]!r}")
        return answer_file(
            request, asset.file, asset.media_type, {**_HEADERS, "Cross-Origin-Resource-Policy": "same-origin"}
        )

    async def add_slash(request: web.Request) -> web.Response:
        """Its files stand beside the page. A relative place: a proxy may have taken a part of the path off."""
        query = f"?{request.query_string}" if request.query_string else ""
        location = prefix.rpartition("/")[2] + "/" + query
        return PacedResponse(status=308, headers={"Location": location})

    add_route(app, "GET", f"{prefix}/", engine, get_page, _PUBLIC)
    add_route(app, "GET", prefix + "/assets/{asset:.+}", engine, get_asset, _PUBLIC)
    if prefix:
        add_route(app, "GET", prefix, engine, add_slash, _PUBLIC)
