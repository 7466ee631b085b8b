"""Spans through the SDK of OpenTelemetry: what a process exports of its runs, and what bodies find."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan
from reactivex import Observable, create

from reactor import Context, Engine, Event, Retry, Run, Workflow
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import read_all
from reactor.tracing.otel import GivenIds
from reactor.tracing.spans import spans_of
from tests.helpers.runs import wait_until
from tests.helpers.traces import PARENT_ID, TRACE_ID, TRACEPARENT, Exported, Seen, check_tree, told, told_by


@asynccontextmanager
async def traced(*flows: Workflow, **options: Any) -> AsyncGenerator[tuple[Engine, Exported]]:
    exported = Exported(**options)
    async with Engine(workflows=flows, tracing=exported.provider, grace=0.0) as engine:
        yield engine, exported


async def log_of(engine: Engine, run: Run) -> list[Event]:
    return await read_all(engine.log, run.id)


def busy(tracer: Callable[[], trace.Tracer]) -> tuple[Workflow, Workflow]:
    """A flow with a retry, calls, a thread, a map and a child run; spans of a user's in each body."""
    child, flow = Workflow("child"), Workflow("busy")

    @child.task
    def leaf() -> str:
        with tracer().start_as_current_span("in the child"):
            return "leaf"

    @flow.task(retry=Retry(attempts=2, delay=0))
    async def flaky(ctx: Context) -> list[int]:
        with tracer().start_as_current_span("in an attempt"):
            async with ctx.llm_call("gpt-x", estimated_cost=0.5) as call:
                with tracer().start_as_current_span("in a call"):
                    await asyncio.sleep(0)
                call.cost, call.tokens = 0.25, 12
        if ctx.attempt == 1:
            raise ValueError("not yet")
        return [1, 2]

    @flow.task(map="flaky")
    def each(flaky: int, ctx: Context) -> int:
        with ctx.tool_call("search", {"q": "secret"}) as call, tracer().start_as_current_span("in a thread"):
            call.result = flaky
        return flaky

    @flow.task
    async def parent(each: list[int], ctx: Context) -> Any:
        return await ctx.run("child")

    return flow, child


async def test_a_run_is_one_tree_below_the_span_that_started_it() -> None:
    """The run, its attempts, their calls and the child run; and the users' own spans where they were made."""
    async with traced(*busy(lambda: exported.tracer)) as (engine, exported):
        run = await engine.start("busy", traceparent=TRACEPARENT)
        assert await run == {"parent": {"leaf": "leaf"}}
        logs = [await log_of(engine, run), await log_of(engine, await engine.get(f"{run.id}.parent.1"))]
    spans = exported.spans
    check_tree(spans, PARENT_ID)
    assert {span.trace_id for span in spans} == {TRACE_ID}
    assert told(spans) == told_by(logs[0]) + told_by(logs[1])
    by_id = {span.span_id: span for span in spans}
    above = {(span.name, by_id[span.parent_id].name) for span in spans if span.parent_id in by_id}
    assert above == {
        ("task flaky", "run busy"),
        ("in an attempt", "task flaky"),
        ("chat gpt-x", "task flaky"),
        ("in a call", "chat gpt-x"),
        ("task each", "run busy"),
        ("execute_tool search", "task each"),
        ("in a thread", "execute_tool search"),
        ("task parent", "run busy"),
        ("run child", "task parent"),
        ("task leaf", "run child"),
        ("in the child", "task leaf"),
    }


async def test_attempts_are_siblings_and_a_failure_is_recorded() -> None:
    """What failed has the error as status, attribute and event; what went well has none."""
    async with traced(*busy(lambda: exported.tracer)) as (engine, exported):
        await (await engine.start("busy"))
    first, second = exported.named("task flaky")
    assert (first.status, second.status) == ("ERROR", "UNSET")
    assert (first.events, second.events) == (["exception"], [])
    assert (first.attributes["error.type"], first.attributes["reactor.status"]) == ("ValueError", "retrying")
    assert (first.attributes["reactor.attempt"], second.attributes["reactor.attempt"]) == (1, 2)
    assert first.parent_id == second.parent_id == exported.named("run busy")[0].span_id
    [each, _] = exported.named("task each")
    assert {
        "reactor.task": "each",
        "reactor.map_index": 0,
        "reactor.executor": "thread",
    }.items() <= each.attributes.items()


