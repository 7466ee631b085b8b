"""The events of a run as a whole."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from reactor.events.vocabulary.tables import event


class ErrorData(TypedDict):
    """An error as events carry it."""

    type: str
    """The name of the exception's class."""
    message: str
    """At most 4,000 characters."""
    traceback: NotRequired[str]
    """Only with ``Engine(tracebacks=True)``."""
    task_id: NotRequired[str]
    """In ``run.failed``: the task where the failure began."""


class GroupData(TypedDict):
    """The place of a task in the innermost group (``flow.parallel``, ``flow.sequence``) that names it."""

    kind: Literal["parallel", "sequence"]
    index: int
    """From 0."""
    total: int
    """How many parts the group has."""


class TaskData(TypedDict):
    """One task of the graph."""

    id: str
    kind: Literal["task", "map"]
    depends_on: list[str]
    """The names of its upstreams."""
    place: NotRequired[int]
    """Its place in the order of the graph, from 0. Since 0.2."""
    over: NotRequired[str]
    """The upstream whose list it is mapped over, where it has several. Since 0.2."""
    when: NotRequired[Literal[True]]
    """It has a condition. Since 0.2."""
    group: NotRequired[GroupData]
    """If it is part of a group. Since 0.2."""
    tool: NotRequired[str]
    """The tool it runs, in a DAG that is data."""
    meta: NotRequired[dict[str, Any]]
    """``meta=`` of the task."""


class BudgetData(TypedDict):
    """The budget of a run: the limits that are set, and what happens at one."""

    cost: NotRequired[float]
    tokens: NotRequired[int]
    seconds: NotRequired[float]
    tasks: NotRequired[int]
    on_exceeded: str
    """``fail``, ``pause`` or ``tell``."""


class ParentData(TypedDict):
    """The task that started a child run."""

    run_id: str
    task_id: str


@event("run.started", run="running")
class RunStarted(TypedDict):
    """The first event of every run: what runs, and with which input.

    ``input``, ``tasks`` and ``plan`` share 32 KiB. One that does not fit is stored beside the event, and the event has
    a reference to ``GET /runs/{id}`` instead.
    """

    workflow: str
    version: str
    fingerprint: str
    """A hash of the graph. A run goes on after a restart in this graph, or, with ``run.upgraded``, in a later one."""
    total_tasks: int
    """How many tasks run a body, without the children of mapped tasks."""
    maps: NotRequired[int]
    """How many tasks are mapped, if any. Since 0.2."""
    input: NotRequired[dict[str, Any]]
    input_ref: NotRequired[str]
    tasks: NotRequired[list[TaskData]]
    """The tasks in the order of the graph, upstreams first."""
    tasks_ref: NotRequired[str]
    plan: NotRequired[dict[str, Any]]
    """The document, if the DAG is data."""
    plan_ref: NotRequired[str]
    meta: NotRequired[dict[str, Any]]
    budget: NotRequired[BudgetData]
    parent: NotRequired[ParentData]
    """Of a child run."""
    retry_of: NotRequired[str]
    """The id of the run that this one retries."""
    typed_inputs: NotRequired[dict[str, dict[str, list[list[Any]]] | None]]
    """The inputs that their annotations restore from JSON, with the hints as in ``task.completed``. The others are
    taken from ``input`` as they are. Without this key every input is restored by its annotation. Since 0.2."""
    input_digest: NotRequired[str]
    """An HMAC of the whole input under the key of the log, where ``input`` does not show all of it. Since 0.2."""
    given_digest: NotRequired[str]
    """The same of the input as it was given, before it was validated. Only if that made more than plain JSON of it."""
    not_recoverable: NotRequired[list[str]]
    """Names of inputs that no log can give back: the run cannot go on after a restart."""
    session: NotRequired[Literal[True]]
    """It is a session: it has no tasks, and its events come from outside. Since 0.2."""
    idle: NotRequired[float]
    """Of a session: seconds without an event after which it is closed. Since 0.2."""
    by: NotRequired[str]
    """Who started it, if known. Over HTTP: who asked, or else the address."""
    tenant: NotRequired[str]
    """Whose run it is; missing for the default tenant."""
    traceparent: NotRequired[str]
    """The W3C trace context that it was started in, and so the parent of its span; of a child run the attempt that
    started it, where spans are made. Since 0.2."""
    tracestate: NotRequired[str]
    """What vendors add to it, if anything. Since 0.2."""


