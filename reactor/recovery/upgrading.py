"""Goes on with runs in a later graph of their workflow, where this process does not have the one that they have."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from reactor import bounds
from reactor.definition.graph import Graph
from reactor.events.event import Event
from reactor.events.timing import milliseconds
from reactor.logger import get_logger
from reactor.recovery.origin import NotRecoverable, UnknownGraph, input_of, known_graph
from reactor.recovery.reading import NAMED_TASKS
from reactor.recovery.upgrade import compare
from reactor.registry import Registry
from reactor.runs.open_runs import OpenRuns
from reactor.runs.present import present_graph
from reactor.stream.feed import Feed

logger = get_logger()


class LeftToOthers(NotRecoverable):
    """For a while the run is for processes that have its graph."""


class Upgrading:
    """Of the runs of one tenant."""

    def __init__(self, registry: Registry, runs: OpenRuns) -> None:
        self._registry = registry
        self._runs = runs
        self._found: dict[str, tuple[float, int]] = {}
        """By id: when a run was found whose graph only another process may have, on the monotonic clock, and its last
        seq: one that has gone on since was with such a process."""

    async def graph_for(self, feed: Feed, started: dict[str, Any], own: Graph | None) -> Graph:
        """The graph in which a run goes on: the one that it has; else a later one, once ``run.upgraded`` is in the log.

        ``own``: of a child run, the graph that its parent asks for. The lease of the run is ours. Raises
        NotRecoverable with a sentence that names the task in the way.
        """
        had = self._runs.graphs.get(feed.run_id) if self._runs.elsewhere.is_shared else None
        try:
            return await known_graph(self._registry, feed, started, had if own is None else own)
        except UnknownGraph as unknown:
            return await self._upgrade(feed, started, own, unknown)

    async def _upgrade(self, feed: Feed, started: dict[str, Any], own: Graph | None, unknown: UnknownGraph) -> Graph:
        graph = self._registry.latest(started["workflow"]) if own is None else own
        if graph is None or "plan" in started:  # a plan is its document, whose tools have changed
            raise unknown
        upgrade = compare(await present_graph(feed, started), feed.state, graph)
        if isinstance(upgrade, str):
            raise NotRecoverable(f"{unknown}: {upgrade}")
        try:
            input_of(started, graph)
        except NotRecoverable as problem:
            raise NotRecoverable(f"{unknown}: {problem}") from problem
        if own is None:  # a child run goes where its parent is
            self._leave_to_others(feed, unknown)
        last, now = await feed.event(feed.last_seq), self._runs.clock.now()
        downtime_ms = milliseconds(last.time if last else "", now.decode())
        event = Event.from_draft(feed.last_seq + 1, feed.run_id, now, upgrade.draft(feed.run_id, downtime_ms))
        await self._runs.log.append(feed.run_id, [event])
        self._show(feed, event)
        logger.info(
            "run upgraded",
            run_id=feed.run_id,
            workflow=graph.name,
            version=graph.version,
            added=upgrade.added[:NAMED_TASKS],
            removed=upgrade.removed[:NAMED_TASKS],
        )
        return graph

    def _show(self, feed: Feed, event: Event) -> None:
        feed.publish([event])
        self._runs.dormant.tell(feed.run_id, [event])
        if self._runs.windows.observers:
            self._runs.windows.on_next([event])

    # --- where several processes share the log ---

    def _leave_to_others(self, feed: Feed, unknown: UnknownGraph) -> None:
        """Raises LeftToOthers until a run has waited long enough for a process that has its graph."""
        if not self._runs.elsewhere.is_shared:
            return
        run_id, now = feed.run_id, self._runs.clock.monotonic()
        if self._found.setdefault(run_id, (now, feed.last_seq))[1] != feed.last_seq:
            self._found[run_id] = (now, feed.last_seq)
        if (why := self.why_not_yet(run_id)) is not None:
            raise LeftToOthers(f"{unknown}; {why}")
        del self._found[run_id]

    def why_not_yet(self, run_id: str) -> str | None:
        """Of a run that is left to others for now."""
        found = self._found.get(run_id)
        seconds = 0.0 if found is None else found[0] + bounds.UPGRADE_SECONDS - self._runs.clock.monotonic()
        if seconds <= 0:
            return None
        return f"it is left for {seconds:.0f} s to nodes that have its graph, and then goes on in a later one"

    @property
    def is_idle(self) -> bool:
        """Whether it has found no run that may come back to it."""
        return not self._found

    def forget(self, free: Container[str]) -> None:
        """``free``: all runs that nobody holds. The others go on; but somebody may hold one only to look at it."""
        for run_id in [run_id for run_id in self._found if run_id not in free and self.why_not_yet(run_id) is None]:
            del self._found[run_id]
