"""Reactor runs workflows as live, lossless streams.

The way of an event, which is also the way through the files:

    define      workflow, task, binding, graph        a validated DAG, frozen
    run         actor, body, mapped, context, drafts  one observable a task: waits, runs, says what happens
    wire        slots, execution, summary             what starts when; one open run; how it ended
    number      pipeline                              seq 1, 2, 3 ... by the run's single writer
    window      operators/buffer_window               the backpressure: one window commits while the next fills
    append      logs/                                 only what is in the log is ever seen by anybody
    publish     feed                                  the folded state, the ring, the hot subject of windows
    follow      follow                                a cursor: catch up from the log, then live
    compose     operators/                            select, throttle_latest, heartbeat, to_state ...
    deliver     run, engine; the package web          handles, Observables, async iterators; SSE
    recover     recovery, past, leftover              what a log says of an open run, and how it goes on or ends

``events`` and ``state`` are what flows and its fold; ``ports`` what the outside must provide; ``bounds`` every limit;
``errors`` every failure; ``testing`` the law suites for adapters of your own.
"""

from reactor.context import Context
from reactor.engine import Engine
from reactor.errors import (
    Backpressure,
    ContextClosed,
    EngineClosed,
    EventTooLarge,
    InputError,
    InvalidEvent,
    LogLost,
    ReactorError,
    RunCancelled,
    RunEnded,
    RunExists,
    RunFailed,
    SlowSubscriber,
    UnknownRun,
    UnknownTask,
    UnknownWorkflow,
    WorkflowError,
)
from reactor.events import Control, Event
from reactor.follow import off_loop
from reactor.run import Run
from reactor.state import RunState, TaskState, evolve
from reactor.workflow import Task, Workflow

__all__ = [
    "Backpressure",
    "Context",
    "ContextClosed",
    "Control",
    "Engine",
    "EngineClosed",
    "Event",
    "EventTooLarge",
    "InputError",
    "InvalidEvent",
    "LogLost",
    "ReactorError",
    "Run",
    "RunCancelled",
    "RunEnded",
    "RunExists",
    "RunFailed",
    "RunState",
    "SlowSubscriber",
    "Task",
    "TaskState",
    "UnknownRun",
    "UnknownTask",
    "UnknownWorkflow",
    "Workflow",
    "WorkflowError",
    "evolve",
    "off_loop",
]
