"""How much of a run has ended, 0 to 1: the mean over the tasks of its graph.

A mapped task counts the share of its children that have ended. A task that ends, and runs again after a restart, counts
from its first end on, so the progress never falls.

It is counted in units, which are whole numbers: their sum does not depend on the order.
"""

from __future__ import annotations

from typing import Final

WHOLE_TASK: Final = 1_000_000
"""The end of one task in units."""


def child_units(index: int, count: int) -> int:
    """What the end of child ``index`` of ``count`` adds. All children together add a whole task."""
    return (index + 1) * WHOLE_TASK // count - index * WHOLE_TASK // count


def millionths(units: int, tasks: int) -> int:
    """The progress of a run whose graph has this many tasks; rounded down, so that it is whole only at the end."""
    ended = units // tasks if tasks else 0
    return ended if ended < WHOLE_TASK else WHOLE_TASK


def fraction(units: int, tasks: int) -> float:
    """The progress from 0 to 1, with six decimals."""
    return millionths(units, tasks) / WHOLE_TASK
