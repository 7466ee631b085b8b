"""What the Context of one attempt shows of its run."""

from __future__ import annotations

from types import MappingProxyType

from reactor.events.state import own_copy
from reactor.ports.attempt import Attempt, Upstream
from reactor.tasks.scope import Body, Ended


def attempt_of(body: Body, traceparent: str | None = None) -> Attempt:
    """The attempt that runs; before the first one starts (in a condition), the attempt that will.

    ``traceparent``: its place in a trace.
    """
    scope = body.scope
    return Attempt(
        run_id=scope.run_id,
        task_id=body.task_id,
        attempt=body.attempt + (body.status == "pending"),
        map_index=body.map_index,
        input=dict(scope.inputs),
        meta=own_copy({**scope.meta, **body.node.task.meta}),
        upstreams=MappingProxyType({name: _upstream(task) for name, task in body.seen_upstreams.items()}),
        resources=scope.resources,
        traceparent=traceparent,
        has_spans=scope.trace is not None,
    )


def _upstream(task: Ended) -> Upstream:
    completed = task.status == "completed"
    return Upstream(task.status, task.output if completed else None, own_copy(task.error), task.reason, task.because)
