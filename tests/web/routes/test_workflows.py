"""Definitions over HTTP."""

from __future__ import annotations

from tests.helpers.server import Server


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
