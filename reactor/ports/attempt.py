"""Which body, of which run, for the how-manieth time, and what it finds around it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Upstream(NamedTuple):
    """How an upstream ended: ``output`` where it completed, ``error {type, message}`` where it failed."""

    status: str
    output: Any
    error: dict[str, Any] | None
    reason: str | None
    because: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a Context shows of the attempt it belongs to."""

    run_id: str
    task_id: str
    attempt: int
    """From 1."""
    map_index: int | None
    """The index of the item, in a mapped task."""
    input: Mapping[str, Any]
    """The inputs of the run."""
    meta: Mapping[str, Any]
    """Meta of the run, overlaid with the task's."""
    upstreams: Mapping[str, Upstream]
    resources: Mapping[str, Any]
    """Shared pools and clients, as given to the engine; empty in a process."""
