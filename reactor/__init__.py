"""Reactor runs workflows as live, lossless streams.

The way of an event, which is also the way through the files:

    define      definition/                           a validated DAG, frozen; how its tasks are supervised
                tools, spec                           the same from a JSON document over registered functions
    run         tasks/                                one observable a task: waits, runs its body, says what happens
                context/                              what a body says and asks, from where it runs to its run
                executors/                            the loop, threads, processes
    wire        runs/                                 what starts when; pause, cancel, input, budgets, children
    number      pipeline                              seq 1, 2, 3 ... by the run's single writer
    window      operators/buffer_window               the backpressure: one window commits while the next fills
    append      logs/                                 only what is in the log is ever seen by anybody
    publish     feed                                  the folded state, the ring, the hot subject of windows
    follow      follow                                a cursor: catch up from the log, then live
    compose     operators/                            select, throttle_latest, heartbeat, to_state ...
    deliver     run, engine; the package web          handles, Observables, async iterators; SSE
    recover     recovery/                             what a log says of an open run, and how it goes on or ends

``events`` and ``state`` are what flows and its ``fold``; ``ports`` what the outside must provide; ``bounds`` every
limit; ``errors`` every failure; ``testing`` the law suites for adapters of your own. Each package says in its first
lines what is in it.
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
