"""References in the values of a plan: ``"$id"`` stands for the output of a task, ``"$id.path.0"`` for a part of it.

Only a whole string can be a reference, never a part of one. To write a string that begins with a dollar sign, begin it
with two. References are looked up, never evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

import orjson

from reactor.bounds import PLAN_TASK_ID
from reactor.events.values import json_kind

REFERENCE: Final = re.compile(rf"\$({PLAN_TASK_ID.pattern})((?:\.[^.]+)*)")
"""A task id, which ends at the first dot, and a path of member names and list indexes."""


class Reference(NamedTuple):
    """The reference ``$task.path``."""

    task: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((f"${self.task}", *self.path))


def parse_reference(text: str) -> Reference | None:
    """The reference in a string, or None; raises ValueError if it begins like a reference but is malformed."""
    if not text.startswith("$") or text.startswith("$$"):
        return None
    match = REFERENCE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:100]!r} is not a reference: write $task or $task.path, or $$ for a dollar sign")
    return Reference(match[1], tuple(match[2].split(".")[1:]))


def references(value: Any) -> Iterator[Reference]:
    """All references in a JSON value, in order; raises ValueError for one that is malformed."""
    if isinstance(value, (list, dict)) and b'"$' not in orjson.dumps(value):
        return
    yield from _references(value)


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, str):
        found = parse_reference(value)
        if found is not None:
            yield found
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _references(item)
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from _references(item)


def referenced_tasks(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the tasks that ``given`` (parameter -> value) refers to, each once."""
    return tuple(dict.fromkeys(reference.task for value in given.values() for reference in references(value)))


def fill_references(value: Any, outputs: Mapping[str, Any]) -> Any:
    """A JSON value with each reference replaced by what it refers to. ``outputs``: task name -> output.

    Raises LookupError that names the part that does not exist.
    """
    if isinstance(value, (list, dict)) and b'"$' not in (json := orjson.dumps(value)):
        return orjson.loads(json)  # a copy without any reference, at the speed of C
    return _filled(value, outputs)


def _filled(value: Any, outputs: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        found = parse_reference(value)
        if found is None:
            return value[1:] if value.startswith("$$") else value
        return _part(found, outputs[found.task])
    if isinstance(value, list):
        return [_filled(item, outputs) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _filled(item, outputs) for name, item in cast("dict[str, Any]", value).items()}
    return value


def _part(reference: Reference, output: Any) -> Any:
    part = output
    for depth, step in enumerate(reference.path):
        where = Reference(reference.task, reference.path[:depth])
        if isinstance(part, Mapping) and step in part:
            part = cast("Mapping[str, Any]", part)[step]
        elif isinstance(part, (list, tuple)) and step.isascii() and step.isdigit():
            items = cast("list[Any]", part)
            if int(step[:9]) >= len(items):
                raise LookupError(f"{reference}: {where} has {len(items)} items")
            part = items[int(step[:9])]
        else:
            raise LookupError(f"{reference}: {where} is {json_kind(cast('object', part))} without {step!r}")
    return part
