"""What all commands about runs take, and what they are given."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, NoReturn, TextIO

import orjson
import typer

from reactor_web.terminal.ending import exit_after
from reactor_web.terminal.given import refuse
from reactor_web.terminal.lines import printable
from reactor_web.terminal.log_lines import Format, Level, log_others_to_stderr, log_to_stderr
from reactor_web.terminal.places.finding import opened, where, where_is
from reactor_web.terminal.places.place import CannotDo, Done, Place

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, or its URL.")]
Url = Annotated[str | None, typer.Option("--url", help="A server. Or REACTOR_URL.")]
Store = Annotated[str | None, typer.Option("--store", help="The log itself, without its server. Or REACTOR_STORE.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON: one document, or one a line.")]
Reason = Annotated[str, typer.Option(help="Why, for the log.")]

_AGO: Final = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def at_place(url: str | None, store: str | None, work: Callable[[Place], Awaitable[int]]) -> NoReturn:
    """Carries out ``work`` where the flags and the environment say, and ends with its exit code."""
    be_quiet()

    async def carry_out() -> int:
        async with opened(where(url, store)) as place:
            return await work(place)

    exit_after(carry_out())


def at_run(run: str, url: str | None, store: str | None, work: Callable[[Place, str], Awaitable[int]]) -> NoReturn:
    """The same for a run: ``work`` gets its place and its id."""
    be_quiet()

    async def carry_out() -> int:
        at, run_id = where_is(run, url, store)
        async with opened(at) as place:
            return await work(place, run_id)

    exit_after(carry_out())


def be_quiet() -> None:
    """Log lines below an error are not shown."""
    log_to_stderr(Level.ERROR, Format.TEXT)  # what an engine says of runs that it does not go on with is no news here
    log_others_to_stderr(Format.TEXT)


# --- what is given ---


def parse_since(text: str | None, now: datetime | None = None) -> datetime | None:
    """``2h`` as a time, or ISO 8601; without a zone it is UTC. Refuses anything else."""
    if text is None:
        return None
    if (ago := _AGO.fullmatch(text)) is not None:
        try:
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            refuse(f"--since {text} is before the year 1")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        refuse(f"--since {text[:50]!r} is no time: write 30m, 12h or 7d ago, or 2026-01-31T08:00:00Z")
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def parse_meta(pairs: list[str] | None) -> dict[str, str] | None:
    """``key=value`` of ``--meta``."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            refuse(f"--meta {pair[:50]!r} has no value: write KEY=VALUE")
        if name in found:
            refuse(f"--meta {name!r} is given twice")
        found[name] = text
    return found or None


# --- what is said ---


def write_json(value: Any, out: TextIO | None = None) -> None:
    """One line."""
    print(orjson.dumps(value).decode(), file=out or sys.stdout, flush=True)


def tell(sentence: str) -> None:
    """For people, beside what was asked for."""
    print(f"reactor: {printable(sentence)}", file=sys.stderr, flush=True)


def say_done(done: Done, sentence: str, json: bool) -> int:
    """What a command has led to: JSON on stdout, or a sentence on stderr."""
    if json:
        write_json(done._asdict())
    else:
        tell(sentence)
    return 0


__all__ = [
    "CannotDo", "Json", "Reason", "RunId", "Store", "Url", "at_place", "at_run", "be_quiet",
    "parse_meta", "parse_since", "say_done", "tell", "write_json",
]  # fmt: skip
