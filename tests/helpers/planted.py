"""Watches the whole suite for secrets: keys, tickets and tokens by their form, and what a test has planted.

Every log line of any library, every event that is written to a log in this process, every problem document, every page
of metrics and every standard error of a server process is looked at. A test in which one of them has a secret fails.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor_web.http import problems
from reactor_web.metrics import page
from reactor_web.streaming.forms import socket

MARK = "pl4nted-s3cret-"

_FORMS = re.compile(
    MARK
    + r"|rk_[0-9A-Za-z]{1,32}_[0-9A-Za-z]{43}"  # a key
    + r"|rt_[\w-]{43}"  # a ticket
    + r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]{8,}"  # a JWT
    + r"|[Bb]earer [\w.~+/-]{20,}"
    + r"|a-secret-of-this-test",  # the key that ``tests.helpers.issuer`` signs with
    re.ASCII,
)
_HINTS = (MARK, "rk_", "rt_", "eyJ", "earer ", "a-secret-of")
_HINTS_IN_BYTES = tuple(hint.encode() for hint in _HINTS)
"""Without one of these there is no secret: found in a tenth of the time."""


def planted(name: str) -> str:
    """A secret that a test gives to a server; it must come out nowhere."""
    return f"{MARK}{name}"


class Watch(logging.Handler):
    """What has been found since the last look: each a sentence with the secret in it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._format = logging.Formatter("%(name)s %(message)s")

    def look(self, text: str, where: str) -> None:
        if any(hint in text for hint in _HINTS) and (secret := _FORMS.search(text)):
            at = max(0, secret.start() - 200)
            self.found.append(f"{where} has a secret: …{text[at : secret.end() + 100]}")

    def look_at_bytes(self, data: bytes, where: str) -> None:
        if any(hint in data for hint in _HINTS_IN_BYTES):
            self.look(data.decode(errors="replace"), where)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.look(self._format.format(record), "a log line")
            self.look(str(getattr(record, "fields", "")), "a log line")
        except Exception:  # as any handler: a line that cannot be formatted is no matter of this one
            self.handleError(record)

    def check(self) -> None:
        """Raises AssertionError where a secret has come out, and forgets it."""
        found, self.found = self.found, []
        assert not found, found[0]

    @contextmanager
    def collecting(self) -> Iterator[list[str]]:
        """What is found inside of the block is no failure: for tests of this."""
        before, self.found = self.found, []
        try:
            yield self.found
        finally:
            self.found = before


WATCH = Watch()


def install() -> None:
    """Begins to watch. Events are looked at where a log is given them, documents where they are written."""
    logging.getLogger().addHandler(WATCH)
    for log in (MemoryLog, SqliteLog):
        _watch_events(log)
    for module in (problems, socket):
        _watch_documents(module)
    _watch_pages(page)


def _watch_events(log: Any) -> None:
    append = log.append

    @functools.wraps(append)
    def watched(self: Any, run_id: str, window: Any, **more: Any) -> Any:
        for event in window:
            WATCH.look_at_bytes(event.json, f"the event {event.seq} of {run_id}")
        return append(self, run_id, window, **more)

    log.append = watched


def _watch_pages(module: Any) -> None:
    write = module.page

    @functools.wraps(write)
    def watched(*given: Any) -> tuple[bytes, str]:
        data, content_type = write(*given)
        WATCH.look_at_bytes(data, "the page of the metrics")
        return data, content_type

    module.page = watched


def _watch_documents(module: Any) -> None:
    write = module.display_json

    @functools.wraps(write)
    def watched(document: Any) -> bytes:
        data: bytes = write(document)
        WATCH.look_at_bytes(data, "a problem document or a reply")
        return data

    module.display_json = watched
