"""The limits that users meet: each with its unit, and what happens beyond it. Few are the default of a setting."""

import re
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- sizes ------------------------------------------------------------------------------------------------------

MAX_EVENT_BYTES: Final = 48 * KIB
"""JSON of one event; a larger one raises EventTooLarge. Real SSE clients break on lines above 64 KiB."""
MAX_INLINE_BYTES: Final = 32 * KIB
"""JSON of an output, or of a run's outputs; of a run's input, plan and tasks together. What is larger is stored beside
the event, which refers to it.
A larger value for ``run.send`` raises EventTooLarge."""
MAX_INPUT_PREVIEW_BYTES: Final = 4 * KIB
"""JSON of a task's arguments in ``task.started``, or of a tool call's; beyond it, only a preview is shown."""
MAX_ERROR_CHARS: Final = 4_000
"""An error message or traceback in an event; the rest is cut off."""
MAX_REASON_CHARS: Final = 200
"""The reason of a command, and a key; a longer one raises ValueError."""
COMMAND_SECONDS: Final = 10.0
"""How long a command waits for the node that executes its run; then Unanswered is raised."""
COMMANDS_OF_RUN: Final = 1_000
"""Commands from other nodes that wait for one run; a further one raises LogUnavailable."""
MAX_META_BYTES: Final = 8 * KIB
"""JSON of the meta of a run; beyond it, ValueError."""
PREVIEW_CHARS: Final = 500
"""A preview of a value; the rest is cut off."""

# --- the window: the backpressure of a run ------------------------------------------------------------------------

WINDOW_EVENTS: Final = 1_000
"""Events in one window, by default. Once as many are waiting, ``emit`` waits and no task starts."""
MAX_WINDOW_EVENTS: Final = 10_000
"""The most that ``Engine(window=…)`` can be, since no more go into ``WINDOW_BYTES``; beyond it, ValueError."""
WINDOW_BYTES: Final = 1 * MIB
"""Bytes in one window, with the same effect as ``WINDOW_EVENTS``."""
CROWDED: Final = 2
"""Windows; once so many are waiting, an ``emit`` that is not awaited raises Backpressure."""

# --- memory -----------------------------------------------------------------------------------------------------

RING_EVENTS: Final = 2 * WINDOW_EVENTS
"""Latest events of a followed run kept in memory; subscribers further behind read the log."""
RING_BYTES: Final = 2 * MIB
"""Bytes of the latest events, with the same effect as ``RING_EVENTS``."""
MEMORY_LOG_EVENTS: Final = 100_000
"""Events of one run in a memory log; beyond it, the oldest are trimmed."""
MEMORY_LOG_BYTES: Final = 64 * MIB
"""Bytes of one run in a memory log; beyond it, the oldest events are trimmed."""
MEMORY_LOG_ENDED_RUNS: Final = 1_000
"""Ended runs in a memory log that no other run has started, and as many ended child runs; beyond it, the oldest are
deleted."""
REMOVED_RUNS: Final = 10_000
"""How many deleted runs a log remembers, to tell readers of all runs that something is gone."""
READ_EVENTS: Final = 1_000
"""Events that one read of a log returns; the reader asks again for more."""
PIECE_EVENTS: Final = 100
"""Events that a reader is given at once of what was read: in between, others may have their turn."""
READ_BYTES: Final = 256 * KIB
"""Bytes that one read returns beyond its first event, and that a stream writes at once."""
TENANTS: Final = 1_000
"""Tenants for whom nothing goes on, and that are kept ready all the same."""
RECENT_RUNS: Final = 32
"""Ended runs whose state stays in memory; the state of older ones is folded from the log again."""
ENDED_GRAPHS: Final = 1_000
"""Ended runs that can be retried although their workflow is not registered, as long as the program still has it."""

# --- tasks ------------------------------------------------------------------------------------------------------

