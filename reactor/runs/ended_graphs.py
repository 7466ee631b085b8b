"""Which graph an ended run had, for a retry and for its typed outputs: also one that nobody has registered."""

from __future__ import annotations

from weakref import WeakValueDictionary

from reactor.bounds import ENDED_GRAPHS
from reactor.definition.graph import Graph


class EndedGraphs:
    """Those of the last ``ENDED_GRAPHS`` runs. It keeps none in memory: what the program has let go of is gone."""

    def __init__(self) -> None:
        self._by_run: WeakValueDictionary[str, Graph] = WeakValueDictionary()

    def keep(self, run_id: str, graph: Graph) -> None:
        self._by_run[run_id] = graph
        if len(self._by_run) > ENDED_GRAPHS:
            self._by_run.pop(next(iter(self._by_run)), None)

    def get(self, run_id: str) -> Graph | None:
        return self._by_run.get(run_id)
