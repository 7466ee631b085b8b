"""The tools over HTTP."""

from __future__ import annotations

from reactor import Engine
from tests.helpers.documents import TOOLS
from tests.helpers.server import Serve


async def test_the_tools_are_listed_with_their_schemas(serve: Serve) -> None:
    """GET /tools: name, description, input_schema."""
    server = await serve(Engine("memory://", tools=TOOLS.values()))
    status, body = await server.get("/tools")
    assert status == 200
    assert [one["name"] for one in body["tools"]] == list(TOOLS)
    add = next(one for one in body["tools"] if one["name"] == "add")
    assert add == {
        "name": "add",
        "description": "",
        "input_schema": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
            "required": ["a"],
            "additionalProperties": False,
        },
    }
