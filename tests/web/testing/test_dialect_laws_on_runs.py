"""The laws of dialects hold on the log of any run: with maps, failures, retries, skips and a cancel at any moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reactor import Engine
from reactor.events.event import Event
from reactor.testing import read_all
from reactor_web import dialects
from reactor_web.testing import DIALECT_LAWS
from tests.helpers.dags import Spec
from tests.helpers.odd_json import JSON_VALUES
from tests.helpers.recorded_runs import STOPS, record, small_dags


@pytest.mark.slow
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(small_dags(), STOPS)
def test_every_dialect_keeps_every_law(spec: Spec, stop: int | None) -> None:
    """One log, all dialects, all laws; first of them: frames of a prefix are a prefix of the frames."""
    log = record(spec, stop)
    for name in dialects.known():
        for law in DIALECT_LAWS:
            law(dialects.find(name), log)


TYPES = [
    "agent:started", "agent:completed", "workflow:running", "workflow:completed", "log:created", "task_start",
    "task_complete", "execution_complete", "WorkflowStarted", "WorkflowStepStarted", "WorkflowStepCompleted",
    "WorkflowCompleted", "WorkflowFailed", "Heartbeat", "WORKFLOW_START", "WORKFLOW_COMPLETE", "AGENT_START",
    "ROUTER_THOUGHT", "RUN_STARTED", "RUN_FINISHED", "TEXT_MESSAGE_START", "STATE_DELTA", "CUSTOM", "text-delta",
    "finish", "data-x", "error", "message", "page.read",
]  # fmt: skip
"""Types of all vocabularies, and others."""
KEYS = st.sampled_from([
    "agentName", "type", "status", "message", "event_id", "step_id", "step_name", "step_index", "agent_id", "id",
    "taskId", "task_id", "timestamp", "delta", "messageId", "error", "output", "details", "data", "agent_name",
])  # fmt: skip
SAID = st.tuples(
    st.sampled_from(TYPES),
    st.dictionaries(KEYS, JSON_VALUES, max_size=5),
    st.sampled_from([None, "a", "b[2]"]),
)


def a_session(said: list[tuple[str, dict[str, Any], str | None]]) -> list[Event]:
    """The log of a session in which this was emitted."""

    async def main() -> list[Event]:
        async with Engine() as engine:
            session = await engine.session("said")
            for type, data, task in said:
                await session.emit(type, data, task=task)
            await session.close()
            return await read_all(engine.log, session.id)

    return asyncio.run(main())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SAID, max_size=6))
def test_whatever_is_emitted_breaks_no_law(said: list[tuple[str, dict[str, Any], str | None]]) -> None:
    """A session in which anybody may say anything, in the words of any dialect: no fold breaks off."""
    log = a_session(said)
    for name in dialects.known():
        for law in DIALECT_LAWS:
            law(dialects.find(name), log)
