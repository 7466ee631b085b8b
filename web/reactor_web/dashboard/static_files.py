"""The files of the dashboard by the name under which the page asks for them. Read once; never found by a path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from reactor_web.http.static_files import StaticFile, static_file
from reactor_web.routes.client import client_files, without_comments

FOLDER: Final = "dashboard/static"
INDEX: Final = "index.html"
CLIENT: Final = "client/"
"""Under this name stands the JavaScript client: the dashboard is built on it."""
ENTRY: Final = "reactor.js"
_IMPORTED: Final = re.compile(r'from "\./([a-z_]+\.js)"')
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_LATER: Final = ("vendor/d3-dag.js", "vendor/uplot.js", "layout_worker.js")
"""What a page asks for when it needs it."""


class Asset(NamedTuple):
    """One file with its media type."""

    file: StaticFile
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """Everything but the page itself."""
    found = {
        name: Asset(static_file(_small(name, entry.read_bytes())), _TYPES[suffix])
        for name, entry in _walk(_folder(), "")
        if (suffix := name[name.rfind(".") :]) in _TYPES
    }
    client = {CLIENT + name: Asset(file, _TYPES[".js"]) for name, file in client_files().items() if name in _modules()}
    return {**found, **client}


def index(api: str) -> StaticFile:
    """The page. ``api`` is where the routes are, relative to it."""
    modules = [name for name in assets() if name.endswith(".js") and name not in _LATER]
    preloads = "\n".join(f'<link rel="modulepreload" href="assets/{name}">' for name in modules)
    text = (_folder() / INDEX).read_text("utf-8")
    return static_file(text.replace("{api}", escape(api)).replace("{preloads}", preloads).encode())


def _folder() -> Traversable:
    return files("reactor_web").joinpath(FOLDER)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry


def _small(name: str, body: bytes) -> bytes:
    return body if name.startswith("vendor/") else without_comments(name, body)


@cache
def _modules() -> frozenset[str]:
    """The modules of the client that its entry imports, and those that these import."""
    found, left = set[str](), [ENTRY]
    while left:
        name = left.pop()
        if name not in found and name in client_files():
            found.add(name)
            left += _IMPORTED.findall(client_files()[name].body.decode())
    return frozenset(found)
