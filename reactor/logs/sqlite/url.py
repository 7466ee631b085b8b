"""``sqlite:///path?options``: the URL of a SQLite log."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from reactor.logs.sqlite.log import SqliteLog


def open_sqlite(url: str) -> SqliteLog:
    """The log of a URL; raises ValueError for a URL without a path, and for an option that is unknown or wrong."""
    parts = urlsplit(url)
    if not url.lower().startswith("sqlite:///") or parts.fragment or len(parts.path) <= 1:
        form = file_url(url.partition(":")[2].removeprefix("//")) or "sqlite:///path"
        raise ValueError(f"{url!r} is not an event log URL: write {form}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "NORMAL").upper()
    keep = {name: _whole_number(url, name, options.pop(name)) for name in ("keep_days", "keep_runs") if name in options}
    if options:
        raise ValueError(
            f"{url!r}: there is no option {next(iter(options))!r}; there are synchronous, keep_days, keep_runs"
        )
    if parts.path == "/:memory:":
        raise ValueError(f"{url!r} does not name a file: write memory://")
    if synchronous != "NORMAL" and synchronous != "FULL":
        raise ValueError(f"{url!r}: synchronous must be NORMAL or FULL")
    return SqliteLog(
        unquote(parts.path[1:]),
        synchronous=synchronous,
        keep_days=keep.get("keep_days"),
        keep_runs=keep.get("keep_runs"),
    )


def file_url(text: str) -> str | None:
    """``sqlite:///runs.db`` for a text that looks like the name of a file, ``runs.db``; None for another text."""
    is_file = ("." in text or "/" in text or "\\" in text) and "://" not in text and not set(text) & set("?#%")
    return f"sqlite:///{text}" if is_file and text.strip("/.\\") else None


def _whole_number(url: str, name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"{url!r}: {name} must be a whole number from 0, not {text!r}")
    return int(text)
