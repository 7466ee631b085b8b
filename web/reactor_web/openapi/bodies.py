"""The bodies of requests as types: pydantic makes the schemas of ``/openapi.json`` from them."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict


class TicketBody(TypedDict):
    """What a ticket is for: one run, or a stream of several."""

    run_id: NotRequired[str]
    filter: NotRequired[dict[str, Any]]
    """Of `GET /events`: `runs` (a list), `workflow`, `parent`, `meta.<key>`. Empty: all runs."""
    ttl: NotRequired[float]
    """Seconds, at most 300; 60 if it is missing."""


class ScheduleBody(TypedDict):
    """Starts runs from now on: at the times of `cron`, or `every` so many seconds."""

    workflow: str
    cron: NotRequired[str | None]
    tz: NotRequired[str | None]
    every: NotRequired[float | None]
    input: NotRequired[dict[str, Any] | None]
    overlap: NotRequired[Literal["skip", "queue", "allow"] | None]
    catch_up: NotRequired[Literal["one", "all", "none"] | None]


class Nothing(TypedDict):
    """An object without members."""


class StartBody(TypedDict):
    """Starts a run of the workflow in the path."""

    input: NotRequired[dict[str, Any] | None]
    run_id: NotRequired[str | None]
    meta: NotRequired[dict[str, Any] | None]
    budget: NotRequired[dict[str, Any] | None]
    """``{cost?, tokens?, seconds?, tasks?, on_exceeded?}``"""


class PlanTask(TypedDict):
    """One task of a plan. ``dependsOn`` and ``arguments`` are other names of two members."""

    id: str
    tool: str
    input: NotRequired[dict[str, Any]]
    depends_on: NotRequired[list[str]]


class PlanBody(TypedDict):
    """Starts a run of a DAG that is data."""

    tasks: list[PlanTask]
    name: NotRequired[str]
    run_id: NotRequired[str | None]
    meta: NotRequired[dict[str, Any] | None]
    budget: NotRequired[dict[str, Any] | None]


class PutBody(TypedDict):
    """Starts a run, or with ``session`` opens a session, under the id in the path."""

    workflow: NotRequired[str | None]
    input: NotRequired[Any]
    session: NotRequired[bool | None]
    idle: NotRequired[float | None]
    """Seconds since the last event after which a session is closed as failed."""
    meta: NotRequired[dict[str, Any] | None]
    budget: NotRequired[dict[str, Any] | None]


class EmitBody(TypedDict):
    """An event that is said in a run."""

    type: str
    data: NotRequired[Any]
    task: NotRequired[str | None]


class CloseBody(TypedDict):
    """Ends a session."""

    status: NotRequired[Literal["completed", "failed", "cancelled"] | None]
    outputs: NotRequired[dict[str, Any] | None]
    error: NotRequired[Any]


class ReasonBody(TypedDict):
    """Pauses or resumes a run."""

    reason: NotRequired[str | None]


class CancelBody(TypedDict):
    """Cancels a run, or one task of it."""

    reason: NotRequired[str | None]
    task: NotRequired[str | None]
    grace: NotRequired[float | None]
    """Seconds, at most 3,600, that bodies get to end."""


class InputBody(TypedDict):
    """Answers a question of a task."""

    task: str
    value: Any
    key: NotRequired[str | None]
    run: NotRequired[str | None]
    """The run below this one in which the task asks."""


RetryBody = TypedDict("RetryBody", {"run_id": NotRequired[str | None], "from": NotRequired[str | None]})
RetryBody.__doc__ = """Starts a new run that takes over what completed in this one.

``from``: this task, and what depends on it, runs again though it has completed.
"""
