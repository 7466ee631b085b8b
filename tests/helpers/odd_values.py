"""A workflow whose tasks return one value each that is not plain JSON, and how each is shown everywhere."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ByteSize, Field, SecretStr

from reactor import Workflow


class Level(IntEnum):
    HIGH = 2


@dataclass
class Place:
    name: str
    at: tuple[float, ...] = (1.0, -0.0)


class Person(BaseModel):
    name: str
    age: int | None = None
    password: SecretStr = SecretStr("topsecret")
    hidden: str = Field("topsecret", exclude=True)
    anything: Any = None


class Odd:
    def __repr__(self) -> str:
        return "Odd()"


cycle: list[Any] = [1]
cycle.append(cycle)

ODD_VALUES: Final[dict[str, tuple[Any, Any]]] = {
    "plain": ({"a": [1, 2.5, None, "ü\u2028"]}, {"a": [1, 2.5, None, "ü\u2028"]}),
    "text": ("text", "text"),
    "model": (Person(name="Ann"), {"name": "Ann", "age": None, "password": "**********", "anything": None}),
    "model_around_odd": (
        Person(name="Ann", anything=[Odd(), Person(name="Bob")]),
        {
            "name": "Ann",
            "age": None,
            "password": "**********",
            "anything": [
                {"$repr": "Odd()"},
                {"name": "Bob", "age": None, "password": "**********", "anything": None},
            ],
        },
    ),
    "dataclass": (Place("here"), {"name": "here", "at": [1.0, -0.0]}),
    "set": ({1}, [1]),
    "tuple": ((1, (2,)), [1, [2]]),
    "deque": (deque([1], 3), [1]),
    "decimal": (Decimal("1.10"), "1.10"),
    "fraction": (Fraction(1, 3), "1/3"),
    "path": (Path("/a/b"), "/a/b"),
    "bytes": (b"abc", "abc"),
    "bytes_not_text": (b"\xff", {"$repr": "b'\\xff'"}),
    "large_int": (2**64, {"$repr": "18446744073709551616"}),
    "nested_large_int": ([2**70, 1], [{"$repr": "1180591620717411303424"}, 1]),
    "int_subclass": (ByteSize(5), 5),
    "int_keys": ({1: 2}, {"1": 2}),
    "odd_keys": ({(1, 2): {3}, None: 1}, {"1,2": [3], "None": 1}),
    "nan": (math.nan, "NaN"),
    "infinities": ([math.inf, -math.inf], ["Infinity", "-Infinity"]),
    "nan_in_model": (Person(name="Ann", anything=math.nan).anything, "NaN"),
    "enum": (Level.HIGH, 2),
    "datetime": (datetime(2026, 3, 28, 12, tzinfo=UTC), "2026-03-28T12:00:00Z"),
    "secret": (SecretStr("topsecret"), "**********"),
    "odd": (Odd(), {"$repr": "Odd()"}),
    "nested_odd": ({"a": [Odd(), 1]}, {"a": [{"$repr": "Odd()"}, 1]}),
    "surrogate": ("\ud800", {"$repr": "'\\ud800'"}),
    "cycle": (cycle, [1, {"$repr": "<list, inside of itself>"}]),
    "large": ({"a": ["x" * 100] * 1_000, "set": {1}}, {"a": ["x" * 100] * 1_000, "set": [1]}),
}
"""Task -> (what its body returns, how that is shown)."""

flow = Workflow("odd")


def returning(value: Any) -> Any:
    async def body() -> Any:
        return value

    return body


for name, (value, _) in ODD_VALUES.items():
    flow.task(returning(value), name=name)
