"""One child ``name[i]`` of a mapped task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reactor.definition.graph import Node
from reactor.definition.names import child_task_id
from reactor.events.progress import child_units
from reactor.tasks.body import TaskActor
from reactor.tasks.scope import Ended, Scope, UpstreamTask


class ChildActor(TaskActor):
    """Runs the body of a mapped task for one item.

    In a map over a map its item is the output of ``pair``, the child of the same index upstream, and it waits for that
    child only. All other upstreams have ended before the mapped task fans out.
    """

    __slots__ = ("item", "map_index", "pair", "units")

    pair: ChildActor | None

    def __init__(
        self,
        scope: Scope,
        node: Node,
        map_index: int,
        siblings: int,
        *,
        item: Any = None,
        pair: ChildActor | None = None,
    ) -> None:
        super().__init__(scope, node, child_task_id(node.name, map_index))
        self.map_index = map_index
        self.units = child_units(map_index, siblings)
        self.item = item
        self.pair = pair

    @property
    def seen_upstreams(self) -> Mapping[str, Ended]:
        """The upstreams as ``ctx.upstreams`` shows them: its pair stands in place of the whole mapped task."""
        pair, source = self.pair, self.node.map_source
        return self.upstreams if pair is None or source is None else {**self.upstreams, source: pair}

    def wait_for(self, upstreams: Iterable[UpstreamTask]) -> None:
        super().wait_for(self.blockers())

    def blockers(self) -> Sequence[ChildActor]:
        return (self.pair,) if self.pair is not None else ()

    def await_item(self) -> None:
        """Before ``attach``: it does not begin before its siblings are made too, or it has its item again."""
        self._waiting += 1

    def give(self, item: Any, pair: ChildActor | None) -> None:
        """Its item, or its pair, is there again: now it waits for the pair only."""
        if self.has_ended:
            return
        self.item, self.pair = item, pair
        if pair is not None and not pair.has_ended:
            self._waiting += 1
            pair.observe_completion(self)
        self.on_completed()

    def release(self) -> None:
        super().release()
        self.item = self.pair = None
