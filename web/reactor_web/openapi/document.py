"""``/openapi.json``: OpenAPI 3.1, made of the operations, the types of their bodies and the vocabulary of events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from reactor import __version__
from reactor.bounds import EVENT_TYPE
from reactor.events.vocabulary import NOTICES, VOCABULARY
from reactor_web.http.problems import TITLES
from reactor_web.openapi.answers import Problem
from reactor_web.openapi.operations import EVENT_STREAM, OPERATIONS, REFUSED, Contents, Operation
from reactor_web.openapi.parameters import PARAMETERS

Schema = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"
_PROBLEM: Final = "application/problem+json"
_HEADERS: Final[dict[str, Schema]] = {
    "Location": {"description": "Where the run is.", "schema": {"type": "string"}},
    "Allow": {"description": "The methods that are possible here.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"description": "What says who asks.", "schema": {"type": "string"}},
}


@cache
def document(prefix: str) -> Schema:
    """The whole document, for routes that are mounted under ``prefix``."""
    schemas = _Schemas()
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schemas)
    events = _events(schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Reactor",
            "version": __version__,
            "description": "Workflows as live, lossless streams. The data of a frame of `text/event-stream` in the "
            "native dialect is an `Event` or a `Notice`.",
        },
        "servers": [{"url": prefix}],
        "paths": paths,
        "components": {"schemas": {**schemas.definitions, **events}, "parameters": PARAMETERS},
    }


class _Schemas:
    """The schemas of all types, by name."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def of(self, type: Any) -> Schema:
        """The schema of a type; those of its classes are kept by their names."""
        schema = TypeAdapter[Any](type).json_schema(ref_template=_REF, schema_generator=_Plain)
        self.definitions |= schema.pop("$defs", {})
        name = schema.get("title")
        if schema.get("type") == "object" and name is not None and "properties" in schema:
            self.definitions[name] = schema
            return {"$ref": _REF.format(model=name)}
        return schema


class _Plain(GenerateJsonSchema):
    """Without a title for each field, which only repeats its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _operation(operation: Operation, schemas: _Schemas) -> Schema:
    found: Schema = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": _responses(operation, schemas),
    }
    if operation.parameters:
        found["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in operation.parameters]
    if operation.body:
        found["requestBody"] = {"content": _contents(operation.body, schemas)}
    return found


def _responses(operation: Operation, schemas: _Schemas) -> Schema:
    responses: Schema = {}
    for status, contents in operation.answers.items():
        answer: Schema = {"description": _MEANINGS.get(status, "Done.")}
        if contents is not None:
            answer["content"] = _contents(contents, schemas)
        if status in (201, 202) and operation.tag == "runs":
            answer["headers"] = {"Location": _HEADERS["Location"]}
        responses[str(status)] = answer
    problem = {_PROBLEM: {"schema": schemas.of(Problem)}}
    common = (*(() if operation.is_public else REFUSED), 405, *(() if operation.method == "delete" else (406,)))
    for status in (*operation.problems, *common):
        answer = responses[str(status)] = {"description": TITLES.get(status, "Error"), "content": problem}
        if (header := _HEADER_OF.get(status)) is not None:
            answer["headers"] = {header: _HEADERS[header]}
    return dict(sorted(responses.items()))


_HEADER_OF: Final = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
"""Status of a problem -> the header that it has besides."""
_MEANINGS: Final = {
    101: "The connection is a WebSocket now.",
    200: "The answer.",
    201: "It was started.",
    202: "It is in the log.",
    204: "There is nothing to send.",
    304: "The client has it.",
}


def _contents(contents: Contents, schemas: _Schemas) -> Schema:
    return {media: _content(media, type, schemas) for media, type in contents.items()}


def _content(media: str, type: Any, schemas: _Schemas) -> Schema:
    if type is not str:
        return {"schema": schemas.of(type)}
    return {"schema": _FRAME if media == EVENT_STREAM else {"type": "string"}}


# --- events -----------------------------------------------------------------------------------------------------


def _events(schemas: _Schemas) -> dict[str, Schema]:
    """The schemas of all events and notices; ``Event`` and ``Notice`` are any of them."""
    found: dict[str, Schema] = {"EventEnvelope": _ENVELOPE}
    names: list[str] = []
    for type, kind in VOCABULARY.items():
        name = f"{kind.data.__name__}Event"
        found[name] = {
            "allOf": [{"$ref": _REF.format(model="EventEnvelope")}],
            "properties": {"type": {"const": type}, "data": schemas.of(kind.data)},
        }
        names.append(name)
    found["OwnEvent"] = {
        "description": "What a body, a session or an application has said.",
        "allOf": [{"$ref": _REF.format(model="EventEnvelope")}],
        "properties": {"type": {"not": {"enum": [*VOCABULARY, *NOTICES]}}},
    }
    found["Event"] = {"anyOf": _references([*names, "OwnEvent"])}
    notices: list[str] = []
    for type, kind in NOTICES.items():
        name = f"{kind.data.__name__}Notice"
        found[name] = {
            "type": "object",
            "required": ["type", "run_id", "time", "data"],
            "properties": {**_COMMON, "type": {"const": type}, "data": schemas.of(kind.data)},
        }
        notices.append(name)
    found["Notice"] = {"anyOf": _references(notices)}
    found |= schemas.definitions
    return found


def _references(names: Iterable[str]) -> list[Schema]:
    return [{"$ref": _REF.format(model=name)} for name in names]


def _pattern(pattern: re.Pattern[str]) -> str:
    return f"^(?:{pattern.pattern})$"


_COMMON: Final[dict[str, Schema]] = {
    "run_id": {"type": "string"},
    "time": {"type": "string", "format": "date-time"},
}
_FRAME: Final[Schema] = {
    "type": "object",
    "description": "One server-sent event. In another dialect than the native one its data is what that dialect says.",
    "required": ["data"],
    "properties": {
        "id": {"type": "string", "description": "The cursor: what `Last-Event-ID` and `after` take."},
        "event": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": _references(["Event", "Notice"])},
        },
        "retry": {"type": "integer"},
    },
}
_ENVELOPE: Final[Schema] = {
    "type": "object",
    "description": "What every event has.",
    "required": ["seq", "run_id", "type", "time", "data"],
    "properties": {
        "seq": {"type": "integer", "minimum": 1, "description": "Its number in the run, without gaps."},
        **_COMMON,
        "type": {"type": "string", "pattern": _pattern(EVENT_TYPE)},
        "task_id": {"type": "string"},
        "task": {"type": "string"},
        "map_index": {"type": "integer", "minimum": 0},
        "attempt": {"type": "integer", "minimum": 1},
        "data": {},
    },
}
