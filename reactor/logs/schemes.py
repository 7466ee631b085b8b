"""The log of a URL: which scheme opens which log."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.ports.log import EventLog


def open_log(url: str) -> EventLog:
    """The log of a URL; raises ValueError with the schemes there are.

    - ``memory://`` keeps the runs of this process, within the bounds of ``reactor.bounds``.
    - ``sqlite:///runs.db`` (relative) or ``sqlite:////var/lib/runs.db`` (absolute); ``?synchronous=FULL`` survives
      power cuts; ``?keep_days=30&keep_runs=1000`` deletes ended runs beyond these when it is opened.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "memory" and not (parts.netloc or parts.path or options):
        return MemoryLog()
    if parts.scheme == "sqlite" and not (parts.netloc or parts.fragment) and len(parts.path) > 1:
        synchronous = options.pop("synchronous", "NORMAL").upper()
        keep = {name: _number(url, name, options.pop(name)) for name in ("keep_days", "keep_runs") if name in options}
        if options:
            raise ValueError(
                f"{url!r}: there is no option {next(iter(options))!r}; there are synchronous, keep_days, keep_runs"
            )
        if parts.path == "/:memory:":
            raise ValueError(f"{url!r} is no file: write memory://")
        if synchronous == "NORMAL" or synchronous == "FULL":
            return SqliteLog(
                unquote(parts.path[1:]),
                synchronous=synchronous,
                keep_days=keep.get("keep_days"),
                keep_runs=keep.get("keep_runs"),
            )
        raise ValueError(f"{url!r}: synchronous must be NORMAL or FULL")
    raise ValueError(f"{url!r} is no event log: write memory:// or sqlite:///path")


def _number(url: str, name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"{url!r}: {name} must be a whole number from 0, not {text!r}")
    return int(text)
