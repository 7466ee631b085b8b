"""Idempotency keys of emitted events. Each stands in the envelope of its events, after the data, so it is in the log.

    {"seq": 7, …, "data": {…}, "idempotency_digest": "9f86d081884c7d65", "idempotency_key": "k-17"}

The digest is of everything that was emitted together under the key. Who emits it again, after a crash or a lost
answer, is told the seqs that the events have, and only those are appended that are not in the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import orjson

from reactor import bounds
from reactor.events.one_line import one_line

KEYED_END: Final = ord('"')
"""The last byte but one of an event with a key. One without ends with its data, an object. So it costs one look at one
byte to find nearly all that have none; one that somebody has encoded again, in another order, may end like this too.
"""

Emitted = tuple[str, str | None, bytes]
"""Type, task id and data of one event."""
Remembered = list[Any]
"""``[digest, [first seq, last seq], …]``: under one key. A second range is there where a crash came between."""


def digest_of(events: Iterable[Emitted]) -> str:
    """By this, events under one key are told from others."""
    digest = hashlib.sha256()
    for type, task_id, data in events:
        digest.update(orjson.dumps([type, task_id, len(data)]))
        digest.update(data)
    return digest.hexdigest()[:16]


def tail_of(key: str, digest: str) -> bytes:
    """The end of an envelope."""
    return one_line(b',"idempotency_digest":"%b","idempotency_key":%b' % (digest.encode(), orjson.dumps(key)))


def remember(remembered: dict[str, Remembered], body: dict[str, Any]) -> None:
    """Notes an event, if it has a key. Of more than ``bounds.RUN_ANSWERS`` keys the oldest are forgotten."""
    key, digest, seq = body.get("idempotency_key"), body.get("idempotency_digest"), body["seq"]
    if key is None or digest is None:
        return
    known = remembered.get(key)
    if known is None or known[0] != digest:
        remembered.pop(key, None)
        remembered[key] = [digest, [seq, seq]]
    elif known[-1][1] == seq - 1:
        known[-1][1] = seq
    else:
        known.append([seq, seq])
    if len(remembered) > bounds.RUN_ANSWERS:
        del remembered[next(iter(remembered))]


def seqs_of(known: Remembered) -> list[int]:
    """The seqs of the events under a key, in the order in which they were emitted."""
    return [seq for first, last in known[1:] for seq in range(first, last + 1)]
