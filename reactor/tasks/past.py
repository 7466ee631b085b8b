"""What the log says of a run that goes on after a restart, as its actors need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reactor.events.state import TaskState
from reactor.supervision.ending import Ending
from reactor.supervision.ledger import Ledger
from reactor.tasks.mailbox import Letter, Question
from reactor.tasks.outputs import Output
from reactor.tracing.history import History


class Past(NamedTuple):
    """The past of a run, as its actors need it.

    ``runs_again``: completed tasks and children whose output cannot be handed on, though an unfinished task needs it.
    """

    tasks: Mapping[str, TaskState]
    outputs: Mapping[str, Output]
    runs_again: frozenset[str]
    graph_tasks: int
    ended_units: int
    """The progress of the run, as ``RunState`` has it."""
    least_progress: int
    """Below which it does not fall, in millionths."""
    total_tasks: int
    started_bodies: int
    task_time_ms: float
    elapsed_ms: float
    """Since it started, the downtimes left out."""
    active_ms: float
    """The same, the pauses left out too: what counts for its time limits."""
    downtime_ms: float
    """Since its last event."""
    ending: Ending | None
    is_paused: bool
    owes_pause: bool
    """Its budget was exceeded and pauses; the crash came before it did."""
    cancelling: Mapping[str, str]
    """Tasks that were asked to stop by themselves -> why."""
    retry_seconds: Mapping[str, float]
    """What is left of the delays of tasks that were ``retrying``."""
    mailboxes: Mapping[str, tuple[list[Question], list[Letter]]]
    """What tasks that run, or run again, have asked, and what they were sent."""
    ledger: Ledger
    silent_ms: float = 0.0
    """Of a session that is closed when it is idle: since something was said in it."""
    crashed: bool = False
    """Its process was killed, or may have been: it did not stop cleanly."""
    is_stuck: bool = False
    """It was killed before, and no task has completed since."""
    trace: History | None = None
    """For its spans; None where nobody makes any."""
