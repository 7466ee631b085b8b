"""The log lines that the sources write, found in their text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from tests.project.sources import source_files

LEVELS = ("debug", "info", "warning", "error", "critical")


class LogCall(NamedTuple):
    """One kind of line: ``keys`` are its fields, ``traceback`` for a line that has one."""

    event: str
    level: str
    keys: frozenset[str]


def log_calls() -> Iterator[LogCall]:
    """All calls ``logger.<level>("sentence", key=…)``. Fails for a sentence or keys that are put together.

    And all calls ``warn_once(f"sentence about {something}")``, with ``…`` for what is filled in.
    """
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "warn_once":
                yield LogCall(_sentence_of(node, f"{path}, line {node.lineno}"), "warning", frozenset())
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "logger"
            ):
                where = f"{path}, line {node.lineno}"
                [sentence] = node.args
                assert isinstance(sentence, ast.Constant), f"{where}: the sentence of a log line is one string"
                keys = [keyword.arg for keyword in node.keywords]
                assert None not in keys, f"{where}: the fields of a log line are written out"
                named = frozenset("traceback" if key == "exc_info" else str(key) for key in keys)
                yield LogCall(sentence.value, node.func.attr, named)


def _sentence_of(call: ast.Call, where: str) -> str:
    [text] = call.args
    assert isinstance(text, ast.Constant | ast.JoinedStr), f"{where}: the sentence of warn_once stands in its call"
    parts = [text] if isinstance(text, ast.Constant) else text.values
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
