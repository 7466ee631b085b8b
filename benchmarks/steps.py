"""How often the server makes frames: a count of the calls of each dialect's ``step``, and a workflow that tells it."""

from __future__ import annotations

from collections import Counter
from inspect import getattr_static
from itertools import count
from time import sleep
from typing import Any

from benchmarks.child import ask
from benchmarks.served import start
from reactor import Workflow
from reactor_web import dialects

_made: Counter[str] = Counter()
_asked = count(1)


# --- in the server ---


def count_steps() -> Workflow:
    """Counts from now on. The workflow's only output are the counts so far, by dialect."""
    for name in dialects.known():
        _count(type(dialects.find(name)), name)
    flow = Workflow("steps")

    @flow.task
    async def made() -> dict[str, int]:
        return dict(_made)

    return flow


def _count(dialect: type[Any], name: str) -> None:
    """Of the class, so that a dialect with options of its own is counted too."""
    original = getattr_static(dialect, "step")

    def step(self: Any, state: Any, event: Any) -> bytes:
        _made[name] += 1
        return original.__get__(self, dialect)(state, event)

    dialect.step = step


# --- in the benchmark ---


def steps_of(port: int, name: str) -> int:
    """How often the server has called ``step`` of a dialect, once nothing more is made."""
    last = -1
    while (now := _steps(port).get(name, 0)) != last:
        last = now
    return now


def _steps(port: int) -> dict[str, int]:
    run_id = f"counts-{next(_asked)}"
    start(port, "steps", {}, run_id)
    while "outputs" not in (body := ask(port, "GET", f"/api/v1/runs/{run_id}")):
        sleep(0.01)
    return body["outputs"]["made"]