@event("run.paused", run="paused")
class RunPaused(TypedDict):
    """No new bodies start. Those that run go on until they end or reach a ``ctx.checkpoint()``."""

    reason: str
    """As given, or ``requested``, ``budget`` or ``parent``."""
    by: str | None
    """Who asked, if known. Over HTTP it is the address."""


@event("run.resumed", run="running")
class RunResumed(TypedDict):
    """The run goes on after a pause, or after a restart.

    After a restart the reason is ``recovered``, and the run keeps the status that it had before.
    """

    reason: str
    by: str | None
    downtime_ms: NotRequired[float]
    """After a restart: the time since the event before."""
    recovery: NotRequired[int]
    """After a restart: which recovery of this run it is, from 1."""
    crashed: NotRequired[bool]
    """After a restart: true if the process before was killed, or may have been; it did not stop cleanly."""


@event("run.cancelling", run="cancelling")
class RunCancelling(TypedDict):
    """The run was asked to stop: what has not begun ends, and bodies get their grace."""

    reason: str
    """As given, or ``requested``, ``timeout``, ``budget``, ``parent``, ``shutdown``, ``disconnected``."""
    by: str | None
    error: NotRequired[ErrorData]
    """If the run will fail and not be cancelled: a timeout, a budget, a crash loop."""
    because: NotRequired[str | None]
    """The task that exceeded the budget, or that may have killed its process again and again."""


_From = TypedDict("_From", {"from": str})


@event("run.upgraded")
class RunUpgraded(_From):
    """An open run goes on in a later graph of its workflow. ``from`` and ``to`` are fingerprints. Since 0.2."""

    to: str
    version: str
    """Of the workflow that has this graph. It may be new where the graph is not; then ``from`` is ``to``."""
    total_tasks: int
    """How many tasks of this graph run a body, without the children of mapped tasks."""
    maps: int
    """How many are mapped."""
    tasks: NotRequired[list[TaskData]]
    """The tasks that were added, and those that are now described in another way; they may only have another place.
    The graph is what it was without these and ``removed``, and with these, by their places."""
    tasks_ref: NotRequired[str]
    """In place of more than 32 KiB of them: ``GET /runs/{id}`` has the graph."""
    removed: NotRequired[list[str]]
    """The tasks that are gone, if any. They had not begun."""
    removed_ref: NotRequired[str]
    """In place of more than 32 KiB of them."""
    downtime_ms: float
    """The time since the event before."""
    graph_ref: str
    """All tasks of the graph are stored beside the event; ``GET /runs/{id}`` has them."""


class Totals(TypedDict):
    """The totals that every terminal event carries."""

    total_tasks: int
    """How many bodies the run had: tasks that are not mapped, and children of mapped tasks."""
    completed: int
    failed: int
    skipped: int
    cancelled: int
    duration_ms: float
    task_time_ms: float
    """The times of all attempts together."""
    speedup: float
    """``task_time_ms`` / ``duration_ms``."""
    cost: NotRequired[float]
    """With child runs, if anything was spent or the run has a budget."""
    tokens: NotRequired[int]


@event("run.completed", run="completed")
class RunCompleted(Totals):
    """The last event of a run that went well."""

    outputs: NotRequired[dict[str, Any]]
    """The outputs of the tasks that no other task depends on, up to 32 KiB together."""
    outputs_ref: NotRequired[str]
    """In place of larger outputs: ``GET /runs/{id}`` has them."""
    size: NotRequired[int]
    """The size of larger outputs, in bytes."""
    typed_outputs: NotRequired[dict[str, Any] | None]
    """Of a child run: the outputs that return annotations restore from JSON, with the hints as in ``task.completed``;
    of a mapped task a list of ``[count, hints]``, where hints are ``false`` for plain JSON. ``"lost"`` in place of
    hints: it is only shown. Null if that is more than 4 KiB. Since 0.2."""


@event("run.failed", run="failed")
class RunFailed(Totals):
    """The last event of a run in which a task failed that nobody handled, or that was stopped by a limit."""

    error: ErrorData
    reason: NotRequired[str]
    """If a limit stopped the run: ``timeout``, ``budget``, ``crash_loop``, or ``idle`` of a session."""


@event("run.cancelled", run="cancelled")
class RunCancelled(Totals):
    """The last event of a run that was cancelled."""

    reason: str | None
    abandoned: int
    """How many bodies did not stop in time and still run in their threads."""
