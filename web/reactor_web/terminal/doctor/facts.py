"""``Facts``: what was seen of an installation. None: nobody has looked, or it cannot be known there."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """A run that waits for an answer. ``seconds``: since the run has begun."""

    run_id: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """How a Redis is set, as it says itself. Sizes in bytes; ``max_bytes`` 0: no limit."""

    policy: str
    appends: bool
    fsync: str | None
    max_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Those before ``is_known_as_proxy`` are members of ``GET /diagnosis``, with the same names."""

    is_accepting: bool | None = None
    open_runs: int | None = None
    stranded_runs: int | None = None
    stuck_threads: int | None = None
    append_pending_seconds: float | None = None
    loop_lag_seconds: float | None = None
    log_problem: str | None = None
    is_durable: bool | None = None
    keeps_all: bool | None = None
    """No retention: ended runs stay for ever."""
    is_open_to_all: bool | None = None
    """Whoever reaches the server may do everything."""
    allows_any_host: bool | None = None
    is_forwarded_by_stranger: bool | None = None
    """The request came through a proxy that the server does not believe."""
    key_file_problem: str | None = None

    clock_skew_seconds: float | None = None
    """How far the clock of the server is ahead of the clock here."""
    questions: tuple[Question, ...] = ()

    schema: int | None = None
    """The version of the file of a log, and the one that this program writes."""
    newest_schema: int | None = None
    ownerless_runs: int | None = None
    """Open runs in a file that no process has open."""
    free_bytes: int | None = None
    """Of the file system of the log, and how large it is."""
    disk_bytes: int | None = None
    redis: RedisFacts | None = None


def take_facts(answer: dict[str, Any]) -> dict[str, Any]:
    """The members of an answer that are facts. Those of a later version are left out."""
    names = {field.name for field in fields(Facts)}
    return {name: value for name, value in answer.items() if name in names}
