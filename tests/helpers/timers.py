"""Operators that hold a timer: how many timers still ring, and the ways in which a subscription ends."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex.abc import DisposableBase
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

ENDS = pytest.mark.parametrize("end", ["completed", "error", "dispose"])


def end_it(end: str, source: Subject[Any], subscription: DisposableBase) -> None:
    """Ends a subscription to a source in one of the ways of ``ENDS``."""
    if end == "completed":
        source.on_completed()
    elif end == "error":
        source.on_error(RuntimeError())
    else:
        subscription.dispose()


def armed(scheduler: TestScheduler) -> int:
    """Timers that would still ring: the library has no public way to count them."""
    return sum(not item.is_cancelled() for item, _ in scheduler._queue.items)
