"""The input that a schedule stores for its runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from reactor.bounds import SCHEDULE_INPUT_BYTES
from reactor.definition.graph import Graph
from reactor.events.shown import plain_copy

_MASKED: Final = b"**********"
"""How pydantic shows a secret."""


def check_input(graph: Graph, given: Mapping[str, Any]) -> dict[str, Any]:
    """The input as JSON has it. Raises InputError, and ValueError where it is too large or has a secret."""
    values = graph.validate_input(given)
    for name, encoded in graph.encode_input(values).items():
        if name in given and _MASKED in encoded.json:
            raise ValueError(
                f"the input {name!r} has a secret, and a schedule stores its input: let the body read the secret itself"
            )
    plain: dict[str, Any] = plain_copy(dict(given))
    size = len(orjson.dumps(plain))
    if size > SCHEDULE_INPUT_BYTES:
        raise ValueError(
            f"the input of a schedule may have {SCHEDULE_INPUT_BYTES:,} bytes as JSON, and this has {size:,}"
        )
    return plain
