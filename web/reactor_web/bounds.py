"""The limits of serving that users meet, as ``reactor.bounds`` has those of the engine. None of them is a setting."""

from typing import Final

from reactor.bounds import KIB, MIB

# What a request may ask for.
HEARTBEAT_RANGE: Final = (1.0, 3_600.0)
"""Seconds of silence before a heartbeat."""
DEFAULT_HEARTBEAT_SECONDS: Final = 15.0
THROTTLE_RANGE: Final = (10.0, 60_000.0)
"""Milliseconds between two progress events of one task."""
MAX_EVENTS_BACK: Final = 10_000
"""How many events ``tail``, and how many log lines ``logs``, may ask for."""
MAX_WAIT_SECONDS: Final = 300.0
"""The longest ``Prefer: wait`` and ``await_run``."""
MAX_PAGE: Final = 1_000
"""Runs in one page of ``GET /runs``."""
DEFAULT_PAGE: Final = 100
MAX_QUESTIONS: Final = 200
"""Questions in one page of ``GET /questions``: each has its JSON Schema, which may be as large as an event."""
BODY_SECONDS: Final = 30.0
"""How long the body of a request may take to come."""
BYTES_PER_VALUE: Final = 25
"""A body may have one JSON value for each so many bytes that it may have: 41,943 at 1 MiB; a list or object counts as
two more. Beyond it, 413."""
MAX_GRACE_SECONDS: Final = 3_600
"""The longest ``grace`` of a cancel."""

# What a channel keeps.
CHANNEL_FRAMES: Final = 2_000
CHANNEL_BYTES: Final = 1 * MIB
UNSHARED_CHANNEL_BYTES: Final = 64 * KIB
"""For a channel beyond ``MAX_SHARED_CHANNELS``, which has one client: it reads the log as soon as it is behind."""
SHARED_REPLAY_BYTES: Final = 4 * MIB
"""Of the parts of logs that were made into frames in the last second, for other clients that read the same."""
MAX_SHARED_CHANNELS: Final = 64
"""Shared channels of one run."""
KEPT_STATE_EVENTS: Final = 1_000
KEPT_STATE_BYTES: Final = 16 * MIB
"""Every so many events a copy of what a dialect remembers of a run is kept, for clients that come back."""
LARGEST_KEPT_STATE: Final = 256 * KIB
"""Above it no more copies of a run are kept: making one, and reading one, holds the loop for 30 ms a megabyte."""
MAX_SAID: Final = 1_000
"""Of an application that names its own agents, tasks, calls or texts in the words of a dialect: how many the dialect
remembers of one run. The oldest go first."""
OBSERVABLE_ITEMS: Final = 10_000
OBSERVABLE_BYTES: Final = 1 * MIB
"""What is kept of an Observable that is no run until its one client reads it; beyond it the client is cut off."""
STATE_PART_BYTES: Final = 32 * KIB
"""Of what is only in one part of ``run.state``."""
STATE_HEAD_BYTES: Final = 512
"""Of a member of the state that each part has, of which there are some twenty: with them the part stays below the
48 KiB of an event."""

# How much of the loop writing to clients may take.
FAN_OUT_SLICE_SECONDS: Final = 0.002
"""For so long it works at once, whatever the number of clients."""
FAN_OUT_PAUSE_SECONDS: Final = 0.01
"""The longest pause after it, in which runs and requests have the loop."""

# What clients are told, and how long they are waited for.
RETRY_MS: Final = 2_000
"""How long a client should wait before it reconnects."""
SEND_TIMEOUT_SECONDS: Final = 30.0
"""A client that takes longer to read one write is stalled: its connection is aborted, and it resumes by its cursor."""
UNREAD_BYTES: Final = 256 * MIB
"""Of all large answers that clients have not read yet. One that is more is refused with 503, unless it is alone."""
ARRIVING_BYTES: Final = 256 * MIB
"""Of all large bodies that clients are sending. One that is more is refused with 503, unless it is alone."""
PATIENT_SECONDS: Final = 2.0
SLOW_BYTES: Final = 64 * KIB
"""Where these are too many, a client that has read nothing for so long, or less than this a second since it asked, is
cut off before somebody else is refused; so is one that has sent less."""
CHECK_SECONDS: Final = 0.5
"""How often all connections are checked for stalled clients and for clients that have gone."""
CLOSING_SECONDS: Final = 1.5
"""How long a client may take to read ``stream.closing``."""

