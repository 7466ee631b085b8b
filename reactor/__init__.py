"""Reactor runs workflows as live, lossless event streams.

The files follow the way of an event. Each room uses only the rooms above it in this list:

    bounds, errors, clock, waiting    every limit, every failure, time, shared awaitables
    events/         what flows: events, their vocabulary, and the fold of events into a state
    requests        checks of ids, reasons, keys and meta
    definition/     DEFINE: a workflow is a DAG of tasks, validated and frozen
    operators/      COMPOSE: what subscribers put between a run and themselves: select, throttle_latest, heartbeat ...
    ports/          what a log, an executor, a clock must do: bring your own
    plans/          DEFINE, as data: a DAG from a JSON document over registered functions
    stream/         NUMBER, WINDOW, PUBLISH, FOLLOW: one writer a run; subscribers catch up from the log, then live
    logs/           APPEND: only what is in the log is ever seen by anybody
    registry        what an engine finds by name: workflows, tools, limits
    supervision/    limits, time and money, which tasks and runs both hold to
    context/        what a body can do: emit, receive, run child runs
    executors/      where bodies run: the loop, threads, processes
    tasks/          RUN: one observable a task: it waits for its upstreams, runs its body, emits drafts of events
    runs/           RUN: a run while it is open: its tasks, pause, cancel, budget, child runs; and its handle
    recovery/       how a run that a crash or a restart left open goes on, or ends
    engine          starts runs, finds them, drains them

The way of an event: tasks -> stream (number, window) -> logs -> stream (publish, follow) -> operators -> the package
``reactor_web``, which DELIVERS it. ``testing`` has the laws that an adapter of your own must keep.
"""

from importlib import metadata as _metadata

from reactor.context.context import Context
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
    LogLost,
    MailboxFull,
    PlanError,
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
    UnknownRun,
    UnknownTask,
    UnknownWorkflow,
    WorkflowError,
)
from reactor.events.event import Event, Notice
from reactor.events.fold import evolve
from reactor.events.state import RunState, TaskState
from reactor.moved import attributes_from
from reactor.plans.load import load_plan
from reactor.plans.tools import Tool, tool
from reactor.run_once import run_once
from reactor.runs.run import Run
from reactor.stream.off_loop import off_loop

try:
    __version__ = _metadata.version("reactor-dag")
except _metadata.PackageNotFoundError:  # run from a source tree that nobody has installed
    __version__ = "0+unknown"

__all__ = [
    "Backpressure",
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
    "Limit",
    "LogLost",
    "MailboxFull",
    "Notice",
    "PlanError",
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
    "SlowSubscriber",
    "Task",
    "TaskEnded",
    "TaskState",
    "TaskTimeout",
    "Tool",
    "UnknownRun",
    "UnknownTask",
    "UnknownWorkflow",
    "Workflow",
    "WorkflowError",
    "evolve",
    "load_plan",
    "off_loop",
    "tool",
]

provide_run_once(run_once)

__getattr__ = attributes_from(__name__, {"Control": "reactor:Notice"})
