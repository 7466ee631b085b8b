"""The types of the chunks that are this server's own, and a safe name for those of the application."""

from __future__ import annotations

import re
from typing import Final

TASK: Final = "data-task"
"""``id``: the task. What became of it."""
PROGRESS: Final = "data-progress"
"""``id``: the task. Transient."""
INPUT: Final = "data-input"
"""``id``: ``<task>/<key>``. A question, and what became of it."""
CHILD: Final = "data-child"
"""``id``: the child run."""
RUN: Final = "data-run"
"""``id``: the run. Its status, and at the end its outputs."""
USAGE: Final = "data-usage"
"""``id``: the run. What it has spent so far."""
BUDGET: Final = "data-budget"
"""``id``: the resource."""
LOG: Final = "data-log"
"""Transient."""
LLM: Final = "data-llm"
"""``id``: the call. Transient."""

OURS: Final = frozenset({TASK, PROGRESS, INPUT, CHILD, RUN, USAGE, BUDGET, LOG, LLM})

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


def data_type(event_type: str) -> str:
    """The type of the chunk for an event of the application: ``data-agent-started`` for ``agent:started``.

    An event that would have one of our own types gets ``data-user-…``.
    """
    name = _UNSAFE.sub("-", event_type.removeprefix("data-"))
    return f"data-user-{name}" if f"data-{name}" in OURS else f"data-{name}"
