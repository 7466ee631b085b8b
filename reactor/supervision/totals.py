"""What a run counts while it is open: its tasks, the bodies that started, the time they took."""

from __future__ import annotations


class Totals:
    """The counts of one run. Its terminal event and its ``task.started`` events show them."""

    __slots__ = ("started_bodies", "task_time_ms", "tasks")

    def __init__(self, tasks: int, started_bodies: int = 0, task_time_ms: float = 0.0) -> None:
        self.tasks = tasks
        """Tasks that run a body: unmapped ones, and the children of maps that have fanned out."""
        self.started_bodies = started_bodies
        self.task_time_ms = task_time_ms
        """The sum over all attempts, in milliseconds."""

    def next_index(self) -> int:
        """The number of the next start in the run, from 0."""
        index = self.started_bodies
        self.started_bodies += 1
        return index
