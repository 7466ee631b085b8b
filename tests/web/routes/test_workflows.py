"""Definitions over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reactor import Engine, Workflow
from reactor.definition.graph import Graph
from tests.helpers.server import Serve, Server


async def test_workflows_are_described_with_graph_and_input_schema(server: Server) -> None:
    """GET /workflows and /workflows/{name}."""
    status, body = await server.get("/workflows")
    assert status == 200
    assert [workflow["name"] for workflow in body["workflows"]] == ["gated", "small"]
    status, small = await server.get("/workflows/small")
    assert small["tasks"] == [
        {"id": "a", "kind": "task", "depends_on": [], "place": 0},
        {"id": "b", "kind": "task", "depends_on": ["a"], "place": 1},
    ]
    assert small["input_schema"] == {
        "type": "object",
        "properties": {"n": {"type": "integer", "default": 1}},
        "additionalProperties": False,
    }


async def test_many_workflows_are_described_one_after_the_other_and_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two of them the loop turns, so that five hundred do not hold it; asked again none is described anew."""
    flows = [Workflow(f"flow_{n}") for n in range(20)]
    for flow in flows:
        flow.task(_nothing)
    server = await serve(Engine(), *flows)
    turn, described = 0, list[int]()
    describe = Graph.describe

    def counted(graph: Graph) -> dict[str, Any]:
        described.append(turn)
        return describe(graph)

    async def turning() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(Graph, "describe", counted)
    counting = asyncio.ensure_future(turning())
    _, first = await server.get("/workflows")
    assert len(described) == len(set(described)) == 20
    assert (await server.get("/workflows"))[1] == first
    counting.cancel()
    assert len(described) == 20


async def _nothing() -> None: ...
