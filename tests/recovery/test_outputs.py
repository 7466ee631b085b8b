"""The outputs of a run that has ended are the same values, however one got the run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from reactor import Engine, Run, Workflow, load_plan, tool
from reactor.logs.memory import MemoryLog

EXPECTED = {"keys": {1: "a"}, "members": [{1, 2}, {2, 3}], "plain": {"a": [1]}}


def typed() -> Workflow:
    """Two outputs that only their annotation gives back, one of them of a mapped task, and a plain one."""
    flow = Workflow("typed")

    @flow.task
    def numbers() -> list[int]:
        return [1, 2]

    @flow.task
    def keys() -> dict[int, str]:
        return {1: "a"}

    @flow.task(map="numbers")
    def members(numbers: int) -> set[int]:
        return {numbers, numbers + 1}

    @flow.task
    def plain():  # type: ignore[no-untyped-def]
        return {"a": [1]}

    return flow


async def ended_run(engine: Engine, flow: Workflow, run_id: str = "ended") -> Run:
    run = await engine.start(flow, run_id=run_id)
    await run
    return run


async def test_an_ended_run_gives_the_values_of_the_run_that_was_started() -> None:
    """In the same engine, by ``await`` and by ``outputs()``, as often as one asks."""
    flow = typed()
    async with Engine() as engine:
        started = await ended_run(engine, flow)
        found = await engine.get("ended")
        assert await started == await found == await found.outputs() == await found == EXPECTED
        again, is_new = await engine.ensure(flow, run_id="ended")
        assert (await again, is_new) == (EXPECTED, False)


async def test_an_ended_run_gives_the_same_values_after_a_restart(tmp_path: Path) -> None:
    """Where the new engine has the workflow registered."""
    log = f"sqlite:///{tmp_path / 'log.db'}"
    async with Engine(log) as engine:
        await ended_run(engine, typed())
    async with Engine(log, workflows=[typed()]) as engine:
        assert await (await engine.get("ended")) == EXPECTED


async def test_an_ended_run_of_an_unknown_workflow_gives_what_was_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the workflow is not registered, or another graph has its name, nothing is guessed; the log says why."""
    other = Workflow("typed")

    @other.task
    def keys() -> dict[int, str]:
        return {}

    log = f"sqlite:///{tmp_path / 'log.db'}"
    async with Engine(log) as engine:
        await ended_run(engine, typed())
    shown = {"keys": {"1": "a"}, "members": [[1, 2], [2, 3]], "plain": {"a": [1]}}
    for workflows, reason in (([], "is not registered here"), ([other], "has changed since it was started")):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="reactor"):
            async with Engine(log, workflows=workflows) as engine:
                assert await (await engine.get("ended")) == shown
        assert [r for r in caplog.messages if "as they were shown" in r and reason in r and "run_id=ended" in r]


async def test_an_output_that_cannot_be_restored_is_as_it_was_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Beside one that can; a warning names the task."""
    flow = Workflow("half")

    @flow.task
    def unannotated():  # type: ignore[no-untyped-def]
        return {1, 2}

    @flow.task
    def annotated() -> set[int]:
        return {1, 2}

    async with Engine() as engine:
        started = await ended_run(engine, flow)
        assert await started == {"unannotated": {1, 2}, "annotated": {1, 2}}
        assert await (await engine.get("ended")) == {"unannotated": [1, 2], "annotated": {1, 2}}
    assert any("given as it was shown" in text and "task_id=unannotated" in text for text in caplog.messages)


async def test_an_ended_run_of_a_plan_gives_typed_outputs() -> None:
    """Its graph is made of the plan that is stored with it; nobody registers it."""

    @tool
    def outputs_test_members() -> set[int]:
        return {1, 2}

    log = MemoryLog()
    async with Engine(log, tools=[outputs_test_members]) as engine:
        plan = load_plan({"tasks": [{"id": "a", "tool": "outputs_test_members"}]}, engine.tools)
        await ended_run(engine, plan)
        assert await (await engine.get("ended")) == {"a": {1, 2}}


async def test_a_run_that_is_not_completed_has_no_outputs_to_restore() -> None:
    """``outputs()`` of a failed run is empty, in the engine that ran it and found again."""
    flow = Workflow("failing")

    @flow.task
    def fails() -> set[int]:
        raise ValueError("no")

    async with Engine() as engine:
        run: Any = await engine.start(flow, run_id="ended")
        await run.ended()
        assert await run.outputs() == await (await engine.get("ended")).outputs() == {}
