"""The same body says the same in every place: on the loop, in a thread, in a process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Engine, Event, Workflow, bounds
from tests.helpers import bodies
from tests.helpers.runs import full_log

flow = Workflow("places")


@flow.task
async def on_the_loop(ctx: bodies.Context, program: list[str]) -> None:
    await bodies.say_async(ctx, program)


@flow.task
async def on_the_loop_without_await(ctx: bodies.Context, program: list[str]) -> None:
    bodies.say(ctx, program)


flow.task(bodies.say, name="in_a_thread", executor="thread")
flow.task(bodies.say, name="in_a_process", executor="process")
flow.task(bodies.say_async, name="in_a_loop_of_a_process", executor="process")

Said = tuple[str, str]


def told(event: Event) -> Said | None:
    """What an event says that a body has said; None for the engine's own events."""
    data = event.data
    if event.type == "number.said":
        return "emit", str(data["number"])
    if event.type == "log.created" and data["level"] == "info":
        return "log", data["message"].removeprefix("number ")
    if event.type == "task.chunk":
        return "chunk", data["text"]
    if event.type == "task.spent":
        return "spend", str(data["tokens"] - 1)
    if event.type == "task.progress":
        return "progress", str(round(data["fraction"] * 1_000))
    return None


def sampled(said: Iterable[Said]) -> list[Said]:
    """What must be in a log however it is sampled: of progress in a row the last one, of text in a row the whole."""
    kept: list[Said] = []
    for kind, value in said:
        before = kept[-1] if kept else ("", "")
        if kind == before[0] == "progress":
            kept[-1] = kind, value
        elif kind == before[0] == "chunk":
            kept[-1] = kind, before[1] + value
        else:
            kept.append((kind, value))
    return kept


def check(events: list[Event], program: list[str]) -> None:
    expected = sampled((kind, f"<{n}>" if kind == "chunk" else str(n)) for n, kind in enumerate(program))
    for task in flow.tasks:
        said = [entry for event in events if event.task_id == task and (entry := told(event)) is not None]
        assert sampled(said) == expected, task


# within a second, more progress than that may come later than what was said after it
programs = st.lists(st.sampled_from(list(bodies.SAYINGS)), max_size=30).filter(
    lambda program: program.count("progress") < bounds.PROGRESS_PER_SECOND
)


def test_what_a_body_says_comes_in_the_same_order_from_everywhere() -> None:
    """Whatever it says: its events are what it has said, in that order, except for what sampling leaves out."""
    with asyncio.Runner() as runner:
        engine = Engine()
        runner.run(engine.__aenter__())

        async def run(program: list[str]) -> list[Event]:
            return await full_log(engine, await engine.start(flow, {"program": program}))

        @settings(max_examples=30, deadline=None)
        @given(programs)
        def try_it(program: list[str]) -> None:
            check(runner.run(run(program)), program)

        try:
            try_it()
        finally:
            runner.run(engine.__aexit__(None, None, None))


@pytest.mark.parametrize("task", list(flow.tasks))
async def test_progress_that_is_told_too_often_is_sampled_all_the_same(engine: Engine, task: str) -> None:
    """Between other events it may be written more closely, but never more than 20 times in a second."""
    only = Workflow("often")
    only.task(flow.tasks[task].function, name="body", executor=flow.tasks[task].executor)
    program = ["progress", "emit"] * 150
    events = await full_log(engine, await engine.start(only, {"program": program}))
    progress = [event for event in events if event.type == "task.progress"]
    times = [float(event.time[17:-1]) for event in progress[:-1]]  # the last one is written in any case
    for first, later in zip(times, times[bounds.PROGRESS_PER_SECOND :], strict=False):
        assert (later - first) % 60 >= 0.999
    assert progress[-1].data["fraction"] == 298 / 1_000
    assert sum(event.type == "number.said" for event in events) == 150
