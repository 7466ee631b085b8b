"""A run whose log failed, and that nobody goes on with yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from reactor.definition.graph import Graph
from reactor.errors import LogLost
from reactor.runs.beginning import Beginning
from reactor.tasks.past import Output


class LostRun(NamedTuple):
    """A run whose log failed, and what is needed to go on with it in this process."""

    run_id: str
    graph: Graph
    beginning: Beginning
    reused: Mapping[str, Output]
    answered: asyncio.Future[int]
    """Done when the log has answered its last append. Before that nobody knows where the run ends in the log."""
    traced: int = 0
    """The seq of the last event whose spans are made."""

    @property
    def error(self) -> LogLost:
        """For whoever asks something of it meanwhile."""
        return LogLost(
            f"run {self.run_id} waits for its log, which failed; it goes on as soon as the log answers: ask again then",
            run_id=self.run_id,
        )