MAX_TASKS: Final = 1_000_000
"""Tasks of one workflow; beyond it, WorkflowError."""
THREADS: Final = 32
"""Bodies that run in threads at once, in one engine; further ones wait."""
ABANDONED_THREADS: Final = 32
"""Threads of cancelled or late bodies that do not stop; from here on, bodies that need a thread wait until some end."""
IDLE_THREADS: Final = 4
"""Threads of bodies that are kept although no body needs them."""
IDLE_THREAD_SECONDS: Final = 30.0
"""Time after which other threads that no body has needed end; it may take twice as long."""
PROGRESS_PER_SECOND: Final = 20
"""Progress events of one attempt a second; of those between, only the latest is recorded."""
CHUNKS_PER_SECOND: Final = 20
"""Chunk events of one attempt a second; text in between is joined."""
CHUNK_BYTES: Final = 16 * KIB
"""Joined text of one attempt; it is emitted once it has this size."""
SLOW_CALLBACK_SECONDS: Final = 0.1
"""Time a subscriber may hold the event loop; the second time beyond it, the subscriber is detached."""
BLOCKED_LOOP_SECONDS: Final = 0.1
"""Time a body may hold the event loop; beyond it, a warning in the logs names the body."""

TURN_SECONDS: Final = 0.003
"""Time that bodies which wait for nothing may run on at the calls of their Context; then others on the loop run."""

# --- supervision ------------------------------------------------------------------------------------------------

MAX_SECONDS: Final = 365 * 86_400.0
"""Seconds of a delay, a timeout or a time to live; beyond it, ValueError or WorkflowError."""
MAX_COST: Final = 1_000_000_000
"""The cost of one ``spend``, and of a budget; beyond it, ValueError."""
MAX_TOKENS: Final = 1_000_000_000_000
"""The tokens of one ``spend``, and of a budget; beyond it, ValueError."""
LIMIT_AMOUNT: Final = 100_000
"""The ``amount`` of a Limit, since a rate remembers that many starts; beyond it, ValueError."""
MAX_LIMITS: Final = 10_000
"""Named limits of one engine, also those that its workflows define; beyond it, WorkflowError."""
TIMEOUT_GRACE_SECONDS: Final = 1.0
"""Time a body has to stop after its timeout; then it is killed or abandoned."""
MAILBOX: Final = 100
"""Values that wait for one task to receive them; beyond it, ``run.send`` raises MailboxFull."""
WAITING_THREADS: Final = 1_000
"""Bodies in threads that wait for an answer at once. They do not count as running; beyond it, ThreadsExhausted."""
WAITING_PROCESSES: Final = 64
"""Bodies in processes that wait for an answer at once. They do not count as running; beyond it, ThreadsExhausted."""
CACHED_OUTPUTS: Final = 10_000
"""Outputs that a log keeps for ``cache=``; beyond it, the oldest are dropped."""
CACHED_BYTES: Final = 64 * MIB
"""Bytes of outputs that a memory log keeps for ``cache=``; beyond it, the oldest are dropped."""
CHECKPOINT_EVENTS: Final = 10_000
"""Events between two kept states of a run, or four times its tasks if that is more."""
CHECKPOINTS: Final = 4
"""Kept states of one run; beyond it, the oldest are dropped."""
ANSWERS: Final = 10_000
"""Answers to requests with an idempotency key; beyond it, the oldest are dropped."""
RUN_ANSWERS: Final = 1_000
"""Answers to such requests about one run, and keys of ``run.emit``; beyond it, the oldest are dropped."""
CHILD_DEPTH: Final = 10
"""Levels of child runs within child runs; beyond it, TooDeep."""
CRASH_LOOP: Final = 50
"""Times in a row that a process is killed while a body runs and says nothing; then the run of that body fails."""
APPEND_TIMEOUT_SECONDS: Final = 10.0
"""Time a log has to commit one window; beyond it, the log counts as lost."""
UPGRADE_SECONDS: Final = 60.0
"""Time an open run is left to nodes that have its graph; then it goes on in a later one, on a node that has that."""
LOG_PROBE_SECONDS: Final = 1.0
"""How often a log that has failed is asked whether it can be written again."""
LOG_PROBE_BYTES: Final = 128 * KIB
"""How much is written for that."""
LOG_LOOK_SECONDS: Final = 1.0
"""How often a log that nothing is written to looks whether its file is still there."""
RETAKE_FIRST_SECONDS: Final = 0.5
"""Pause before a run that was lost, because its log failed, is taken up again; each further loss doubles it."""
RETAKE_MOST_SECONDS: Final = 30.0
"""The longest of these pauses."""
TREE_RUNS: Final = 1_000
"""Child runs that ``engine.tree`` and ``GET /runs/{id}`` list, open ones first; ``GET /runs?root=`` has all."""
CHILD_WAIT_SECONDS: Final = 5.0
"""Time a child run has, after a restart, to be asked for by its parent before an answer to it is refused."""
AWAITED_RUNS: Final = 1_000
"""Streams that wait for runs which have not started; beyond it, TooManyWaiting."""
RUNS_AT_ONCE: Final = 100
"""Runs that one reader of the events of all runs may name; beyond it, ValueError. Their ids fit into a URL of 8 KiB."""
EMITTED_AT_ONCE: Final = 1_000
"""Events of one ``run.emit_all``, or one ``POST /runs/{id}/events``; beyond it, InvalidEvent."""

