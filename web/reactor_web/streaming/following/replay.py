"""The frames of messages that are read from the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reactor.events.event import Message, Notice
from reactor.operators.select import matcher
from reactor.operators.throttle_latest import event_flushes, event_key
from reactor_web.dialects import Dialect
from reactor_web.http.query import StreamOptions


def encode_replay(messages: Sequence[Message], options: StreamOptions, dialect: Dialect) -> bytes:
    """The frames of those messages that ``options`` ask for, in a dialect that does not fold.

    Under a throttle without superseded progress.
    """
    matches = matcher(options.types, options.tasks)
    selected: Iterable[Message] = (message for message in messages if matches(message))
    if options.throttle is not None:
        selected = conflate(list(selected))
    step, notice = dialect.step, dialect.notice
    return b"".join(
        notice(None, message) if isinstance(message, Notice) else step(None, message) for message in selected
    )


def conflate(messages: Sequence[Message]) -> list[Message]:
    """Drops each progress event that the same task supersedes with a later one before it says anything else."""
    kept: list[Message] = []
    superseded: set[object] = set()
    for message in reversed(messages):
        key = event_key(message)
        if key is None:
            superseded.discard(event_flushes(message))
            kept.append(message)
        elif key not in superseded:
            superseded.add(key)
            kept.append(message)
    kept.reverse()
    return kept
