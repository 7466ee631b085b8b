"""What a client gets of messages read from the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reactor.events.event import Message
from reactor.operators.select import matcher
from reactor.operators.throttle_latest import event_flushes, event_key
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.compose import framed


def encode_replay(messages: Sequence[Message], options: StreamOptions) -> bytes:
    """What a client gets of messages read from the log: filtered; under a throttle, superseded progress left out."""
    matches = matcher(options.types, options.tasks)
    selected: Iterable[Message] = (message for message in messages if matches(message))
    if options.throttle is not None:
        selected = conflate(list(selected))
    return b"".join(framed(message)[1] for message in selected)


def conflate(messages: Sequence[Message]) -> list[Message]:
    """Drops progress that later progress of the same task follows, before anything else of that task does."""
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