async def test_a_call_says_what_it_cost_and_no_secret() -> None:
    """By the names of the conventions for generative AI; arguments and results are not copied."""
    async with traced(*busy(lambda: exported.tracer)) as (engine, exported):
        await (await engine.start("busy"))
    call, tool = exported.named("chat gpt-x")[0], exported.named("execute_tool search")[0]
    said = {name: value for name, value in call.attributes.items() if name.startswith("gen_ai.")}
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.usage.total_tokens": 12,
        "gen_ai.usage.cost": 0.25,
    }
    assert tool.attributes["gen_ai.tool.name"] == "search"
    assert "secret" not in str(exported.spans)
    [run] = exported.named("run busy")
    assert (run.attributes["reactor.cost"], run.attributes["reactor.tokens"]) == (0.5, 24)


async def test_times_are_those_of_the_events() -> None:
    """A span ends when its event says, and begins then but for what it takes to begin a body."""
    flow = Workflow("f")

    @flow.task
    async def a() -> int:
        await asyncio.sleep(0.01)
        return 1

    async with traced(flow) as (engine, exported):
        run = await engine.start(flow)
        await run
        [value] = [span for span in spans_of(await log_of(engine, run)) if span.name == "task a"]
    [span] = exported.named("task a")
    assert span.end == value.end
    assert abs(span.start - value.start) < 5_000_000


async def test_a_run_without_a_parent_is_the_root_of_a_trace_of_its_own() -> None:
    """A second run, another tenant's run of the same id, and one in another log are others."""
    flow = Workflow("f")
    flow.task(lambda: 1, name="a")
    traces: set[str] = set()
    for _ in range(2):
        async with traced(flow) as (engine, exported):
            for run_id, tenant in [("r", ""), ("s", ""), ("r", "acme")]:
                await (await engine.start(flow, run_id=run_id, tenant=tenant))
        for trace_id in {span.trace_id for span in exported.spans}:
            check_tree([span for span in exported.spans if span.trace_id == trace_id])
            traces.add(trace_id)
        assert [span.attributes.get("reactor.tenant") for span in exported.named("run f")] == [None, None, "acme"]
    assert len(traces) == 6


async def test_a_run_belongs_to_the_current_span_of_who_starts_it() -> None:
    """Also to one inside of the trace that the request has brought; but a traceparent of another trace counts."""
    flow = Workflow("f")
    flow.task(lambda: 1, name="a")
    async with traced(flow) as (engine, exported):
        with exported.tracer.start_as_current_span("mine") as mine:
            context_of = mine.get_span_context()
            same = f"00-{context_of.trace_id:032x}-{PARENT_ID}-01"
            for traceparent in (None, same, TRACEPARENT, "nonsense"):
                await (await engine.start(flow, traceparent=traceparent))
    inside = f"{context_of.span_id:016x}"
    assert [span.parent_id for span in exported.named("run f")] == [inside, inside, PARENT_ID, inside]


@pytest.mark.parametrize("tracer_options", [{}, {"sampler": ParentBased(TraceIdRatioBased(1.0))}])
async def test_what_is_not_sampled_is_not_made(tracer_options: dict[str, Any]) -> None:
    """The flag of the request counts for the whole run, its children, and what bodies do and send."""
    async with traced(*busy(lambda: exported.tracer), **tracer_options) as (engine, exported):
        run = await engine.start("busy", traceparent=TRACEPARENT[:-1] + "0")
        await run
        started = (await log_of(engine, await engine.get(f"{run.id}.parent.1")))[0]
    assert exported.spans == []
    assert started.data["traceparent"].endswith("-00")


async def test_a_sampler_decides_for_runs_that_nobody_asked_to_be_traced() -> None:
    """Once a run: all of it is made, or nothing."""
    flow, child = busy(lambda: exported.tracer)
    async with traced(flow, child, sampler=ALWAYS_OFF) as (engine, exported):
        await (await engine.start(flow))
    assert exported.spans == []


