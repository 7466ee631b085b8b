"""What a dialect remembers of a run does not grow with what an application says."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from reactor_web import dialects
from reactor_web.dialects import Dialect
from tests.helpers.folding import log_of, session, started

MANY = 4_000


def said(n: int) -> list[tuple[str, dict[str, Any]]]:
    """In the words of all dialects: each time another name."""
    return [
        ("agent:started", {"agentName": f"agent-{n}"}),
        ("task_start", {"taskId": f"task-{n}"}),
        ("tool-input-start", {"toolCallId": f"call-{n}", "toolName": "search"}),
        ("text-delta", {"id": f"text-{n}", "delta": "word"}),
        ("WorkflowStepStarted", {"step": n}),
        ("AGENT_START", {"agent_name": f"agent-{n}", "message": "begins"}),
        ("TEXT_MESSAGE_START", {"messageId": f"message-{n}", "role": "assistant"}),
        ("TOOL_CALL_START", {"toolCallId": f"call-{n}", "toolCallName": "search"}),
        ("STEP_STARTED", {"stepName": f"step-{n}"}),
        ("step.made", {"step_name": f"step-{n}", "status": "started"}),
    ]


@pytest.mark.parametrize("opening", [session(), started("a")], ids=["session", "run"])
@pytest.mark.parametrize("dialect", [dialects.find(name) for name in dialects.known()], ids=lambda one: one.info.name)
def test_a_state_does_not_grow_with_names(dialect: Dialect, opening: tuple[str, dict[str, Any]]) -> None:
    """Twice as many names: the same size, as near as makes no difference."""
    log = log_of(opening, *[event for n in range(MANY) for event in said(n)])
    state, _ = dialect.begin(log[0], "resume")
    sizes: list[int] = []
    for place, event in enumerate(log):
        dialect.step(state, event)
        if place in (len(log) // 2, len(log) - 1):
            sizes.append(len(pickle.dumps(state)))
    assert sizes[1] < sizes[0] * 1.25 + 1_000, sizes
