"""Reactor runs workflows as live, lossless streams.

The way of an event, which is also the way through the files:

    define      workflow, task, options, groups,      a validated DAG, frozen; policy: how it is supervised
                binding, graph, policy
                tools, document, spec, references     the same from a JSON document over registered functions
    run         actor, body, running, mapped          one observable a task: waits, runs, says what happens
                arguments, condition, cached, drafts
    speak       context, calls, forms -> line         what a body says and asks, from where it runs ...
                voice, sampling, mailbox              ... to its run
    execute     executors/                            the loop, threads, processes
    wire        slots, beginning, execution, host,    what starts when; one open run; how it ended
                summary
    control     control, stopwatch, ending            pause, cancel, input, time limits
                spending, ledger, children            budgets; child runs
    number      pipeline                              seq 1, 2, 3 ... by the run's single writer
    window      operators/buffer_window               the backpressure: one window commits while the next fills
    append      logs/                                 only what is in the log is ever seen by anybody
    publish     feed                                  the folded state, the ring, the hot subject of windows
    follow      follow                                a cursor: catch up from the log, then live
    compose     operators/                            select, throttle_latest, heartbeat, to_state ...
    deliver     run, runs, engine; the package web    handles, Observables, async iterators; SSE
    recover     recovery, origin, past, leftover      what a log says of an open run, and how it goes on or ends

``events`` and ``state`` are what flows and its ``fold``; ``ports`` what the outside must provide; ``bounds`` every
limit; ``errors`` every failure; ``testing`` the law suites for adapters of your own.
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
from reactor.events import Control, Event
from reactor.fold import evolve
from reactor.follow import off_loop
from reactor.policy import Budget, Cache, Limit, Retry
from reactor.run import Run
from reactor.spec import load_plan
from reactor.state import RunState, TaskState
from reactor.tools import Tool, tool
from reactor.workflow import Task, Workflow

__all__ = [
    "Backpressure",
    "Budget",
    "Cache",
    "Context",
    "ContextClosed",
    "Control",
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