async def test_a_body_finds_its_span_as_the_current_one() -> None:
    """On the loop and in a thread: it may set attributes, and what the starter had in its context is there, too."""
    flow = Workflow("f")

    def body(ctx: Context) -> list[Any]:
        span = trace.get_current_span()
        span.set_attribute("mine", ctx.task_id)
        return [ctx.traceparent, f"{span.get_span_context().span_id:016x}", baggage.get_baggage("user")]

    @flow.task
    async def loop(ctx: Context) -> list[Any]:
        return body(ctx)

    @flow.task
    def thread(loop: list[Any], ctx: Context) -> list[Any]:
        return [loop, body(ctx)]

    async with traced(flow) as (engine, exported):
        token = context.attach(baggage.set_baggage("user", "ann"))
        run = await engine.start(flow, traceparent=TRACEPARENT)
        context.detach(token)
        found = (await run)["thread"]
    for name, (traceparent, span_id, user) in zip(("loop", "thread"), found, strict=True):
        [span] = exported.named(f"task {name}")
        assert (traceparent, span_id, user) == (f"00-{TRACE_ID}-{span.span_id}-01", span.span_id, "ann")
        assert span.attributes["mine"] == name


async def test_an_observable_of_a_body_is_subscribed_inside_of_its_span() -> None:
    """What it does is what the attempt does."""
    flow, found = Workflow("f"), list[int]()

    @flow.task
    async def a() -> Observable[int]:
        def subscribe(observer: Any, scheduler: Any = None) -> Any:
            found.append(trace.get_current_span().get_span_context().span_id)
            observer.on_next(1)
            observer.on_completed()

        return create(subscribe)

    async with traced(flow) as (engine, exported):
        await (await engine.start(flow))
    assert [f"{id:016x}" for id in found] == [exported.named("task a")[0].span_id]


async def test_a_span_does_not_leak_into_what_comes_next() -> None:
    """After a body, and for who starts a run, the current span is what it was."""
    flow = Workflow("f")

    @flow.task
    async def a(ctx: Context) -> int:
        async with ctx.llm_call("m"):
            pass
        return trace.get_current_span().get_span_context().span_id

    async with traced(flow) as (engine, exported):
        with trace.use_span(NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)):
            inside = (await (await engine.start(flow)))["a"]
            assert trace.get_current_span().get_span_context() == trace.INVALID_SPAN_CONTEXT
    assert f"{inside:016x}" == exported.named("task a")[0].span_id


async def test_without_spans_a_run_hands_on_what_it_was_given() -> None:
    """``ctx.traceparent`` needs no OpenTelemetry; children belong to the same; nothing is current anywhere."""
    child, flow = Workflow("child"), Workflow("f")

    @child.task
    def leaf(ctx: Context) -> str | None:
        return ctx.traceparent

    @flow.task
    async def a(ctx: Context) -> list[Any]:
        return [ctx.traceparent, (await ctx.run(child))["leaf"], trace.get_current_span().get_span_context().is_valid]

    async with Engine(tracing=False) as engine:
        assert await (await engine.start(flow, traceparent=TRACEPARENT)) == {"a": [TRACEPARENT, TRACEPARENT, False]}
        assert await (await engine.start(flow)) == {"a": [None, None, False]}


async def test_sessions_and_retries_belong_to_what_started_them() -> None:
    """All that starts a run takes a traceparent; the old run of a retry keeps its own."""
    flow = Workflow("f")
    flow.task(lambda: 1, name="a")
    other = TRACEPARENT.replace(PARENT_ID, "1" * 16)
    async with traced(flow) as (engine, exported):
        run = await engine.start(flow, traceparent=TRACEPARENT)
        await run
        await (await engine.retry(run.id, traceparent=other))
        session = await engine.session("s", traceparent=other)
        await session.close()
        await engine.ensure(flow, run_id="e", traceparent=other)
        await (await engine.get("e")).ended()
    runs = [span for span in exported.spans if span.name.startswith("run ")]
    assert [span.parent_id for span in runs] == [PARENT_ID, "1" * 16, "1" * 16, "1" * 16]
    assert runs[1].attributes["reactor.retry_of"] == run.id


async def test_other_tracers_of_the_provider_keep_their_ids() -> None:
    """Only the tracer named reactor is given ours, and that once, however many engines there are."""
    exported = Exported()
    for _ in range(2):
        async with Engine(tracing=exported.provider):
            pass
    ours, others = exported.provider.get_tracer("reactor"), exported.provider.get_tracer("mine")
    assert isinstance(ours.id_generator, GivenIds)  # type: ignore[attr-defined]
    assert ours.id_generator._inner is others.id_generator is exported.provider.id_generator  # type: ignore[attr-defined]


