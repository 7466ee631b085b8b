"""Reactor runs workflows as live, lossless event streams.

The rooms, from the top down; each imports only from rooms below it in this list:

    tools           an old import path of tools
    spec            an old import path of plans
    testing/        the laws that an adapter of your own must keep; logs that fail
    run_once        ``workflow.run()``, which needs no event loop
    engine          starts runs, finds them, drains them
    services        what users start and end with an engine
    schedules/      starts runs at their times
    tenants/        whose runs: what an engine does for one tenant, and all of its tenants
    recovery/       how a run that a crash or a restart left open goes on, or ends
    runs/           a run while it is open: its tasks, pause, cancel, budget, child runs; and its handle
    tasks/          one task is one observable: it waits for its upstreams, runs its body, emits drafts of events
    executors/      where bodies run: the loop, threads, processes
    context/        what a body can do: emit, receive, run child runs
    supervision/    limits and clocks that tasks and runs share
    registry        what an engine finds by name: workflows, tools, limits
    logs/           only what is in the log is ever seen by anybody
    stream/         one writer a run numbers, windows and publishes; subscribers catch up from the log, then live
    plans/          workflows written as JSON documents, over registered functions
    tracing/        spans of runs, attempts and calls, for OpenTelemetry
    ports/          what a log, an executor, a clock must do: bring your own
    operators/      what subscribers put between a run and themselves: select, throttle_latest, heartbeat ...
    definition/     a workflow is a DAG of tasks, validated and frozen
    listeners       who is told of windows, waits, stalls and streams
    requests        checks of ids, reasons, keys and meta
    trace_context   the headers traceparent and tracestate: the trace that a run belongs to
    events/         what flows: events, their vocabulary, and the fold of events into a state
    logger          the log lines of the library
    clock           the system clock, and the scheduler of an event loop
    moved           help for old import paths
    waiting         awaitables that many share
    interrupts      whether an exception means the process: Ctrl-C, and what handlers of signals raise
    errors          the errors of the engine
    bounds          the limits that users meet

The way of an event: tasks -> stream (number, window) -> logs -> stream (publish, follow) -> operators -> the package
``reactor_web``, which serves it.
"""

from importlib import metadata as _metadata

from reactor.context.context import BlockingContext, Context
from reactor.definition.policy import Budget, Cache, Limit, Retry
from reactor.definition.workflow import Task, Workflow, provide_run_once
from reactor.engine import Engine
from reactor.errors import (
    Backpressure,
    ContextClosed,
    EngineClosed,
    EventTooLarge,
    InputError,
    InvalidEvent,
    InvalidValue,
    IsSession,
    KeyReused,
    LogLost,
    MailboxFull,
    NotAwaited,
    PlanError,
    QuestionExpired,
    ReactorError,
    RunCancelled,
    RunEnded,
    RunEnding,
    RunExists,
    RunFailed,
    RunNotHere,
    SlowSubscriber,
    TaskEnded,
    TaskTimeout,
    Unanswered,
    UnknownRun,
    UnknownSeq,
    UnknownTask,
    UnknownWorkflow,
    WorkflowError,
    WrongQuestion,
)
from reactor.events.event import Event, Notice
from reactor.events.fold import evolve
from reactor.events.state import RunState, TaskState
from reactor.moved import attributes_from
from reactor.plans.load import load_plan
from reactor.plans.tools import Tool, tool
from reactor.run_once import run_once
from reactor.runs.run import Run
from reactor.runs.session import Session
from reactor.stream.off_loop import off_loop

try:
    __version__ = _metadata.version("reactor-dag")
except _metadata.PackageNotFoundError:  # run from a source tree that nobody has installed
    __version__ = "0+unknown"

__all__ = [
    "Backpressure",
    "BlockingContext",
    "Budget",
    "Cache",
    "Context",
    "ContextClosed",
    "Engine",
    "EngineClosed",
    "Event",
    "EventTooLarge",
    "InputError",
    "InvalidEvent",
    "InvalidValue",
    "IsSession",
    "KeyReused",
    "Limit",
    "LogLost",
    "MailboxFull",
    "NotAwaited",
    "Notice",
    "PlanError",
    "QuestionExpired",
    "ReactorError",
    "Retry",
    "Run",
    "RunCancelled",
    "RunEnded",
    "RunEnding",
    "RunExists",
    "RunFailed",
    "RunNotHere",
    "RunState",
    "Session",
    "SlowSubscriber",
    "Task",
    "TaskEnded",
    "TaskState",
    "TaskTimeout",
    "Tool",
    "Unanswered",
    "UnknownRun",
    "UnknownSeq",
    "UnknownTask",
    "UnknownWorkflow",
    "Workflow",
    "WorkflowError",
    "WrongQuestion",
    "evolve",
    "load_plan",
    "off_loop",
    "tool",
]

provide_run_once(run_once)

__getattr__ = attributes_from(__name__, {"Control": "reactor:Notice"})
