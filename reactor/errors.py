"""All errors, grouped by who can do something about them: who wrote the workflow, starts a run, wrote a body, ...

Every error has the ids it speaks of as attributes, and survives pickling, because a body may run in another process.
"""

from __future__ import annotations

from typing import Any


class ReactorError(Exception):
    """The base of all errors here. ``str(error)`` is one sentence that says what is wrong and where."""

    def __init__(self, message: str, **ids: Any) -> None:
        super().__init__(message)
        self.__dict__.update(ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (type(self), str(self), dict(self.__dict__)))


def _restore(kind: type[ReactorError], message: str, ids: dict[str, Any]) -> ReactorError:
    return kind(message, **ids)


# --- whoever wrote the workflow ---------------------------------------------------------------------------------


class WorkflowError(ReactorError):
    """Raised when a workflow is defined or frozen and cannot run: a cycle, an unknown upstream, a duplicate name.

    ``task`` is None where no single task is to blame. Correct the definition.
    """

    workflow: str
    task: str | None = None


# --- whoever starts or asks for a run ---------------------------------------------------------------------------


class InputError(ReactorError):
    """Raised at the start of a run whose input does not fit; nothing has been started. Correct the input.

    ``problems``: a list of ``{input, tasks, expected, message}``.
    """

    workflow: str
    problems: list[dict[str, Any]]


class PlanError(ReactorError):
    """Raised by ``load_plan`` for a document that is not a valid plan; nothing has been started. Correct the document.

    ``problems``: a list of ``{place, message}``, such as ``tasks[2].tool``. ``place`` is that of the first problem.
    """

    place: str
    problems: list[dict[str, str]]


class UnknownWorkflow(ReactorError):
    """Raised when the engine has no workflow of this name. Register it: ``Engine(workflows=[...])``."""

    workflow: str


class UnknownRun(ReactorError):
    """Raised when the log has no run of this id: it was never started, or has been deleted."""

    run_id: str

    @classmethod
    def of(cls, run_id: str) -> UnknownRun:
        """With its sentence."""
        return cls(f"there is no run {run_id!r}", run_id=run_id)


class UnknownTask(ReactorError):
    """Raised when a run has no task of this id, or the task has no output (yet)."""

    run_id: str
    task_id: str


class UnknownSeq(ReactorError):
    """Raised where a run has fewer events, or its log was trimmed and begins at ``first``, else None."""

    run_id: str
    seq: int
    first: int | None


class InvalidRunId(ReactorError, ValueError):
    """Raised for a run id that is not 1 to 64 of ``A-Z a-z 0-9 . _ ~ -``, or is ``.`` or ``..``."""

    run_id: str


class UnknownSchedule(ReactorError):
    """Raised for a schedule that is not there."""

    schedule: str


class RunExists(ReactorError):
    """Raised at the start of a run whose id is taken. Choose another id, or use the run that exists."""

    run_id: str


class RunOpen(ReactorError):
    """Raised by a command for ended runs, a retry or a delete, while the run goes on. Wait until it has ended."""

    run_id: str


class WorkflowChanged(ReactorError):
    """Raised by a retry of a run whose workflow is not registered here, or takes another input: start a new run."""

    run_id: str


class RunEnded(ReactorError):
    """Raised by a command that comes after the end of the run; ``status`` says how it ended."""

    run_id: str
    status: str


class RunEnding(ReactorError):
    """Raised by a command that comes while the run is being cancelled."""

    run_id: str


class RunNotHere(ReactorError):
    """Raised by a command for an unfinished run that no engine in this process executes. Only cancel is possible."""

    run_id: str


class Unanswered(ReactorError):
    """Raised by a command to a run that another node executes, or takes over just now, and that did not answer in time.

    Nobody knows whether it was carried out. Repeat it: over HTTP with the same ``Idempotency-Key``.
    """

    run_id: str

    @classmethod
    def of(cls, run_id: str) -> Unanswered:
        """With its sentence."""
        return cls(
            f"the node that executes run {run_id} did not answer in time: it is unknown whether this was done, repeat "
            "it with the same Idempotency-Key",
            run_id=run_id,
        )


class KeyReused(ReactorError):
    """Raised by ``run.emit(key=)`` for a key that was used for another event. A new event needs a new key."""

    run_id: str
    key: str


class IsSession(ReactorError):
    """Raised by what has no meaning for a session, which has no tasks: pause, resume, retry. Close or cancel it."""

    run_id: str


class TaskEnded(ReactorError):
    """Raised by a command for a task that has ended, or that is mapped: send to its children, ``name[0]``."""

    run_id: str
    task_id: str


class InvalidValue(ReactorError):
    """Raised by ``run.send`` for a value that does not fit what the task waits for. Send another value."""

    run_id: str
    task_id: str


