"""``/client/{file}``: the modules of the JavaScript client, as they stand in ``reactor_web/javascript``.

They are public code: a page of any site may load them. A file is found in a list that is made once, never by a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from aiohttp import web

from reactor_web.guard.access import public
from reactor_web.http.negotiation import must_choose
from reactor_web.http.problems import Problem
from reactor_web.http.static_files import StaticFile, answer_file, static_file
from reactor_web.routes.methods import chooses_form

FOLDER: Final = "javascript"
SERVED: Final = (".js", ".d.ts")
"""How the name of a file ends that is served; the others in the folder are for npm."""
MEDIA_TYPE: Final = "text/javascript"

_COMMENT: Final = re.compile(rb"^ *(?:/\*\*(?:[^*]|\*(?!/))*\*/|//[^\n]*)\n", re.MULTILINE)
"""A comment with lines of its own."""

_HEADERS: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


def routes() -> list[web.RouteDef]:
    return [web.get("/client/{file}", get_file)]


@cache
def client_files() -> Mapping[str, StaticFile]:
    """The files of this installation, by name. Read once, from a folder or from a zip."""
    return read_files(files("reactor_web").joinpath(FOLDER))


def read_files(folder: Traversable) -> dict[str, StaticFile]:
    """The files of a folder that are served, by name."""
    if not folder.is_dir():
        return {}  # a bundle that left it out: the rest of the server has no need of it
    there = [entry for entry in folder.iterdir() if _is_served(entry)]
    found = {entry.name: without_comments(entry.name, entry.read_bytes()) for entry in there}
    return {name: static_file(body) for name, body in sorted(found.items())}


def without_comments(name: str, body: bytes) -> bytes:
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
    return answer_file(request, file, MEDIA_TYPE, _HEADERS)
