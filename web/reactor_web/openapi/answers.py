"""The bodies of answers as types: pydantic makes the schemas of ``/openapi.json`` from them."""

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


class Commanded(Summary):
    """What a command has done."""

    recorded: int | None
    """The seq of the event that records it; of a retry, in the new run. Null: there was nothing to do."""


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


class OpenQuestion(TypedDict):
    """A question that nobody has answered yet, and the run whose task asks."""

    run_id: str
    workflow: str
    root: str
    """The run at the top of its tree."""
    task_id: str
    key: str | None
    prompt: Any
    schema: dict[str, Any] | None
    """The JSON Schema of the answer; null: any value."""
    expires: NotRequired[str]
    """When nobody can answer any more."""
    seq: int
    """Of the event that asks."""
    since: str | None
    """The time of that event; null where the log does not have it any more."""


class QuestionPage(TypedDict):
    """A page of open questions: the newest run first, of a run what was asked last."""

    questions: list[OpenQuestion]
    cursor: str | None
    """Asks for the next page; null on the last one."""


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


class Durations(TypedDict):
    """In seconds. A percentile is the smallest value that so many of them do not exceed."""

    count: int
    p50: float
    p90: float
    max: float


class RunDuration(TypedDict):
    run_id: str
    created: str
    seconds: float


class WorkflowDurations(TypedDict):
    """How long the last completed runs have taken."""

    workflow: str
    runs: list[RunDuration]
    """The newest first."""
    run: Durations | None
    """Of whole runs; null where none has completed."""
    tasks: dict[str, Durations]
    """By id; a mapped task as a whole."""


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


class Diagnosis(TypedDict):
    """Facts about a server, for `reactor doctor`. Sizes in bytes."""

    time: str
    loop_lag_seconds: float
    is_accepting: bool
    open_runs: int
    stranded_runs: int
    stuck_threads: int
    append_pending_seconds: float
    is_durable: bool
    log_problem: str | None
    keeps_all: bool | None
    is_open_to_all: bool
    allows_any_host: bool
    is_forwarded_by_stranger: bool
    key_file_problem: str | None


class Whoami(TypedDict):
    """Who asks, and what they may do and see."""

    id: str
    scopes: list[str]
    runs: list[str] | None
    workflows: list[str] | None
    tenant: str | None
    expires: float | None


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


class Schedule(TypedDict):
    """What starts runs of a workflow at which times."""

    name: str
    workflow: str
    cron: NotRequired[str]
    tz: NotRequired[str]
    """The time zone of `cron`."""
    every: NotRequired[int]
    """Seconds, in place of `cron`."""
    overlap: Literal["skip", "queue", "allow"]
    catch_up: Literal["one", "all", "none"]
    input: dict[str, Any]
    owner: str | None
    """Who made it."""
    code: bool
    """The code of the server says it."""
    paused: str | None
    """Who or what has paused it."""
    last: str
    """The last time that was dealt with."""
    next: str | None
    """When it starts its next run; null while it is paused."""
    pending: list[str]
    """Times that wait to start a run."""
    last_run: str | None


class SchedulePage(TypedDict):
    """Some schedules, by name."""

    schedules: list[Schedule]
    cursor: str | None
    """Asks for the next page; null on the last one."""
