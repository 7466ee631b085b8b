"""A run whose log failed, and that nobody goes on with yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Self

from reactor.definition.graph import Graph
from reactor.errors import LogLost
from reactor.ports.tracing import RunTrace
from reactor.runs.beginning import Beginning
from reactor.runs.journal import Journal
from reactor.tasks.past import Output


class LostRun(NamedTuple):
    """A run whose log failed, and what is needed to go on with it in this process."""

    run_id: str
    graph: Graph
    beginning: Beginning
    reused: Mapping[str, Output]
    answered: asyncio.Future[int]
    """Done when the log has answered its last append. Before that nobody knows where the run ends in the log."""
    append_since: float | None
    """Since when that answer is waited for, by the clock of the engine; None where it had come before."""
    traced: int
    """The seq of the last event whose spans are made."""

    @classmethod
    def of(
        cls,
        journal: Journal,
        graph: Graph,
        beginning: Beginning,
        reused: Mapping[str, Output],
        trace: RunTrace | None,
    ) -> Self:
        """The run of a journal whose log failed."""
        traced = 0 if trace is None else trace.seq
        return cls(journal.run_id, graph, beginning, reused, journal.answered(), journal.append_since, traced)

    @property
    def error(self) -> LogLost:
        """For whoever asks something of it meanwhile."""
        return LogLost(
            f"run {self.run_id} waits for its log, which failed; it goes on as soon as the log answers: ask again then",
            run_id=self.run_id,
        )