# --- stopping ---------------------------------------------------------------------------------------------------

CANCEL_GRACE_SECONDS: Final = 10.0
"""Time bodies have to stop after a cancel, by default; then they are killed or abandoned."""
SERVICE_STOP_SECONDS: Final = 10.0
"""What a service gets to stop. After that the engine drains without it."""
DRAIN_GRACE_SECONDS: Final = 2.0
"""Time runs and their bodies have to stop when an engine closes, by default."""
LAST_CANCEL_SECONDS: Final = 1.0
"""Time that bodies which are left at the end of their loop have to answer a last cancel."""
BEHIND_SECONDS: Final = 10.0
"""Time subscribers that still read have to catch up when an engine closes; then they are cut off."""

# --- who may ask: what a store of keys or tickets holds ------------------------------------------------------------

KEYS: Final = 10_000
MAX_TICKETS: Final = 100_000
MAX_TICKETS_OF_ONE: Final = 20_000
"""Of one principal."""

# --- names ------------------------------------------------------------------------------------------------------

RUN_ID: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,64}")
"""``.`` and ``..`` are excluded, because HTTP clients remove them from a path."""
TENANT: Final = re.compile(r"[A-Za-z0-9._~@:-]{1,64}")
"""The name of a tenant other than the default one, which is empty."""
SCHEDULE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""No dot: the ids of child runs have one, so none looks like the run of a schedule."""
SCHEDULE_RUN_ID: Final = re.compile(SCHEDULE_NAME.pattern + r"~[0-9]{8}T[0-9]{6}([.][0-9]{6})?Z")
"""The ids of the runs that schedules start, and nobody else."""
SCHEDULE_PENDING: Final = 100
"""Times of one schedule that wait to start a run."""
SCHEDULES: Final = 1_000
"""Schedules of all tenants of one log."""
TENANT_SCHEDULES: Final = 200
"""Those of one tenant that has a name."""
SCHEDULE_INPUT_BYTES: Final = 16 * KIB
"""Of the input of one schedule, as JSON: all schedules are read at once."""
SCHEDULE_LOOK_SECONDS: Final = 30.0
"""How often an engine looks at the schedules, at least: another may have changed them."""
SCHEDULE_LATE_SECONDS: Final = 60.0
"""A time that is dealt with later than this was missed."""
TASK_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.~-]{0,63}")
WORKFLOW_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,63}")
EVENT_TYPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*([.:-][A-Za-z0-9_]+)*")
"""Those of the engine are dotted lower case; applications have vocabularies of their own."""
EVENT_TYPE_CHARS: Final = 64
RESERVED_EVENT_PREFIXES: Final = ("run.", "task.", "child.", "stream.", "log.", "llm.", "tool.", "budget.")
"""Beginnings of event types that only the engine writes; ``ctx.emit`` and ``run.emit`` of one raise InvalidEvent."""

# --- plans: beyond any of these, PlanError ------------------------------------------------------------------------

PLAN_BYTES: Final = 1 * MIB
PLAN_VALUES: Final = 100_000
"""JSON values of any kind in one document, since the cost of a document is in their number, not in its bytes."""
PLAN_TASKS: Final = 1_000
PLAN_DEPTH: Final = 32
"""Levels of lists and objects in one document."""
PLAN_ATTEMPTS: Final = 1_000
"""Attempts of one task. A task that is written in Python has no such limit."""
PLAN_PROBLEMS: Final = 20
"""Problems that are reported of one document; the rest is left out."""
REFERENCE_CHARS: Final = 500
PLAN_TASK_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_~-]{0,63}")
"""A task name without dots, because in a reference a dot ends the id."""
TOOL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
