"""What a Context shows of the attempt it belongs to: which body, of which run, which attempt. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Upstream(NamedTuple):
    """How an upstream ended: ``output`` if it completed, ``error`` (``{type, message}``) if it failed."""

    status: str
    output: Any
    error: dict[str, Any] | None
    reason: str | None
    because: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a task, as its Context shows it."""

    run_id: str
    task_id: str
    attempt: int
    """The number of the attempt, from 1."""
    map_index: int | None
    """The index of the child, from 0; None for a task that is not a child of a mapped task."""
    input: Mapping[str, Any]
    """The input of the run."""
    meta: Mapping[str, Any]
    """The meta of the run, overridden by the meta of the task."""
    upstreams: Mapping[str, Upstream]
    resources: Mapping[str, Any]
    """Shared pools and clients: what ``Engine(resources=...)`` was given. Empty in a process."""
    traceparent: str | None = None
    """Its place in a trace, as the W3C header says it; None in none."""
    has_spans: bool = False
    """Whether that is a span of its own, which its calls are in; else it is where the run was said to belong."""
