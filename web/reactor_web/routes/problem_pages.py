"""``/problems``: what the codes of refusals mean, for people. The ``type`` of a problem document leads here."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from aiohttp import web

from reactor.definition.names import did_you_mean
from reactor_web.guard.access import public
from reactor_web.http.codes import CODES, Code
from reactor_web.http.negotiation import must_choose
from reactor_web.http.prefix import PROBLEM_ROUTE
from reactor_web.http.problems import Problem
from reactor_web.http.sending import PacedResponse
from reactor_web.routes.methods import chooses_form

_PLAIN: Final = "text/plain"
_HTML: Final = "text/html"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
}
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;"
    "padding:0 1rem}code{font-family:ui-monospace,monospace}a{color:inherit}"
)
_CODE_TYPE: Final = re.compile(r"`([^`]*)`")


def routes() -> list[web.RouteDef]:
    return [
        web.get("/problems", list_problems),
        web.get("/problems/{code}", get_problem, name=PROBLEM_ROUTE),
    ]


@public
@chooses_form
async def list_problems(request: web.Request) -> web.Response:
    """All codes with their titles."""
    if _form(request) == _PLAIN:
        return _respond(_PLAIN, "".join(f"{name}  {code.status}  {code.title}\n" for name, code in CODES.items()))
    base = request.path.rstrip("/")
    rows = "".join(
        f'<li><a href="{escape(base)}/{name}"><code>{name}</code></a> {code.status} {escape(code.title)}\n'
        for name, code in CODES.items()
    )
    return _page("Why a request is refused", f"<ul>\n{rows}</ul>")


@public
@chooses_form
async def get_problem(request: web.Request) -> web.Response:
    """What one code means, why it happens, and what to do."""
    name = request.match_info["code"]
    code = CODES.get(name)
    if code is None:
        raise Problem(404, f"there is no code {name[:50]!r}{did_you_mean(name, CODES) or ': /problems lists them'}")
    heading = f"{code.title} ({name}, HTTP {code.status})"
    if _form(request) == _PLAIN:
        return _respond(_PLAIN, f"{heading}\n\n{code.text}\n")
    return _page(heading, _paragraphs(code))


def _form(request: web.Request) -> str:
    return must_choose(request.headers.get("Accept"), (_PLAIN, _HTML))


def _paragraphs(code: Code) -> str:
    shown = _CODE_TYPE.sub(r"<code>\1</code>", escape(code.text))
    return "\n".join(f"<p>{part}</p>" for part in shown.split("\n\n"))


def _page(title: str, body: str) -> web.Response:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return _respond(_HTML, f'<!doctype html>\n<html lang="en">\n{head}\n<h1>{escape(title)}</h1>\n{body}\n</html>\n')


def _respond(media_type: str, text: str) -> web.Response:
    return PacedResponse(text=text, content_type=media_type, charset="utf-8", headers=_HEADERS)
