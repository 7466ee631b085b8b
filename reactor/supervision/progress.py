"""How much of an open run has ended, as the ends of its tasks say it."""

from __future__ import annotations

from collections.abc import Collection

from reactor.events.progress import millionths


class Progress:
    """The count of one run. ``RunState.progress`` is the same number, for the events that are published.

    - ``counted``: tasks that have ended before a restart and run again. They do not count twice.
    - ``least``: what was shown, in millionths, before the graph had as many tasks.
    """

    __slots__ = ("_counted", "_least", "_tasks", "_units")

    def __init__(self, tasks: int, units: int = 0, counted: Collection[str] = (), least: int = 0) -> None:
        self._least = least
        self._tasks = tasks
        self._units = units
        self._counted = counted

    def add_end(self, task_id: str, units: int) -> int:
        """Counts the end of a task, which adds ``units`` (``events.progress``). Returns the progress in millionths."""
        if task_id not in self._counted:
            self._units += units
        reached = millionths(self._units, self._tasks)
        return reached if reached > self._least else self._least
