"""The questions of the server of ``holds``, each with the worst answer to it: schema -> value of at most 32 KiB."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, Field


class Asked(NamedTuple):
    """``schema``: what ``ctx.receive(schema=)`` is given. ``value``: what is sent."""

    schema: Any
    value: Any


class Line(BaseModel):
    """One of a list, with what a line of an order has."""

    name: Annotated[str, Field(pattern=r"^(a+)+$")]
    amount: Annotated[int, Field(ge=1, le=9)]
    tags: Annotated[set[str], Field(default_factory=set)]


class Order(BaseModel):
    lines: list[Line]


class Branch(BaseModel):
    """Two kinds of children without a tag: each level can be read in two ways."""

    kind: str
    below: list[Branch | Leaf] = []


class Leaf(BaseModel):
    kind: str
    below: list[Branch | Leaf] = []
    value: int = 0


def _nested(levels: int, name: str = "next") -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {name: value}
    return value


def _branches(levels: int) -> Any:
    value: Any = {"kind": 1}
    for _ in range(levels):
        value = {"kind": "b", "below": [value]}
    return value


_EITHER: Final = {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}
_NODE: Final = {"type": "object", "properties": {"next": _EITHER}}
_FLAT: Final = [0] * 16_000
_NAMES: Final = {f"k{n}": 0 for n in range(3_000)}

ASKED: Final[dict[str, Asked]] = {
    "anything": Asked(None, {"text": "x" * 32_000}),
    "pattern": Asked({"type": "string", "pattern": "^(a+)+$"}, "a" * 32_000 + "!"),
    "pattern_items": Asked({"items": {"pattern": "^(a|b|ab)*c$"}}, ["ababab"] * 3_500),
    "counted_pattern": Asked({"type": "string", "pattern": "^(?:a{1,50}){1,50}$"}, "a" * 32_000),
    "pattern_names": Asked(
        {"patternProperties": {f"^k.*{n}$": {"type": "integer"} for n in range(20)}, "additionalProperties": False},
        _NAMES,
    ),
    "unique": Asked({"uniqueItems": True}, [{"a": n, "b": [n]} for n in range(1_500)]),
    "unique_nested": Asked({"items": {"uniqueItems": True}}, [[n, {}] for n in range(3_000)]),
    "integers": Asked({"items": {"type": "integer", "minimum": 1}}, _FLAT),
    "any_of": Asked({"items": {"anyOf": [{"const": f"v{n}"} for n in range(50)]}}, _FLAT),
    "one_of": Asked({"items": {"oneOf": [{"type": "integer"}, {"minimum": 0}, {"multipleOf": 1}]}}, _FLAT),
    "any_of_nested": Asked(
        {"anyOf": [{"anyOf": [{"items": {"anyOf": [{"type": "string"}, {"maximum": -1}]}}] * 3}] * 3}, _FLAT
    ),
    "any_of_refs": Asked({"$defs": {"a": _NODE, "b": _NODE}, "$ref": "#/$defs/a"}, _nested(90)),
    "refs": Asked({"$defs": {"n": {"type": "string"}}, "items": {"$ref": "#/$defs/n"}}, _FLAT),
    "dependent": Asked({"dependentSchemas": {name: {"required": ["missing"]} for name in list(_NAMES)[:100]}}, _NAMES),
    "enum": Asked({"items": {"enum": [f"value {n}" for n in range(500)]}}, _FLAT),
    "enum_of_objects": Asked({"items": {"enum": [{"a": n, "b": {"c": n}} for n in range(300)]}}, [{"a": 1}] * 3_500),
    "contains": Asked({"contains": {"type": "object", "required": ["x"]}, "minContains": 1}, _FLAT),
    "format": Asked({"items": {"type": "string", "format": "date-time"}}, ["2026-13-40T99:99:99Z"] * 1_400),
    "no_names": Asked({"propertyNames": {"maxLength": 0}}, _NAMES),
    "not_more": Asked({"additionalProperties": False}, _NAMES),
    "unevaluated": Asked(
        {"allOf": [{"properties": dict.fromkeys(list(_NAMES)[:300], True)}], "unevaluatedProperties": False},
        _NAMES,
    ),
    "unevaluated_items": Asked(
        {"prefixItems": [True] * 50, "contains": {"const": 1}, "unevaluatedItems": False}, _FLAT
    ),
    "multiples": Asked({"items": {"multipleOf": 0.01}}, [1.0e307] * 4_500),
    "if_then": Asked({"items": {"if": {"minimum": 0}, "then": {"not": {"type": "integer"}}}}, _FLAT),
    "order": Asked(Order, {"lines": [{"name": "aaaa!", "amount": 0}] * 900}),
    "order_fits": Asked(Order, {"lines": [{"name": "aaaa", "amount": 1}] * 900}),
    "branches": Asked(Branch, _branches(60)),
    "numbers": Asked(list[Annotated[int, Field(ge=1)]], _FLAT),
}
"""By the name of the task that asks."""
