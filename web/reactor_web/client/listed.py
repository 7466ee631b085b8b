"""The runs of a listing."""

from __future__ import annotations

from typing import Any, NamedTuple


class ListedRun(NamedTuple):
    """A run in a listing. The fields are those of a ``RunRecord`` in process, as far as the server tells them."""

    run_id: str
    workflow: str
    version: str
    status: str
    created: str
    """When the run started: ISO 8601."""
    last_seq: int
    parent: str | None
    """The run whose task started this one; None for a run that was not started by another."""
    root: str
    """The run at the top of the tree this one belongs to; its own id for a run without a parent."""
    is_session: bool
    """Whether it is a session: it has no tasks, and its events come from outside."""


def listed(run: dict[str, Any]) -> ListedRun:
    """A run as the server lists it."""
    return ListedRun(
        run["run_id"], run["workflow"], run["version"], run["status"], run["created"], run["seq"],
        run["parent"], run["root"], run.get("session", False),
    )  # fmt: skip
