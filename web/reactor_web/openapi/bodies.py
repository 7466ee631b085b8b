"""The bodies of requests and answers as types: pydantic makes the schemas of ``/openapi.json`` from them."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from reactor.events.vocabulary import RunStatus
from reactor.events.vocabulary.run import BudgetData, ParentData, TaskData


class Problem(TypedDict):
    """An error (RFC 9457). Some have more members, such as the ``run_id`` it is about."""

    type: str
    title: str
    status: int
    detail: str
    """One sentence that says what is wrong and where."""
    error: NotRequired[str]
    """The class of ``reactor.errors`` that it is, where it is one: ``UnknownRun``."""
    code: NotRequired[str]
    """Why, for programs; `type` then leads to a page for people."""
    retry_after: NotRequired[float]
    """Seconds after which to ask again, as in `Retry-After`."""


class Summary(TypedDict):
    """What a client needs to find and follow a run."""

    run_id: str
    workflow: str | None
    version: str | None
    status: RunStatus
    seq: int
    """Of its last event."""
    events: str
    """Where its events are, from the prefix on."""


class ListedRun(TypedDict):
    """One run of a listing."""

    run_id: str
    workflow: str
    version: str
    status: RunStatus
    created: str
    seq: int
    parent: str | None
    root: str


class RunPage(TypedDict):
    """A page of runs, the newest first."""

    runs: list[ListedRun]
    cursor: str | None
    """Asks for the next page; null on the last one."""
    position: int
    """Where to go on with ``GET /events``: the page has what is in the log up to there."""


class Question(TypedDict):
    """A question that a task waits for."""

    task_id: str
    key: str | None
    prompt: str | None
    schema: dict[str, Any] | None


class RunBelow(TypedDict):
    """A run below another one."""

    run_id: str
    parent: str
    task_id: str
    workflow: str
    status: str
    questions: list[Question]


class State(TypedDict):
    """The state of a run, folded from its events; its input and graph; once it has ended, what came of it.

    Members that are not listed here are those of the run's last event and of ``run.state``.
    """

    run_id: str
    seq: int
    status: RunStatus
    workflow: NotRequired[str | None]
    version: NotRequired[str | None]
    started: NotRequired[str | None]
    ended: NotRequired[str | None]
    total_tasks: int
    running: int
    completed: int
    failed: int
    skipped: int
    cancelled: int
    progress: float
    """0 to 1."""
    tasks: dict[str, Any]
    """By id."""
    meta: NotRequired[dict[str, Any] | None]
    parent: NotRequired[ParentData | None]
    budget: NotRequired[BudgetData | None]
    input: NotRequired[dict[str, Any]]
    graph: NotRequired[list[TaskData]]
    upgraded: NotRequired[int | None]
    """The seq of the last ``run.upgraded``: it goes on in another graph than it began with."""
    least_progress: NotRequired[float | None]
    outputs: NotRequired[dict[str, Any]]
    """Of a completed run: of the tasks that nobody depends on."""
    error: NotRequired[dict[str, Any] | None]
    recoverable: NotRequired[Literal[False]]
    """Nobody here goes on with it; ``not_recovered`` says why."""
    not_recovered: NotRequired[str | None]


class Run(State):
    """A run, and the runs below it."""

    tree: list[RunBelow]


class Workflow(TypedDict):
    """A definition."""

    name: str
    version: str
    fingerprint: str
    tasks: list[TaskData]
    input_schema: dict[str, Any]
    """The JSON Schema of its input."""


class WorkflowList(TypedDict):
    workflows: list[Workflow]


class Tool(TypedDict):
    """A function that a plan may use."""

    name: str
    description: str | None
    input_schema: dict[str, Any]


class ToolList(TypedDict):
    tools: list[Tool]


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """The engine takes runs."""

    status: Literal["ok"]
    open_runs: int
    streams: int


class EventPage(TypedDict):
    """Some events of a run, or of several."""

    events: list[dict[str, Any]]
    cursor: int | str
    """What ``after=`` takes next."""
    ended: bool
    """Nothing more comes."""
    status: RunStatus | None
    """Of the run; null where there are several."""


class Emitted(TypedDict):
    """What was said in a run, once it is in the log."""

    run_id: str
    seqs: list[int]


class Ticket(TypedDict):
    """What opens one stream."""

    ticket: str
    """As `?ticket=` of the stream."""
    expires_in: float
    """Seconds within which it is used for the first time."""


class TicketBody(TypedDict):
    """What a ticket is for: one run, or a stream of several."""

    run_id: NotRequired[str]
    filter: NotRequired[dict[str, Any]]
    """Of `GET /events`: `runs` (a list), `workflow`, `parent`, `meta.<key>`. Empty: all runs."""
    ttl: NotRequired[float]
    """Seconds, at most 300; 60 if it is missing."""


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
