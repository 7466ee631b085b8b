"""What a run begins with, as ``run.started`` records it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reactor.definition.policy import Budget
from reactor.runs.parent import Parent
from reactor.trace_context import TraceContext


class Beginning(NamedTuple):
    """What a run begins with, as ``run.started`` records it."""

    inputs: dict[str, Any]
    meta: Mapping[str, Any]
    budget: Budget | None = None
    parent: Parent | None = None
    retry_of: str | None = None
    """The id of the run that this one retries."""
    session: bool = False
    """It has no tasks, and its events come from outside."""
    idle: float | None = None
    """Seconds without an event after which a session is closed."""
    by: str | None = None
    """Who started it, if known."""
    tenant: str = ""
    """Whose run it is."""
    given_digest: str | None = None
    """Of the input before it was validated, where validating it again may give another one."""
    trace: TraceContext | None = None
    """Where in a trace it belongs, if whoever started it said so."""

    @property
    def origin(self) -> dict[str, Any]:
        """What ``run.started`` says beside inputs and graph: budget, parent, author, tenant, … those there are."""
        origin: dict[str, Any] = {}
        if self.budget is not None:
            origin["budget"] = self.budget.to_dict()
        if self.parent is not None:
            origin["parent"] = self.parent.data
        if self.retry_of is not None:
            origin["retry_of"] = self.retry_of
        if self.session:
            origin["session"] = True
        if self.idle is not None:
            origin["idle"] = self.idle
        if self.by is not None:
            origin["by"] = self.by
        if self.tenant:
            origin["tenant"] = self.tenant
        if self.given_digest is not None:
            origin["given_digest"] = self.given_digest
        if self.trace is not None:
            origin["traceparent"] = self.trace.traceparent
            if self.trace.tracestate:
                origin["tracestate"] = self.trace.tracestate
        return origin
