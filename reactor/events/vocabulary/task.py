"""The events of one task, or of one child ``name[i]`` of a mapped task."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from reactor.events.vocabulary.run import ErrorData
from reactor.events.vocabulary.tables import event

RetryReason = Literal["error", "worker_lost", "recovered"]


@event("task.started", task="running")
class TaskStarted(TypedDict):
    """A body begins; every attempt has one. It is written when the body begins, not when it queues.

    ``attempt`` counts the starts of the body, from 1: also those after a restart, which no ``task.retrying`` announces.
    """

    executor: str
    """``loop``, ``thread`` or ``process``."""
    index: int
    """Which start of a body in the run it is, from 0."""
    total: int
    """How many bodies the run has, as far as is known."""
    input: NotRequired[dict[str, Any]]
    """The inputs of the run that the body takes, and the item of a mapped task; secrets are masked."""
    input_preview: NotRequired[str]
    """In place of an input above 4 KiB: its beginning, as text."""


@event("task.mapped", task="running")
class TaskMapped(TypedDict):
    """A mapped task knows its list, and its children begin. The state of the mapped task follows from theirs."""

    count: int
    """The length of the list. With 0 the mapped task has completed."""
    progress: NotRequired[float]
    """As at the end of a task, if ``count`` is 0. Since 0.2."""
    tolerate: NotRequired[int]
    """How many children may fail. Not written yet."""


@event("task.progress")
class TaskProgress(TypedDict):
    """How far the body is, as it says with ``ctx.progress``: at most 20 a second, the last one always."""

    fraction: float
    """0 to 1."""
    message: str | None
    level: str
    """``info``."""


@event("task.chunk")
class TaskChunk(TypedDict):
    """Text from ``ctx.chunk``, for example the tokens of a language model; several pieces are joined."""

    text: str
    index: int
    """Which chunk of the attempt it is, from 0."""


@event("task.spent")
class TaskSpent(TypedDict):
    """The task, or a child run that it started, has spent money or tokens."""

    cost: float
    tokens: int
    total_cost: float
    """Of the run so far, with child runs."""
    total_tokens: int
    source: Literal["spend", "llm", "child"]
    """``ctx.spend``, ``ctx.llm_call`` or a child run."""
    child_run: NotRequired[str]
    """The id of the child run."""
    tasks: NotRequired[int]
    """How many bodies the child run has started, if a budget counts them."""


@event("task.waiting", task="waiting")
class TaskWaiting(TypedDict):
    """The body asks for a value with ``ctx.receive``, and waits unless the value is there already (``answered``).

    The same question comes again where the body runs again, and where a value was rejected.
    """

    prompt: str | None
    schema: dict[str, Any] | None
    """The JSON Schema of the value."""
    key: str | None
    """The name of the question: its ``key=``, else its place among the questions of the body (``"1"``, ``"2"``).
    Null in logs of earlier versions, for a question without ``key=``."""
    rejected: NotRequired[list[int]]
    """The seqs of values that were sent and do not fit."""
    problem: NotRequired[str]
    """What is wrong with the last of those."""
    answered: NotRequired[int]
    """The seq of the value that was sent before the body asked. The task goes on ``running``. Since 0.2."""
    expires: NotRequired[str]
    """When the body stops waiting. Since 0.2."""


@event("task.received")
class TaskReceived(TypedDict):
    """Somebody has sent a value to the task. A task that waits for it runs again."""

    value: Any
    key: str | None
    """The question it answers. Null for a value that was sent before the task asked anything; its first question
    gets it. In logs of earlier versions also null for questions without ``key=``."""
    by: NotRequired[str]
    """Who sent it, if known. Over HTTP it is the address. Since 0.2."""
    command: NotRequired[str]
    """The id of the command that sent it, where commands pass through an inbox. Not written yet."""


@event("task.expired")
class TaskExpired(TypedDict):
    """Nobody answered a question in time (``ctx.receive(timeout=)``). Since 0.2."""

    key: str


@event("task.withdrawn")
class TaskWithdrawn(TypedDict):
    """A body no longer waits for the answer to its question: its await was cancelled. Since 0.2."""

    key: str


@event("task.retrying", task="retrying")
class TaskRetrying(TypedDict):
    """An attempt has failed, and another one follows."""

    next_attempt: int
    delay_ms: float
    error: ErrorData
    duration_ms: float
    """Of the attempt that failed."""
    reason: NotRequired[RetryReason]
    """``worker_lost``: its worker process died. Since 0.2.

    ``recovered`` is not written: after a restart no attempt has failed, and the next ``task.started`` has the next
    ``attempt``. What shows the output of one attempt should look at ``attempt``, which all events of a body have.
    """


@event("task.cancelling")
class TaskCancelling(TypedDict):
    """This task alone was asked to stop."""

    reason: str
    by: str | None


class TaskEnd(TypedDict):
    """What the last event of every task carries."""

    progress: NotRequired[float]
    """How much of the run has ended after this, 0 to 1; it never falls. Since 0.2."""
    cost: NotRequired[float]
    """What the task has spent, with its child runs, if not 0. Since 0.2."""
    tokens: NotRequired[int]
    """The tokens, if not 0. Since 0.2."""


@event("task.completed", task="completed")
class TaskCompleted(TaskEnd):
    """The body has returned, or its output was known already."""

    output: NotRequired[Any]
    """Up to 32 KiB."""
    output_ref: NotRequired[str]
    """In place of a larger output: the path that has it."""
    size: NotRequired[int]
    """The size of a larger output, in bytes."""
    preview: NotRequired[str]
    """The beginning of a larger output, as text."""
    duration_ms: float
    """Of the attempt; 0 if no body ran."""
    cached: bool
    """The output is from the cache, or from the run that this one retries."""
    recoverable: NotRequired[Literal[False]]
    """The log cannot give the output back: after a crash the task may run again."""
    typed: NotRequired[Literal[True]]
    """The return annotation of the body restores the output from its JSON."""
    hints: NotRequired[dict[str, list[list[Any]]]]
    """What the annotation needs besides the JSON: time zones, bounds, unset fields; each with how often. Since 0.2."""


@event("task.failed", task="failed")
class TaskFailed(TaskEnd):
    """The last attempt has failed."""

    error: ErrorData
    duration_ms: float
    mapped: NotRequired[Literal[True]]
    """It is a mapped task that failed before it had children."""


@event("task.skipped", task="skipped")
class TaskSkipped(TaskEnd):
    """The body does not run."""

    reason: Literal["upstream_failed", "condition", "budget"]
    because: str | None
    """The task where the failure or the skip began."""
    mapped: NotRequired[Literal[True]]


@event("task.cancelled", task="cancelled")
class TaskCancelled(TaskEnd):
    """The body was stopped, or never began because the run or the task was cancelled."""

    reason: str | None
    stop_ms: float
    """How long the body took to stop."""
    stopped: bool
    """False for a body that did not stop in time and still runs in its thread."""
    mapped: NotRequired[Literal[True]]
