"""The event logs: siblings under one law suite (``reactor.testing.log_laws``)."""

from __future__ import annotations

from urllib.parse import urlsplit

from reactor.logs.memory import MemoryLog
from reactor.ports import EventLog


def open_log(url: str) -> EventLog:
    """The log of a URL; raises ValueError with the schemes there are.

    ``memory://`` keeps the runs of this process, within the bounds of ``reactor.bounds``.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory" and not parts.netloc and not parts.path:
        return MemoryLog()
    raise ValueError(f"{url!r} is no event log: the scheme must be memory://")


__all__ = ["MemoryLog", "open_log"]
