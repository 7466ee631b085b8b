"""``/openapi.json`` says of the routes what is true."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from reactor import Engine
from reactor_web import create_app
from reactor_web.http.query import OF_A_PAGE, OF_A_ROUTE, OF_POSITIONS
from reactor_web.openapi.document import document
from reactor_web.openapi.operations import OPERATIONS
from reactor_web.openapi.parameters import POSITIONS, STREAM
from tests.events.golden.record import FOLDER, read
from tests.helpers.server import API, Server

DOCUMENT = document(API)
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def validator(name: str) -> Draft202012Validator:
    registry: Any = Registry().with_resource("api:", Resource.opaque(DOCUMENT))  # pyright: ignore[reportUnknownMemberType]  # its stubs
    return Draft202012Validator({"$ref": f"api:#/components/schemas/{name}"}, registry=registry)


def test_every_route_is_an_operation_and_every_operation_a_route() -> None:
    """Under the same path and method; HEAD goes with GET."""
    app = create_app(Engine("memory://"))
    routes = {
        (route.method.lower(), route.resource.canonical.removeprefix(API))
        for route in app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "OPTIONS", "*")
    }
    assert routes == {(operation.method, operation.path) for operation in OPERATIONS}


def test_the_parameters_of_a_stream_are_those_that_its_query_may_have() -> None:
    """An option of the query is in the document, and the other way round."""
    assert set(STREAM) - {"Last-Event-ID"} == set(OF_A_ROUTE)
    assert set(POSITIONS) - {"Last-Event-ID"} == set(OF_POSITIONS)
    (events,) = [operation for operation in OPERATIONS if operation.id == "followRun"]
    assert set(OF_A_PAGE) <= {name.partition(".")[0] for name in events.parameters}


def test_every_reference_leads_somewhere() -> None:
    """No name of a schema or parameter is missing."""
    found: list[str] = []

    def look(value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]  # any JSON
                if key == "$ref" and isinstance(inner, str):
                    found.append(inner)
                look(inner)  # pyright: ignore[reportUnknownArgumentType]  # any JSON
        elif isinstance(value, list):
            for inner in value:  # pyright: ignore[reportUnknownVariableType]  # any JSON
                look(inner)  # pyright: ignore[reportUnknownArgumentType]  # any JSON

    look(DOCUMENT)
    for reference in set(found):
        place: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    assert len(set(found)) > 80


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_event_is_as_the_document_says(name: str) -> None:
    """By the schema of its own type, not only by that of any event."""
    of_type = {
        schema["properties"]["type"].get("const"): title
        for title, schema in DOCUMENT["components"]["schemas"].items()
        if title.endswith("Event") and "properties" in schema
    }
    for event in read(name)[0]:
        validator(of_type.get(event.type, "OwnEvent")).validate(event.body)
        validator("Event").validate(event.body)


def test_an_event_that_is_not_as_the_document_says_is_refused() -> None:
    """The schemas can fail."""
    event = {**read(NAMES[0])[0][0].body}
    assert not validator("RunStartedEvent").is_valid({**event, "data": {}})
    assert not validator("Event").is_valid({**event, "seq": 0})
    assert not validator("OwnEvent").is_valid(event)


async def test_it_is_served_with_the_prefix_and_a_page(server: Server) -> None:
    """The page loads nothing from elsewhere."""
    status, served = await server.get("/openapi.json")
    assert status == 200
    assert served["servers"] == [{"url": API}]
    assert served["openapi"] == "3.1.0"
    async with server.session.get(f"{server.url}/docs") as response:
        page = await response.text()
    assert response.content_type == "text/html"
    assert "openapi.json" in page
    assert "http" not in page.replace("http-equiv", "").lower().partition("<main>")[0]