class WrongQuestion(ReactorError):
    """Raised by ``run.send`` for a value that answers no open question. Send it with ``key=``, one of ``keys``."""

    run_id: str
    task_id: str
    keys: list[str]


class MailboxFull(ReactorError):
    """Raised by ``run.send`` when 100 values wait to be received. Send again once the task has taken some."""

    run_id: str
    task_id: str


class TooManyWaiting(ReactorError):
    """Raised when 1,000 streams already wait for runs that have not started. Start the run before you follow it."""

    run_id: str


class TooManyTickets(ReactorError):
    """Raised when a ticket is issued and its store is full, or has many of this principal. Try again later."""

    principal: str


class EngineClosed(ReactorError):
    """Raised when the engine has not been entered (``async with Engine()``), or is shutting down."""


# --- whoever wrote a task body ----------------------------------------------------------------------------------


class BodyError(ReactorError):
    """The base of the errors that a body causes, mostly by what it asks of its Context."""

    run_id: str
    task_id: str


class Backpressure(BodyError):
    """Raised by an ``emit`` that was not awaited while the log cannot keep up. Write ``await ctx.emit(...)``.

    This and the next two are also raised by ``run.emit``, then without ``task_id``.
    """


class EventTooLarge(BodyError):
    """Raised for an event above 48 KiB. Emit several events, or a reference to the data."""


class InvalidEvent(BodyError):
    """Raised for an event whose type is malformed or reserved, or whose data is not a JSON object."""


class ContextClosed(BodyError):
    """Raised when a body uses its Context after its attempt has ended or was abandoned; nothing more is recorded."""


class ThreadsExhausted(BodyError):
    """Raised when too many bodies wait in threads (1,000) or in processes (64). Make them ``async def`` bodies."""


class WorkerDied(BodyError):
    """Raised when the process of a body ends before the body: it was killed, crashed, or called ``os._exit``."""


class BodyCancelled(BaseException):
    """Raised in a ``def`` body in a process that a cancel interrupts. ``except Exception`` lets it pass."""


class RemoteError:
    """Marks an exception of a body in a process if its class cannot be found here: it is local to a function, say.

    The exception has the name of its class, its message, its arguments and its attributes, and it is an instance of
    those bases of its class that can be found. ``Retry(retry_on=...)`` compares the names too.
    """

    class_names: tuple[tuple[str, str], ...] = ()
    """Module and qualified name of its class and of all bases, in the order of ``__mro__``."""


class TaskTimeout(BodyError, TimeoutError):
    """Raised for an attempt that took longer than its ``timeout``. ``Retry`` treats it like any other failure."""


class QuestionExpired(BodyError, TimeoutError):
    """Raised by ``ctx.receive`` for a question that nobody answered in time, or that an earlier attempt gave up.

    ``key``: the name of the question. A body that runs again gets the same error at once.
    """

    key: str


class NotAwaited(ReactorError, TypeError):
    """Raised where the result of an async call is used that was not awaited: ``if ctx.receive(...)``. Write ``await``.

    As ``UnawaitedAttribute``, which is also an AttributeError, for ``engine.start(...).id``.
    """


class UnawaitedAttribute(NotAwaited, AttributeError):
    """A ``NotAwaited`` for an attribute of the result."""


class TooDeep(BodyError):
    """Raised by ``ctx.run`` for a child run inside 10 others, which usually means a workflow that runs itself."""


# --- whoever runs the service -----------------------------------------------------------------------------------


class LogUnavailable(ReactorError):
    """Raised when the event log cannot be opened: in use, read-only, corrupt, of a newer version, or another format.

    Also while an open log cannot be used, because its file was moved, say. Then ``reason`` is one word for it.
    """

    path: str
    reason: str | None = None


# --- how a run ends ---------------------------------------------------------------------------------------------


class RunFailed(ReactorError):
    """Raised by ``await run`` when a task failed and no other task handled the failure.

    ``errors``: task id -> ``{type, message}``. If the body failed in this process, its error is the ``__cause__``.
    """

    run_id: str
    errors: dict[str, dict[str, Any]]


class RunCancelled(ReactorError):
    """Raised by ``await run`` when the run was cancelled; ``reason`` says why."""

    run_id: str
    reason: str


class LogLost(ReactorError):
    """Raised when the log did not commit a window: the run has stopped, and what was committed stays readable.

    The engine takes the run up again as soon as the log answers; then ``engine.get`` gives it. Until then, commands
    for it raise this too.
    """

    run_id: str


# --- whoever follows a run --------------------------------------------------------------------------------------


class SlowSubscriber(ReactorError):
    """The ``on_error`` of a subscriber that held the event loop above 100 ms twice. Put ``off_loop()`` before it."""

    run_id: str
