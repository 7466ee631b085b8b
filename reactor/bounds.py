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