class Breaks(SpanProcessor):
    """A processor of somebody's, which raises."""

    def __init__(self, method: str) -> None:
        self.calls = 0
        setattr(self, method, self._raise)

    def _raise(self, *_: Any, **__: Any) -> None:
        self.calls += 1
        raise RuntimeError("the exporter is gone")


@pytest.mark.parametrize("method", ["on_start", "on_end"])
async def test_a_processor_that_raises_changes_no_run(method: str, caplog: pytest.LogCaptureFixture) -> None:
    """One line says so; nothing more is traced, and bodies, children and events are as ever."""
    exported, broken = Exported(), Breaks(method)
    exported.provider.add_span_processor(broken)
    flow, child = busy(lambda: trace.NoOpTracer())
    async with Engine(workflows=[flow, child], tracing=exported.provider) as engine:
        run = await engine.start(flow, traceparent=TRACEPARENT)
        assert await run == {"parent": {"leaf": "leaf"}}
    assert broken.calls == 1
    lines = [record for record in caplog.records if "tracing raised" in record.getMessage()]
    assert [line.levelno for line in lines] == [logging.ERROR]


async def test_a_run_that_goes_on_is_one_tree(tmp_path: Any) -> None:
    """After a stop, in another engine: what had begun is lost, what follows is beside it; nothing is there twice."""
    flow, child = Workflow("f"), Workflow("child")

    @child.task
    async def asks(ctx: Context) -> Any:
        async with ctx.llm_call("m"):
            return await ctx.receive("go on?")

    @flow.task
    async def first() -> int:
        return 1

    @flow.task
    async def waits(first: int, ctx: Context) -> Any:
        return await ctx.run("child")

    exported = Exported()
    path = tmp_path / "runs.db"
    for life in range(2):
        async with Engine(SqliteLog(path), workflows=[flow, child], tracing=exported.provider, grace=0.0) as engine:
            run = await engine.start(flow, run_id="r", traceparent=TRACEPARENT) if life == 0 else await engine.get("r")
            below = await asyncio.wait_for(engine.wait_for("r.waits.1"), 10)
            await wait_until(partial(_waits, below, life + 1))
            if life == 1:
                await below.send("asks", "yes")
                assert await run == {"waits": {"asks": "yes"}}
                logs = [await log_of(engine, run), await log_of(engine, await engine.get("r.waits.1"))]
    check_tree(exported.spans, PARENT_ID)
    assert told(exported.spans) == told_by(logs[0]) + told_by(logs[1])
    lost = [span for span in exported.spans if span.attributes["reactor.status"] == "lost"]
    assert sorted(span.name for span in lost if span.name != "chat m") == ["task asks", "task waits"]
    assert {span.attributes["error.type"] for span in lost} == {"stopped"}
    again: list[Seen] = [span for span in exported.named("task asks") if span.attributes["reactor.attempt"] == 2]
    assert len(again) == 1


def _waits(run: Run, attempt: int) -> bool:
    task = run.state.tasks.get("asks")
    return task is not None and (task.attempt, task.status) == (attempt, "waiting")


def test_what_is_no_provider_is_refused() -> None:
    """One sentence."""
    with pytest.raises(TypeError, match="tracing is True, False or a TracerProvider of OpenTelemetry, not str"):
        Engine(MemoryLog(), tracing="yes")  # type: ignore[arg-type]


class Foreign:
    """A provider that is not the SDK's."""

    def get_tracer(self, name: str, /) -> trace.Tracer:
        return trace.NoOpTracer()


async def test_a_provider_of_another_kind_is_said_to_be_none(caplog: pytest.LogCaptureFixture) -> None:
    """Ids can only be given to spans of the SDK; who asks for another is told."""
    async with Engine(tracing=Foreign()) as engine:
        assert engine._common.tracing is None
    assert "no spans are made: their provider is not that of the SDK provider=Foreign" in caplog.text


async def test_a_disabled_sdk_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """``OTEL_SDK_DISABLED=true``."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with Engine(tracing=TracerProvider(shutdown_on_exit=False)) as engine:
        assert engine._common.tracing is None
