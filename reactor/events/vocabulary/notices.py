"""Messages that exist on streams only. They have no seq and are in no log."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from reactor.events.vocabulary.tables import notice


@notice("run.state")
class RunStateShown(TypedDict):
    """The state of the run, folded from all events up to ``seq``: the fields of ``RunState`` that are not None.

    A large state comes as consecutive messages, each of which is laid onto those before (``events.parts``); only the
    last has an id.
    """

    seq: int
    status: str
    progress: float
    tasks: dict[str, Any]
    """Task id -> the fields of ``TaskState`` that are not None."""
    part: NotRequired[int]
    """From 1, if there are several."""
    parts: NotRequired[int]


_From = TypedDict("_From", {"from": int})
"""``from`` is a word of Python, so a class body cannot have it."""


@notice("stream.gap")
class StreamGap(_From):
    """Events ``from`` to ``to`` are missing."""

    to: int
    reason: Literal["trimmed", "ahead", "deleted", "forgotten", "rewound"]
    """``trimmed``: the log no longer has them. ``ahead``: the cursor was beyond the last event.
    ``deleted``: of all runs, this run was deleted. ``forgotten``: of all runs, nobody knows any more which runs were
    deleted between these positions. ``rewound``: a
    log that several processes share has lost what was at the cursor, and others have its place: all events follow."""
    epoch: NotRequired[str]
    """Of ``rewound`` in one run: whoever sends it behind its cursors, as ``12~epoch``, is not told again."""


@notice("stream.end")
class StreamEnd(TypedDict):
    """The run has ended, and its last event was sent before."""

    status: Literal["completed", "failed", "cancelled"]


@notice("stream.closing")
class StreamClosing(TypedDict):
    """The server closes the stream, though the run has not ended. Clients come back."""

    reason: str
    """``shutdown``, ``log`` (the log failed; the run goes on when it answers), ``not_recovered`` or ``not_found``.
    ``limit``: a cap refuses the stream, and ``code`` says which. ``moved`` and ``auth`` are not written yet."""
    retry_ms: int
    """When to come back."""
    code: NotRequired[str]
    """Of ``limit``: why, as in ``docs/problems.md``."""
