"""The judges of AG-UI take every log: npm ``@ag-ui/client`` with its verifier on, PyPI ``ag-ui-validate``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from reactor import Context, Engine, Event, Retry, Workflow
from reactor_web import dialects
from reactor_web.testing.dialect_laws import prefix
from tests.events.golden.record import FOLDER, read
from tests.helpers.agui import Verifier, frames_of, judge, messages_in
from tests.helpers.dags import Spec, build
from tests.helpers.folding import CANCELS, recorded
from tests.helpers.recorded_runs import small_dags
from tests.helpers.runs import full_log, run_to_end, wait_for_event
from tests.helpers.server import Serve, Server

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    """The vendor's client."""
    with Verifier() as verifier:
        yield verifier


def accepted(verifier: Verifier, log: Sequence[Event]) -> list[dict[str, Any]]:
    """The messages of a log, which both judges accept; the client has our state at the end."""
    dialect, frames = dialects.find("ag-ui"), frames_of(log)
    messages = messages_in(frames)
    judge(messages)
    verdict = verifier.verify(frames)
    assert (verdict.error, verdict.warnings) == (None, [])
    assert verdict.types == [message["type"] for message in messages]
    state, _ = dialect.begin(log[0], "resume")
    for event in log:
        dialect.step(state, event)
    if not state.facts.is_session:
        assert verdict.state["reactor"] == {"run": state.board.run, "tasks": state.board.tasks}
    return messages


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_run_is_accepted(verifier: Verifier, name: str) -> None:
    """No error, no warning of either judge; every patch has been applied."""
    accepted(verifier, read(name)[0])


@pytest.mark.slow
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ],
)  # fmt: skip
@given(small_dags(), CANCELS)
def test_any_run_is_accepted(verifier: Verifier, spec: Spec, stop: int | None) -> None:
    """Maps, failures, retries, skips, a cancel at any moment; and the frames of a prefix are a prefix."""
    log = asyncio.run(recorded(build(spec), stop))
    accepted(verifier, log)
    prefix(dialects.find("ag-ui"), log)


# --- real runs --------------------------------------------------------------------------------------------------


async def test_a_run_of_everything_is_accepted(verifier: Verifier) -> None:
    """Retried with text, mapped, skipped by a condition and after a failure, failed in the middle of a text."""
    flow = Workflow("everything")

    @flow.task
    async def numbers(ctx: Context) -> list[int]:
        async with ctx.tool_call("count", {"to": 3}) as call:
            call.result = 3
        return [0, 1, 2]

    @flow.task(map={"n": "numbers"}, retry=Retry(attempts=2, delay=0))
    async def write(n: int, ctx: Context) -> int:
        await ctx.progress(0.5, f"writing {n}")
        await ctx.chunk(f"{n}: one")
        await ctx.committed()
        if n == 1 and ctx.attempt == 1:
            raise ConnectionError("lost")
        await ctx.chunk("two")
        return n

    @flow.task(when=lambda write: False)
    async def unwanted(write: list[int]) -> int:
        return 1

    @flow.task
    async def broken(write: list[int], ctx: Context) -> int:
        await ctx.chunk("half a sen")
        await ctx.committed()
        raise ValueError("no more words")

    @flow.task
    async def after(broken: int) -> int:
        return broken

    messages = accepted(verifier, await run_to_end(flow))
    assert messages[-1]["type"] == "RUN_ERROR"
    assert messages[-1]["message"] == "no more words"
    texts = [message["messageId"].partition("/")[2] for message in messages if message["type"] == "TEXT_MESSAGE_START"]
    assert sorted(texts) == ["broken#1", "write[0]#1", "write[1]#1", "write[1]#2", "write[2]#1"]


async def test_questions_that_are_parallel_cancelled_and_answered_are_accepted(verifier: Verifier) -> None:
    """Two tasks ask beside one that runs; one is answered, the run is cancelled while the other waits."""
    flow, gate = Workflow("asking"), asyncio.Event()

    @flow.task
    async def slow(ctx: Context) -> None:
        await ctx.chunk("thinking")
        await gate.wait()

    @flow.task
    async def first(ctx: Context) -> Any:
        return await ctx.receive("one?", schema=int)

    @flow.task
    async def second(ctx: Context) -> Any:
        await ctx.chunk("well")
        return await ctx.receive("two?", schema=str)

    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.waiting", count=2)
        gate.set()
        await wait_for_event(run, "task.completed", "slow")
        await run.send("first", 1)
        await wait_for_event(run, "task.completed", "first")
        await run.cancel(reason="enough")
        messages = accepted(verifier, await full_log(engine, run))
    ends = [message["outcome"] for message in messages if message["type"] == "RUN_FINISHED"]
    asked = [[interrupt["id"] for interrupt in end.get("interrupts", ())] for end in ends]
    assert [sorted(ids) for ids in asked] == [["first/1", "second/1"], ["second/1"], []]
    assert ends[-1] == {"type": "cancelled"}


async def test_a_stream_is_cut_after_any_frame_and_goes_on(serve: Serve) -> None:
    """Over HTTP, with an interrupt in the middle: what comes after an id is what is missing of the whole."""
    flow = Workflow("asking")

    @flow.task
    async def ask(ctx: Context) -> Any:
        await ctx.chunk("well, ")
        await ctx.progress(0.5)
        answer = await ctx.receive("n?", schema=int)
        await ctx.chunk("yes")
        return answer

    server = await serve(Engine(), flow)
    run = await server.engine.start(flow, run_id="cut")
    await wait_for_event(run, "task.waiting")
    await run.send("ask", 1)
    await run
    async with server.events("cut", "?dialect=ag-ui") as stream:
        frames = await stream.all()
    judge(messages_in(stream.raw))
    assert [json.loads(frame.data)["type"] for frame in frames].count("RUN_FINISHED") == 2
    for place, frame in enumerate(frames[:-1], 1):
        async with server.events("cut", "?dialect=ag-ui", **{"Last-Event-ID": frame.id}) as stream:
            assert await stream.all() == frames[place:], f"after {frame.id}"
    assert (await server.get(f"/runs/cut/events?dialect=ag-ui&after={frames[-1].id}"))[0] == 204


@pytest.mark.parametrize("option", ["types=task.*", "tasks=a", "throttle=100", "tail=3", "snapshot=1", "logs=2"])
async def test_what_would_make_a_hole_is_refused(server: Server, option: str) -> None:
    """Clients take a stream that lacks something for a broken one."""
    status, problem = await server.get(f"/runs/nothing/events?dialect=ag-ui&{option}")
    assert (status, problem["detail"]) == (400, f"{option.partition('=')[0]} has no meaning in the dialect ag-ui")
