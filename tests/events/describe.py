"""Writes ``docs/events.md`` from the vocabulary and the golden runs: ``python -m tests.events.describe``."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

import orjson
from typing_extensions import is_typeddict

from reactor.events.event import Event
from reactor.events.state import RUN_STATUS, TASK_STATUS
from reactor.events.vocabulary import (
    NOTICES,
    RESERVED,
    VOCABULARY,
    EventKind,
    EventType,
    calls,
    child,
    later,
    notices,
    run,
    task,
)
from tests.events.golden.record import FIRST, FOLDER, RUNS, read

PAGE = Path(__file__).parents[2] / "docs" / "events.md"

INTRODUCTION = """\
# Events

Every run is a sequence of events, numbered from 1 without a gap. This page lists the types that the engine writes. It
is made from the classes in `reactor/events/vocabulary/`, and the examples are from runs that are recorded in
`tests/events/golden/`. Do not edit it: run `python -m tests.events.describe`.

An event is one JSON object:

```json
{example}
```

| key | type | |
|---|---|---|
| `seq` | int | Its number in the run, from 1. It is the cursor of every stream. |
| `run_id` | str | |
| `type` | str | One of those below, or a type that a body has emitted with `ctx.emit`, or others with `run.emit`. |
| `time` | str | ISO 8601, UTC, with microseconds. |
| `task_id` | str? | The task, or the child `name[i]` of a mapped task. Not on events of the run. |
| `task` | str? | The name of the task in the workflow: `measure` for `measure[3]`. |
| `map_index` | int? | The index of a child of a mapped task, from 0. |
| `attempt` | int? | The number of the attempt, from 1; not before the task has started. |
| `data` | object | What the tables below say. |
| `idempotency_key` | str? | The key that it was emitted with, if any (`run.emit(key=)`, or `Idempotency-Key`). |
| `idempotency_digest` | str? | With a key: a digest of all that was emitted together under it. |

A `?` after a type means that the key is not always there. Later versions add keys and types, so a reader must accept
those that it does not know. "Since 0.2" means that logs of earlier versions do not have the key.
"""

NOTICES_INTRODUCTION = """\
## Messages of streams

These exist on streams only. They have no `seq`, and they are in no log.
"""

RESERVED_INTRODUCTION = """\
## Reserved for later versions

No version writes these types yet. Their keys are fixed, so that whoever reads logs can prepare for them.
"""

SHARED_INTRODUCTION = """\
## Objects in data
"""


def page() -> str:
    """The whole page."""
    example = next(event for event in golden_events() if event.type == "task.completed" and event.map_index is not None)
    parts = [INTRODUCTION.replace("{example}", _json(example.decode()))]
    parts += [f"## `{group}.`\n\n" + "\n".join(_types_of(group)) for group in _groups()]
    parts.append("\n".join([NOTICES_INTRODUCTION, *(_section(type, kind) for type, kind in NOTICES.items())]))
    parts.append("\n".join([SHARED_INTRODUCTION, *_shared()]))
    parts.append("\n".join([RESERVED_INTRODUCTION, *(_section(type, kind) for type, kind in RESERVED.items())]))
    return "\n".join(parts)


def _groups() -> list[str]:
    return list(dict.fromkeys(type.partition(".")[0] for type in get_args(EventType)))


def _types_of(group: str) -> Iterator[str]:
    for type in get_args(EventType):
        if type.partition(".")[0] == group:
            yield _section(type, VOCABULARY[type])


def _section(type: str, kind: EventKind) -> str:
    lines = [f"### `{type}`\n", f"{_text(kind.data)}\n"]
    if type in RUN_STATUS:
        lines.append(f"The run is `{RUN_STATUS[type]}` after it.\n")
    if type in TASK_STATUS:
        lines.append(f"The task is `{TASK_STATUS[type]}` after it.\n")
    lines.append(_table(kind.data))
    examples = [event for event in golden_events() if event.type == type]
    if examples:
        # a run with tasks shows more than a session
        fullest = max(
            examples, key=lambda event: (event.data.get("total_tasks") != 0, len(event.data), -len(event.json))
        )
        lines.append(f"```json\n{_json(fullest.data)}\n```\n")
    return "\n".join(lines)


def _shared() -> Iterator[str]:
    """The objects that keys of several types have as their value."""
    for name, value in vars(run).items():
        if is_typeddict(value) and name.endswith("Data"):
            yield f"### {name}\n\n{_text(value)}\n\n{_table(value)}"


def _table(data: type) -> str:
    rows = ["| key | type | |", "|---|---|---|"]
    texts = _texts(data)
    for key, annotation in get_type_hints(data, include_extras=True).items():
        optional = get_origin(annotation) is NotRequired
        shown = _type(get_args(annotation)[0] if optional else annotation)
        rows.append(f"| `{key}` | {shown}{'?' if optional else ''} | {texts.get(key, '')} |")
    return "\n".join(rows) + "\n"


def _type(annotation: Any) -> str:
    """A type as the tables show it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return "JSON"
    if annotation is NoneType:
        return "null"
    if origin is Literal:
        return " or ".join(f"`{orjson.dumps(value).decode()}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type(argument) for argument in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "object"
    if is_typeddict(annotation):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return annotation.__name__


def _text(data: type) -> str:
    """The docstring in Markdown."""
    return (inspect.getdoc(data) or "").replace("``", "`")


def _texts(data: type) -> dict[str, str]:
    """Key -> the text below it in its class, or in a class that this one is made from."""
    found: dict[str, str] = {}
    for base in getattr(data, "__orig_bases__", ()):
        if is_typeddict(base):
            found |= _texts(base)
    return found | _texts_of_classes().get(data.__name__, {})


@cache
def _texts_of_classes() -> Mapping[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for module in (run, task, child, calls, notices, later):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = dict(_texts_in(node))
    return found


def _texts_in(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield field.target.id, inspect.cleandoc(str(below.value.value)).replace("\n", " ").replace("``", "`")


@cache
def golden_events() -> tuple[Event, ...]:
    """The events of all golden runs of this version."""
    of_the_first = {record.__name__ for record in FIRST}
    names = [name for name in RUNS if name not in of_the_first and (FOLDER / f"{name}.jsonl").exists()]
    return tuple(event for name in sorted(names, reverse=True) for event in read(name)[0])


def _json(value: Any) -> str:
    """JSON over several lines where one would be too long."""
    line = orjson.dumps(value).decode()
    return line if len(line) <= 120 else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE}\n")
