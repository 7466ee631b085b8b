"""The events that the baselines send: like those of a run, with the same members and about 150 bytes of JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

END: Final = b'{"type":"stream.end","run_id":"bench","data":{"status":"completed"}}'
RUN_ID: Final = "bench"


def message(seq: int, type: str = "step.made") -> bytes:
    """The JSON of one event, with the current time."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
    return (
        b'{"seq":%d,"run_id":"bench","type":"%b","time":"%b","task_id":"speak","task":"speak","attempt":1,'
        b'"data":{"index":%d}}' % (seq, type.encode(), now, seq)
    )


def frame(seq: int) -> bytes:
    """One event as a server-sent event."""
    return b"id: %d\nevent: step.made\ndata: %b\n\n" % (seq, message(seq))
