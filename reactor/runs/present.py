"""The graph in which a run goes on: that with which it began, or the one of its last ``run.upgraded``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from reactor.definition.graph import Identity
from reactor.stream.feed import Feed


class PresentGraph(NamedTuple):
    """As its log has it."""

    workflow: str
    version: str
    fingerprint: str
    tasks: list[dict[str, Any]]
    """Its entries (``vocabulary.run.TaskData``), upstreams first."""

    @property
    def identity(self) -> Identity:
        return Identity(self.workflow, self.version, self.fingerprint)


async def present_graph(feed: Feed, started: Mapping[str, Any]) -> PresentGraph:
    """``started``: the ``data`` of ``run.started`` with what is stored beside it."""
    name, seq = feed.state.workflow or "", feed.state.upgraded
    event = None if seq is None else await feed.event(seq)
    if seq is None or event is None:
        return PresentGraph(name, started["version"], started.get("fingerprint", ""), started.get("tasks", []))
    tasks = orjson.loads(await feed.blob(seq) or b"{}").get("graph", [])
    return PresentGraph(name, event.data["version"], event.data["to"], tasks)
