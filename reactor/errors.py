"""The whole tree of errors, split by whose doing it is.

Every error carries the ids it speaks of as attributes and survives pickling (a body may run in another process).
"""

from __future__ import annotations

from typing import Any


class ReactorError(Exception):
    """The root. ``str(error)`` is one sentence that names what and where."""

    def __init__(self, message: str, **ids: Any) -> None:
        super().__init__(message)
        self.__dict__.update(ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), str(self), dict(self.__dict__)))


def _restore(kind: type[ReactorError], message: str, ids: dict[str, Any]) -> ReactorError:
    return kind(message, **ids)


# --- whoever wrote the workflow ---------------------------------------------------------------------------------


class WorkflowError(ReactorError):
    """The workflow cannot run: a cycle, an unknown upstream, a duplicate name, a default that is not JSON."""

    workflow: str
    task: str | None = None


# --- whoever starts or asks for a run ---------------------------------------------------------------------------


class InputError(ReactorError):
    """The input of a run does not fit: ``problems`` names each input, the task that takes it and what it expects."""

    workflow: str
    problems: list[dict[str, Any]]


class PlanError(ReactorError):
    """A document is no plan: ``problems`` is ``[{place, message}]``, ``place`` that of the first: ``tasks[2].tool``."""

    place: str
    problems: list[dict[str, str]]


class UnknownWorkflow(ReactorError):
    """No workflow of this name is registered with the engine."""

    workflow: str


class UnknownRun(ReactorError):
    """The log has no run of this id (or no longer)."""

    run_id: str


class UnknownTask(ReactorError):
    """The run has no task of this id, or it has no output."""

    run_id: str
    task_id: str


class InvalidRunId(ReactorError, ValueError):
    """A run id is 1 to 64 letters, digits and ``. _ ~ -``."""

    run_id: str


class RunExists(ReactorError):
    """A run of this id exists already."""

    run_id: str


class RunOpen(ReactorError):
    """The command is for runs that have ended."""

    run_id: str


class WorkflowChanged(ReactorError):
    """The workflow of a run is not registered here, or is not the same any more."""

    run_id: str


class RunEnded(ReactorError):
    """The command came after the run's terminal event."""

    run_id: str
    status: str


class RunEnding(ReactorError):
    """The command came while the run is being cancelled."""

    run_id: str


class RunNotHere(ReactorError):
    """The run has not ended, but nobody in this process goes on with it, so it takes no commands but cancel."""

    run_id: str


class TaskEnded(ReactorError):
    """The command is for a task that has not ended."""

    run_id: str
    task_id: str


class InvalidValue(ReactorError):
    """A value that was sent does not fit what the task waits for."""

    run_id: str
    task_id: str


class MailboxFull(ReactorError):
    """Too many values wait for the task to receive them."""

    run_id: str
    task_id: str


class TooManyWaiting(ReactorError):
    """Too many streams are open for runs that have not started."""

    run_id: str


class EngineClosed(ReactorError):
    """The engine was not entered (``async with``), or is draining."""


# --- whoever wrote a task body ----------------------------------------------------------------------------------


class BodyError(ReactorError):
    """A body asked its Context for something it cannot have."""

    run_id: str
    task_id: str


class Backpressure(BodyError):
    """The body emits faster than the log takes events and does not await: ``await ctx.emit(...)``."""


class EventTooLarge(BodyError):
    """One event is above 48 KiB; emit a reference, or several events."""


class InvalidEvent(BodyError):
    """The type is malformed or reserved, or the data is not JSON."""


class ContextClosed(BodyError):
    """The attempt this Context belongs to has ended or was abandoned; nothing it says is recorded any more."""


class ThreadsExhausted(BodyError):
    """Too many threads were abandoned by cancels; no further ``def`` body is started in this process."""


class WorkerDied(BodyError):
    """The process of the body ended before the body did: it was killed, it crashed, or it called ``os._exit``."""


class TaskTimeout(BodyError, TimeoutError):
    """An attempt took longer than its ``timeout``; ``Retry`` takes it like any other failure."""


class TooDeep(BodyError):
    """A child run within too many others, or of itself without an end."""


# --- whoever runs the service -----------------------------------------------------------------------------------


class LogUnavailable(ReactorError):
    """The event log cannot be opened: in use, not ours, of a newer version, corrupt or read-only."""

    path: str


# --- how a run ends ---------------------------------------------------------------------------------------------


class RunFailed(ReactorError):
    """At least one task failed and nothing handled it; ``errors`` maps task ids to ``{type, message}``."""

    run_id: str
    errors: dict[str, dict[str, Any]]


class RunCancelled(ReactorError):
    """The run was cancelled; ``reason`` says why."""

    run_id: str
    reason: str


class LogLost(ReactorError):
    """The log refused a window: the run ended in this process, what was committed stays readable."""

    run_id: str


# --- whoever follows a run --------------------------------------------------------------------------------------


class SlowSubscriber(ReactorError):
    """A callback held the event loop above 100 ms twice and was detached; ``off_loop()`` gives it a thread."""

    run_id: str
