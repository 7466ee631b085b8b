"""The event logs: siblings under one law suite (``reactor.testing.log_laws``)."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite import SqliteLog
from reactor.ports import EventLog


def open_log(url: str) -> EventLog:
    """The log of a URL; raises ValueError with the schemes there are.

    - ``memory://`` keeps the runs of this process, within the bounds of ``reactor.bounds``.
    - ``sqlite:///runs.db`` (relative) or ``sqlite:////var/lib/runs.db`` (absolute); ``?synchronous=FULL`` survives
      power cuts.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "memory" and not (parts.netloc or parts.path or options):
        return MemoryLog()
    if parts.scheme == "sqlite" and not (parts.netloc or parts.fragment) and len(parts.path) > 1:
        synchronous = options.pop("synchronous", "NORMAL").upper()
        if options:
            raise ValueError(f"{url!r}: there is no option {next(iter(options))!r}; there is synchronous")
        if parts.path == "/:memory:":
            raise ValueError(f"{url!r} is no file: write memory://")
        if synchronous == "NORMAL" or synchronous == "FULL":
            return SqliteLog(unquote(parts.path[1:]), synchronous=synchronous)
        raise ValueError(f"{url!r}: synchronous must be NORMAL or FULL")
    raise ValueError(f"{url!r} is no event log: write memory:// or sqlite:///path")


__all__ = ["MemoryLog", "SqliteLog", "open_log"]
