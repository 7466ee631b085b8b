"""Reads numbers from the JSON of events. An end is not decoded for one number: its output may have 32 KiB.

In JSON a text has its quotes escaped, so what looks like a key is one; and behind ``duration_ms`` of an end stand only
keys that the engine has written.
"""

from __future__ import annotations

from typing import Final

import orjson

_DURATION: Final = b'"duration_ms":'
_IS_CACHED: Final = b'"cached":true'


def task_seconds(json: bytes) -> float | None:
    """How long the last attempt of a task took, from ``task.completed`` or ``task.failed``; None if no body ran."""
    number, _, rest = json.rpartition(_DURATION)[2].partition(b",")
    if rest.startswith(_IS_CACHED):
        return None
    try:
        return float(number) / 1000
    except ValueError:  # not as the engine writes it
        return None


def spent(json: bytes) -> tuple[float, int]:
    """(cost, tokens) of ``task.spent``; of what a child run has spent nothing, since its own events say it."""
    data = orjson.loads(json)["data"]
    return (0.0, 0) if data["source"] == "child" else (float(data["cost"]), int(data["tokens"]))
