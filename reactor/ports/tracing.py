"""The port for what makes spans of runs. Without it nothing is made, and nothing is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from reactor.events.event import Window
from reactor.trace_context import TraceContext

T = TypeVar("T")


class TracerProvider(Protocol):
    """What an SDK has for whoever makes spans: a ``TracerProvider`` of OpenTelemetry."""

    def get_tracer(self, instrumenting_module_name: str, /) -> Any: ...


class RunTrace(Protocol):
    """The spans of one open run. Used on the loop only. Nothing of it raises."""

    @property
    def seq(self) -> int:
        """Of the last event that was told; spans that end up to there are made."""
        ...

    def begin(self, task_id: str, task: str, map_index: int | None, attempt: int) -> TraceContext:
        """An attempt begins: the place in the trace of what its body does."""
        ...

    def call(self, task_id: str, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function while the span of the task's attempt is the current one. Raises what the function raises."""
        ...

    def of(self, task_id: str) -> TraceContext:
        """The place of the task's last attempt; of the run, where there is none."""
        ...

    def committed(self, window: Window) -> None:
        """Its events are in the log, and nobody has seen them yet: makes the spans that end with them."""
        ...


class Tracing(Protocol):
    """What makes spans for the runs of one engine."""

    def run(self, tenant: str, run_id: str, workflow: str, given: TraceContext | None, history: Any = None) -> RunTrace:
        """The spans of a run that begins, or, with a ``tracing.history.History``, of one that goes on."""
        ...

    def current(self, given: TraceContext | None) -> TraceContext | None:
        """Where a run belongs that is started now: in the current span of whoever starts it, or where it was
        ``given``, if that is another trace."""
        ...