# What an agent of AG-UI takes and shows. Every frame stays below the 48 KiB of an event.
AGENT_ID_CHARS: Final = 256
"""Of ``threadId`` and ``runId``."""
AGENT_ANSWERS: Final = 1_000
"""Answers in one ``resume``."""
AGENT_TASKS_BYTES: Final = 20 * KIB
"""Of the tasks that are listed in the shared state."""
AGENT_STATE_BYTES: Final = 8 * KIB
"""Of the application's part of the shared state."""
AGENT_SENT_STATE_BYTES: Final = 4 * KIB
"""Of the state that a request brings: it stands in the meta of the run."""
AGENT_INTERRUPTS_BYTES: Final = 36 * KIB
"""Of the interrupts of one end; further ones follow when these are answered."""

# JWTs, and the keys that they are checked with.
MAX_TOKEN_BYTES: Final = 8 * KIB
MAX_TOKEN_NAME_CHARS: Final = 256
"""Of ``sub``, of a tenant, of a pattern and of the name of a key (``kid``)."""
MAX_TOKEN_PATTERNS: Final = 100
"""Of run ids, and of names of workflows."""
MAX_LEEWAY_SECONDS: Final = 300.0
KNOWN_TOKENS: Final = 1_000
KNOWN_TOKEN_SECONDS: Final = 60.0
"""How many tokens are not checked again, and for how long. Other keys end that at once."""
MAX_JWKS_BYTES: Final = 1 * MIB
MAX_JWKS_KEYS: Final = 100
JWKS_LOOK_SECONDS: Final = 1.0
"""How often a file is asked whether it has changed."""
JWKS_FETCH_SECONDS: Final = 5.0
"""How long a URL may take to answer."""
JWKS_REFRESH_SECONDS: Final = 600.0
"""Older keys are fetched again while requests go on with them."""
JWKS_UNKNOWN_SECONDS: Final = 60.0
"""How often a name of a key that is not in the set is a reason to fetch: anybody can make such names up."""
JWKS_RETRY_SECONDS: Final = 60.0
"""After a failure, as long as there are keys."""
JWKS_FIRST_RETRY_SECONDS: Final = 5.0
"""After a failure, while there are none and nobody is let in."""
JWKS_LAST_GOOD_SECONDS: Final = 24 * 3_600.0
"""How long keys are used whose source does not answer any more."""

# One page of events (``Accept: application/json``).
DEFAULT_EVENTS: Final = 1_000
MAX_EVENTS: Final = 10_000
PAGE_BYTES: Final = 1 * MIB
"""Of events; the first one is always in the page."""
PAGE_READS: Final = 100_000
"""Events that are read for one page. Where filters pass none of them, the page is empty and its cursor behind them."""

# One WebSocket.
SOCKET_MESSAGE_BYTES: Final = 256 * KIB
"""Of one message that a client sends; a larger one closes the connection with 1009."""
SOCKET_COMMANDS: Final = 16
"""Commands of one connection that are carried out at the same time; one more is answered with 429."""

# Keys: what a key file may hold.
KEY_FILE_BYTES: Final = 16 * MIB
KEY_NAME_CHARS: Final = 100
"""Of the name of a key, and of the tenant it is for."""
KEY_PATTERNS: Final = 100
"""Patterns of run ids, or of workflow names, that one key has."""
KEY_FILE_SECONDS: Final = 1.0
"""How often a server looks whether its key file has changed."""
KEY_LOCK_SECONDS: Final = 10.0
"""How long one who changes a key file waits for another who does."""

# Who may ask, and how much.
CAP_ENTRIES: Final = 100_000
"""Pairs of a cap and who it is about that are counted in memory."""
