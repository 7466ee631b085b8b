"""Every limit of the engine on one screen. Nothing here is a setting; settings have these as their edges."""

import re
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Sizes. Real SSE clients break on lines above 64 KiB, so an event stays well below that.
MAX_EVENT_BYTES: Final = 48 * KIB
MAX_INLINE_BYTES: Final = 32 * KIB
"""An output, a task list or the outputs of a run above this are stored beside the event and referenced."""
MAX_INPUT_PREVIEW_BYTES: Final = 4 * KIB
MAX_ERROR_CHARS: Final = 4_000
MAX_REASON_CHARS: Final = 200
MAX_META_BYTES: Final = 8 * KIB
PREVIEW_CHARS: Final = 500

# The window: the backpressure of a run.
WINDOW_EVENTS: Final = 1_000
WINDOW_BYTES: Final = 1 * MIB
CROWDED: Final = 2
"""An ``emit`` that nobody awaits raises once this many windows are waiting."""

# What stays in memory.
RING_EVENTS: Final = 2 * WINDOW_EVENTS
RING_BYTES: Final = 2 * MIB
MEMORY_LOG_EVENTS: Final = 100_000
MEMORY_LOG_BYTES: Final = 64 * MIB
MEMORY_LOG_ENDED_RUNS: Final = 1_000
READ_EVENTS: Final = 1_000
"""How many events one read of the log brings at most."""
READ_BYTES: Final = 256 * KIB
"""How many bytes of events, beyond the first one, a read brings at most, and a stream writes at once."""

# Tasks.
MAX_TASKS: Final = 1_000_000
THREADS: Final = 32
ABANDONED_THREADS: Final = 32
PROGRESS_PER_SECOND: Final = 20
SLOW_CALLBACK_SECONDS: Final = 0.1

# Supervision.
MAX_SECONDS: Final = 365 * 86_400.0
"""Of a delay, a timeout, a time to live."""
MAX_COST: Final = 1_000_000_000
MAX_TOKENS: Final = 1_000_000_000_000
"""Of one ``spend``, and of a budget."""
LIMIT_AMOUNT: Final = 100_000
"""Starts a rate limit remembers at most."""
TIMEOUT_GRACE_SECONDS: Final = 1.0
"""What a body gets to stop after its timeout, before it is killed or abandoned."""
BLOCKED_LOOP_SECONDS: Final = 0.1
"""A body that holds the event loop longer is named."""
MAILBOX: Final = 100
"""Values that wait for a task to receive them."""
WAITING_THREADS: Final = 1_000
"""Bodies in threads that may wait for an answer at once; while they wait they are not counted as running."""
WAITING_PROCESSES: Final = 64
"""The same in processes."""
CHUNKS_PER_SECOND: Final = 20
CHUNK_BYTES: Final = 16 * KIB
"""Text of one attempt is joined until it has this size, or a twentieth of a second has passed."""
CACHED_OUTPUTS: Final = 10_000
CACHED_BYTES: Final = 64 * MIB
"""Outputs a memory log keeps for ``cache=``."""
CHILD_DEPTH: Final = 10
"""Child runs within child runs."""

CRASH_LOOP: Final = 50
"""A run recovered this often in a row without a task completing fails."""

APPEND_TIMEOUT_SECONDS: Final = 10.0
"""A log that takes longer for one window counts as lost."""

AWAITED_RUNS: Final = 1_000
"""Streams that may wait for runs which have not started."""

# Stopping.
CANCEL_GRACE_SECONDS: Final = 10.0
DRAIN_GRACE_SECONDS: Final = 2.0

RECENT_RUNS: Final = 32
"""Ended runs whose state is kept at hand."""

BEHIND_SECONDS: Final = 10.0
"""What subscribers that still read get at the end of an engine."""

# Names.
RUN_ID: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,64}")
"""``.`` and ``..`` are parts of a path that clients take away."""
TASK_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.~-]{0,63}")
WORKFLOW_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,63}")
EVENT_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
EVENT_TYPE_CHARS: Final = 64
RESERVED_EVENT_PREFIXES: Final = ("run.", "task.", "stream.", "log.", "llm.", "tool.", "budget.")

# A DAG as data.
PLAN_BYTES: Final = 1 * MIB
PLAN_VALUES: Final = 100_000
"""Of any kind: what a document costs is counted in values, not in bytes."""
PLAN_TASKS: Final = 1_000
PLAN_DEPTH: Final = 32
"""Of lists and objects in one document."""
PLAN_ATTEMPTS: Final = 1_000
"""Of one task; a body of one's own has no such limit."""
PLAN_PROBLEMS: Final = 20
"""What is told of one document at most."""
REFERENCE_CHARS: Final = 500
PLAN_TASK_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_~-]{0,63}")
"""A task name without dots: in a reference a dot ends the id."""
TOOL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
