"""Types that no version writes yet. Their keys are fixed, so that whoever reads logs can prepare for them."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from reactor.events.vocabulary.run import ErrorData
from reactor.events.vocabulary.tables import reserved


@reserved("task.step")
class TaskStep(TypedDict):
    """A step of a body is done and recorded. A body that runs again gets its output, and the step does not run."""

    name: str
    k: int
    """Which step of this name it is."""
    output: NotRequired[Any]
    output_ref: NotRequired[str]
    error: NotRequired[ErrorData]
    duration_ms: float


@reserved("task.sleeping")
class TaskSleeping(TypedDict):
    """A body sleeps. After a restart it waits for the rest of the time."""

    k: int
    """Which sleep of the body it is."""
    until: str
