"""``/client/{file}``: the modules of the JavaScript client, as they stand in ``reactor_web/javascript``.

They are public code: a page of any site may load them. A file is found in a list that is made once, never by a path.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from aiohttp import web

from reactor_web.guard.access import public
from reactor_web.http.body import NoBody
from reactor_web.http.negotiation import encoding, must_choose
from reactor_web.http.problems import Problem
from reactor_web.http.sending import PacedResponse
from reactor_web.routes.methods import chooses_form

FOLDER: Final = "javascript"
SERVED: Final = (".js", ".d.ts")
"""How the name of a file ends that is served; the others in the folder are for npm."""
MEDIA_TYPE: Final = "text/javascript"

_COMMENT: Final = re.compile(rb"^ *(?:/\*\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)\n", re.MULTILINE)
"""A comment with lines of its own."""

_HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "no-cache",  # kept, and asked for anew by its ETag: a new version is there at once
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}


class ClientFile(NamedTuple):
    """One file, as it is and compressed."""

    body: bytes
    compressed: bytes
    digest: str
    """Of its content."""


class _Sent(PacedResponse):
    """A response whose coding is chosen already."""

    def enable_compression(self, force: object = None, strategy: int | None = None) -> None:
        """Does nothing: the ETag is that of these bytes, whatever a middleware of the host asks for."""


def routes() -> list[web.RouteDef]:
    return [web.get("/client/{file}", get_file)]


@cache
def client_files() -> Mapping[str, ClientFile]:
    """The files of this installation, by name. Read once, from a folder or from a zip."""
    return read_files(files("reactor_web").joinpath(FOLDER))


def read_files(folder: Traversable) -> dict[str, ClientFile]:
    """The files of a folder that are served, by name."""
    if not folder.is_dir():
        return {}  # a bundle that left it out: the rest of the server has no need of it
    found = {entry.name: _served(entry.name, entry.read_bytes()) for entry in folder.iterdir() if _is_served(entry)}
    return {
        name: ClientFile(body, gzip.compress(body, mtime=0), sha256(body).hexdigest()[:32])
        for name, body in sorted(found.items())
    }


def _served(name: str, body: bytes) -> bytes:
    """What a browser needs of a file: the comments of a module stay where they are read, here and in the package."""
    return _COMMENT.sub(b"", body) if name.endswith(".js") else body


def _is_served(entry: Traversable) -> bool:
    return entry.name.endswith(SERVED) and entry.is_file()


@public
@chooses_form
async def get_file(request: web.Request) -> web.Response:
    """A file, or 304 where the client has it."""
    name, known = request.match_info["file"], client_files()
    file = known.get(name)
    if file is None:
        there_are = f"there are {', '.join(known)}" if known else "this installation has none"
        raise Problem(404, f"the client has no file {name[:50]!r}; {there_are}")
    must_choose(request.headers.get("Accept"), (MEDIA_TYPE,))
    coding = encoding(request.headers.get("Accept-Encoding"), ("gzip",))
    tag = f"{file.digest}-gzip" if coding else file.digest  # other bytes, so another strong ETag
    headers = {**_HEADERS, "ETag": f'"{tag}"'}
    if any(etag.value in (tag, "*") for etag in request.if_none_match or ()):
        return NoBody(status=304, headers=headers)
    if coding:
        headers["Content-Encoding"] = coding
    body = file.compressed if coding else file.body
    return _Sent(body=body, content_type=MEDIA_TYPE, charset="utf-8", headers=headers)
