"""The slots and rates that bodies of one run take before they start."""

from __future__ import annotations

from collections.abc import Callable

from reactor.definition.graph import Graph, Node
from reactor.ports.sharing import Slots, Starts
from reactor.runs.host import Host
from reactor.supervision.slots import Claim, LocalSlots
from reactor.tasks.scope import Body


class Limits:
    """What of the engine's limits holds for this run, looked up once a task."""

    def __init__(self, run_id: str, host: Host, graph: Graph) -> None:
        self._run_id = run_id
        self._host = host
        self._graph = graph
        self._is_limited = graph.concurrency is not None or host.is_limited
        self._by_task: dict[str, tuple[tuple[Slots, ...], tuple[Starts, ...]]] = {}

    def claim_for(self, node: Node, again: Callable[[], None], *, starts: bool) -> Claim | None:
        """What a body of this task has to take; None for nothing. ``starts``: count it in the rates too."""
        if not self._is_limited and not node.is_limited:
            return None
        limits = self._by_task.get(node.name)
        if limits is None:
            own = None if node.task.concurrency is None else LocalSlots(node.task.concurrency)
            limits = self._by_task[node.name] = self._host.limits_of(self._graph, node, own)
        slots, rates = limits
        return Claim(slots, rates if starts else (), again) if slots or rates else None

    def take(self, body: Body, claim: Claim) -> bool:
        """Whether the body has all it claims; else the claim calls ``again``. Listeners hear of waits."""
        waited = self._host.listeners.body_waited
        if not claim.take():
            if waited and claim.waiting_since is None:
                claim.waiting_since = self._host.clock.monotonic()
            return False
        if claim.waiting_since is not None:
            waited(self._run_id, body.task_id, self._host.clock.monotonic() - claim.waiting_since)
        return True

    def wait_begins(self, body: Body) -> None:
        """The body waits for an answer. Raises ThreadsExhausted where too many wait in its executor."""
        self._host.wait_begins(body.node.executor, self._run_id, body.task_id)

    def wait_ends(self, body: Body) -> None:
        self._host.wait_ends(body.node.executor)
