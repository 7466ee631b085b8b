"""Which place a command means: what its settings say, else what ``reactor serve`` takes by default."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from reactor.logs.memory import MemoryLog
from reactor.logs.schemes import open_log
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.stores import Log
from reactor_web.client.client import Client
from reactor_web.terminal.given import is_http_url
from reactor_web.terminal.places.file import opened_file
from reactor_web.terminal.places.place import CannotDo, Place
from reactor_web.terminal.places.server import ServerPlace
from reactor_web.terminal.places.shared import opened_log

TOKEN: Final = "REACTOR_TOKEN"
DEFAULT_FILE: Final = "reactor.db"
DEFAULT_URL: Final = "http://127.0.0.1:8080"


class Where(NamedTuple):
    """A server by its URL, or a log by its own. One of the two is given."""

    url: str | None = None
    store: str | None = None


def where(url: str | None, store: str | None) -> Where:
    """What was said, of which there is one; else ``reactor.db``, where there is one; else the default server."""
    if url or store:
        return Where(url or None, store or None)
    return Where(None, f"sqlite:///{DEFAULT_FILE}") if Path(DEFAULT_FILE).is_file() else Where(DEFAULT_URL)


def where_is(run: str, url: str | None, store: str | None) -> tuple[Where, str]:
    """Where a run is, and its id. ``run``: its id, or its URL, as ``reactor watch`` takes it. Raises CannotDo."""
    if not is_http_url(run):
        return where(url, store), run
    if url or store:
        raise CannotDo(f"{run} says where the run is: leave out --url and --store, or give its id alone")
    parts = urlsplit(run)
    base, runs, id = parts.path.rstrip("/").removesuffix("/events").rpartition("/runs/")
    if not runs or not id or "/" in id:
        raise CannotDo(f"{run} is not the URL of a run, like {DEFAULT_URL}/api/v1/runs/ID")
    return Where(f"{parts.scheme}://{parts.netloc}{base}"), unquote(id)


def log_at(store: str) -> Log:
    """The log of a URL, not open. Raises CannotDo."""
    try:
        log = open_log(store)
    except ValueError as error:
        raise CannotDo(f"--store: {error}") from error
    if isinstance(log, MemoryLog):
        raise CannotDo("a log in memory is seen by its own process only: give the --url of the server that has it")
    return log


def client_at(url: str | None) -> Client:
    """Of the server at this URL. Raises CannotDo.

    Each request is sent once: who types a command sees at once that nobody answers, and can type it again.
    """
    try:
        return Client(url or DEFAULT_URL, token=os.environ.get(TOKEN) or None, tries=1)
    except ValueError as error:
        raise CannotDo(f"--url: {error}") from error


@asynccontextmanager
async def opened(at: Where) -> AsyncGenerator[Place]:
    """The place, open. Raises CannotDo and LogUnavailable; only the first answer of a server says that it is there."""
    if at.store is None:
        async with client_at(at.url) as client:
            yield ServerPlace(client)
        return
    log = log_at(at.store)
    async with opened_file(log) if isinstance(log, SqliteLog) else opened_log(log, at.store) as place:
        yield place
