"""What runs do is counted once, under labels of which there are few."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from pytest_aiohttp import AiohttpClient

from reactor import Context, Engine, Limit, Retry, Workflow, tool
from reactor.events.drafts import completed, ended
from reactor.events.event import Draft, Event
from reactor.events.restoring import Encoded
from reactor.listeners import RunInfo
from reactor.testing import read_all
from reactor_web import ReactorCollector, create_app, mount
from reactor_web.metrics.ends import task_seconds
from reactor_web.metrics.engine_ears import MAX_ASKING, MAX_WORKFLOWS, EngineEars
from reactor_web.metrics.names import METRICS
from tests.helpers.promtool import samples, value
from tests.helpers.runs import PATIENCE
from tests.helpers.server import Serve, Server


async def page_of(server: Server) -> str:
    async with server.session.get(f"{server.url}/metrics") as response:
        assert response.status == 200
        return await response.text()


def busy_workflow() -> Workflow:
    """Completes, fails after a retry, skips, spends, asks, and calls a child."""
    flow = Workflow("busy")
    child = child_workflow()

    @flow.task
    async def spends(ctx: Context) -> list[int]:
        ctx.spend(cost=0.25, tokens=7)
        await ctx.run(child, {})
        return [1, 2, 3]

    @flow.task(map="spends")
    async def each(spends: int) -> int:
        return spends

    @flow.task(retry=Retry(attempts=2, delay=0.0))
    async def breaks() -> None:
        raise ValueError("always")

    @flow.task
    async def never(breaks: None) -> None: ...

    return flow


def child_workflow() -> Workflow:
    child = Workflow("child")

    @child.task
    async def also(ctx: Context) -> None:
        ctx.spend(cost=1.0, tokens=1)

    return child


@tool(name="metrics.upper")
def upper(text: str) -> str:
    return text.upper()


async def test_what_the_log_says_is_what_is_counted(serve: Serve) -> None:
    """Runs, tasks, attempts, events and what was spent, as a reader of the log counts them; a child's cost once."""
    server = await serve(Engine("memory://"), busy_workflow(), child_workflow())
    await server.start("busy", run_id="r1")
    run = await server.engine.get("r1")
    await asyncio.wait_for(run.ended(), PATIENCE)
    page = await page_of(server)
    logs = [await read_all(server.engine.log, id) for id in ("r1", *(run.state.children or {}))]
    events = [event for log in logs for event in log]
    of_busy, total = [event.type for event in logs[0]], [event.type for event in events]
    for status in ("completed", "failed", "skipped", "cancelled"):
        found = value(page, "reactor_tasks_total", workflow="busy", status=status)
        assert found == of_busy.count(f"task.{status}"), status
    assert value(page, "reactor_runs_total", workflow="busy", status="failed") == 1
    assert value(page, "reactor_runs_total", workflow="child", status="completed") == 1
    assert value(page, "reactor_runs_started_total") == 2
    assert value(page, "reactor_retries_total", workflow="busy") == of_busy.count("task.retrying") == 1
    assert value(page, "reactor_events_total") == value(page, "reactor_window_events_sum") == len(events)
    assert value(page, "reactor_append_seconds_count") == value(page, "reactor_window_events_count")
    ran = [event for event in events if event.type in ("task.completed", "task.failed")]
    assert value(page, "reactor_task_seconds_count") == len(ran)
    seconds = sum(event.data["duration_ms"] for event in ran) / 1000
    assert value(page, "reactor_task_seconds_sum") == pytest.approx(seconds)
    assert total.count("task.spent") == 3, "the child's is told in its parent, too"
    assert (value(page, "reactor_cost_total"), value(page, "reactor_tokens_total")) == (1.25, 8)
    assert value(page, "reactor_log_bytes") == sum(len(event.json) for event in events) + sum(
        [len(blob) for log in logs for event in log if (blob := await server.engine.log.blob(event.run_id, event.seq))]
    )


async def test_labels_are_names_of_the_server(serve: Serve) -> None:
    """Plans, sessions and workflows that nobody has registered share labels; no id and no input is on the page."""
    server = await serve(Engine("memory://", tools=[upper]), busy_workflow())
    engine = server.engine
    mine = Workflow("strange-workflow")
    mine.task(lambda text: 1, name="strange-task")
    plan = {"name": "strange-plan", "tasks": [{"id": "t", "tool": "metrics.upper", "input": {"text": "x"}}]}
    assert (await server.post("/runs", {**plan, "run_id": "planned"}))[0] == 201
    runs = [
        await engine.get("planned"),
        await engine.start(mine, {"text": "strange"}, run_id="strange-id", meta={"m": "strange"}),
        await engine.tenant("strange-tenant").start(mine, {"text": ""}),
    ]
    await asyncio.gather(*(asyncio.wait_for(run.ended(), PATIENCE) for run in runs))
    session = await engine.session("said", meta={"m": "strange"})
    await session.close()
    await server.get("/runs/strange")
    page = await page_of(server)
    assert "strange" not in page
    started = {s.labels["workflow"]: s.value for s in samples(page) if s.name == "reactor_runs_started_total"}
    assert started == {"busy": 0, "other": 2, "plan": 1, "session": 1}
    assert value(page, "reactor_runs_total", status="completed") == 4


async def test_beyond_a_number_workflows_are_counted_together() -> None:
    """Names that a program makes up without end do not fill the memory."""
    ears = EngineEars(lambda name: True, lambda is_open: None)
    for n in range(3 * MAX_WORKFLOWS):
        ears.know(f"w{n}")
        ears.run_window_appended(RunInfo("r", "", f"w{n}"), [], 0.0)
    assert len(ears.by_label) == MAX_WORKFLOWS + 1


async def test_runs_that_have_asked_and_went_elsewhere_do_not_fill_the_memory() -> None:
    """Nobody may ever ask for the page, which takes them out; a run that ends here goes by itself."""
    ears = EngineEars(lambda name: True, lambda is_open: None)

    def heard(type: str, n: int) -> None:
        event = Event.from_draft(1, f"r{n}", b"2026-12-01T00:00:00.000000Z", Draft(type, b"{}"))
        ears.run_window_appended(RunInfo(f"r{n}", "", "w"), [event], 0.0)

    for n in range(MAX_ASKING + 10):
        heard("task.waiting", n)
    assert len(ears.may_ask) == MAX_ASKING
    assert RunInfo(f"r{MAX_ASKING + 9}", "", "w") in ears.may_ask
    heard("run.completed", MAX_ASKING + 9)
    assert len(ears.may_ask) == MAX_ASKING - 1


async def test_open_questions_threads_and_waits_are_shown(serve: Serve) -> None:
    """What goes on now: also after an answer, and when nothing goes on any more."""
    flow, gate = Workflow("asks"), asyncio.Event()

    @flow.task
    async def asks(ctx: Context) -> int:
        return await ctx.receive("first?") + await ctx.receive("second?")

    @flow.task(limits=[Limit("one", 1)])
    async def holds() -> None:
        await gate.wait()

    @flow.task(limits=[Limit("one", 1)])
    async def waits() -> None: ...

    server = await serve(Engine("memory://"), flow)
    await server.start("asks", run_id="r1")
    run = await server.engine.get("r1")
    async for event in run:
        if event.type == "task.waiting":
            break
    page = await page_of(server)
    assert (value(page, "reactor_questions_open"), value(page, "reactor_runs_open")) == (1, 1)
    await run.send("asks", 1, key="1")
    await run.send("asks", 2, key="2")
    gate.set()
    await asyncio.wait_for(run.ended(), PATIENCE)
    page = await page_of(server)
    assert (value(page, "reactor_questions_open"), value(page, "reactor_runs_open")) == (0, 0)
    assert value(page, "reactor_task_wait_seconds_count") == 1


async def test_a_run_that_goes_on_after_a_restart_has_its_questions(serve: Serve, tmp_path: Path) -> None:
    """They were asked before this process began."""
    flow = Workflow("asks")

    @flow.task
    async def asks(ctx: Context) -> int:
        return await ctx.receive("how many?")

    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, workflows=[flow], grace=0.0) as engine:
        async for event in await engine.start(flow, run_id="r1"):
            if event.type == "task.waiting":
                break
    server = await serve(Engine(url, grace=0.0), flow)
    async with asyncio.timeout(PATIENCE):  # the body asks again, in a moment
        while value(await page_of(server), "reactor_questions_open") != 1:
            await asyncio.sleep(0)
    await (await server.engine.get("r1")).cancel()
    page = await page_of(server)
    assert value(page, "reactor_questions_open") == 0
    assert value(page, "reactor_log_bytes") > 4096


# --- how it is asked ------------------------------------------------------------------------------------------------


async def test_every_metric_is_on_the_page_and_no_other(serve: Serve) -> None:
    """With the type and the labels of the table, which the docs are held against."""
    server = await serve(Engine("memory://"), busy_workflow(), child_workflow())
    await server.start("busy", run_id="r1")
    await asyncio.wait_for((await server.engine.get("r1")).ended(), PATIENCE)
    async with server.events("r1"):
        await server.post("/workflows/busy/runs", {"input": {"unknown": 1}})
    page = await page_of(server)
    types = dict(line.split()[2:4] for line in page.splitlines() if line.startswith("# TYPE reactor_"))
    assert types == {name: metric.type for name, metric in METRICS.items()}
    for sample in samples(page):
        name = sample.name if sample.name in METRICS else re.sub("_(bucket|sum|count)$", "", sample.name)
        if not sample.name.startswith("process_"):
            assert set(sample.labels) - {"le"} == set(METRICS[name].labels), sample
    assert "_created" not in page


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html;q=0.9,text/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0"),
    ],
)
async def test_the_form_is_what_the_client_reads(server: Server, accept: str, content_type: str) -> None:
    """Text, or OpenMetrics, which ends with ``# EOF``; both with the same values."""
    async with server.session.get(f"{server.url}/metrics", headers={"Accept": accept}) as response:
        body = await response.text()
        assert response.status == 200
        assert response.headers["Content-Type"].startswith(content_type)
        assert response.headers["Cache-Control"] == "no-store"
        assert body.endswith("# EOF\n") == content_type.startswith("application")
        assert "reactor_runs_open 0.0" in body


async def test_several_mounts_have_one_page_and_count_once(aiohttp_client: AiohttpClient) -> None:
    """Two engines of one application, and one of them under two prefixes."""
    app, flow, first, second = web.Application(), Workflow("flow"), Engine("memory://"), Engine("memory://")
    flow.task(lambda: 1, name="a")
    mount(app, first, [flow])
    mount(app, first, prefix="/again")
    mount(app, second, [flow], prefix="/second")
    client = await aiohttp_client(app)
    for engine in (first, second):
        await asyncio.wait_for((await engine.start(flow, run_id="r1")).ended(), PATIENCE)
    async with client.get("/second/runs/r1/events") as stream:
        await stream.read()
    pages = [await (await client.get(f"{prefix}/metrics")).text() for prefix in ("/api/v1", "/again", "/second")]
    for page in pages:
        assert value(page, "reactor_runs_total", workflow="flow", status="completed") == 2
        assert value(page, "reactor_streams_opened_total") == 1
        assert value(page, "reactor_log_retention_runs") == 1000


async def test_it_can_be_off(aiohttp_client: AiohttpClient) -> None:
    """Then nothing hears of windows, and the page says so."""
    engine = Engine("memory://")
    client = await aiohttp_client(create_app(engine, metrics=False))
    response = await client.get("/api/v1/metrics")
    assert response.status == 404
    assert "metrics=False" in (await response.json())["detail"]
    assert not engine.listeners.hear_windows


async def test_an_engine_that_outlives_its_application_is_let_go(aiohttp_client: AiohttpClient) -> None:
    """What served it hears nothing more of it."""
    async with Engine("memory://") as engine:
        client = await aiohttp_client(create_app(engine))
        assert engine.listeners.hear_windows
        await client.close()
        assert not engine.listeners.hear_windows


async def test_a_registry_of_ones_own_reads_from_any_thread() -> None:
    """Without an application, and while runs go on."""
    flow, registry = Workflow("flow"), CollectorRegistry()

    @flow.task
    async def says(ctx: Context) -> None:
        for n in range(300):
            await ctx.emit("step.made", {"n": n})
            await asyncio.sleep(0)

    engine = Engine("memory://", workflows=[flow])
    collector = ReactorCollector(engine)
    registry.register(collector)
    async with engine:
        runs = [await engine.start(flow) for _ in range(20)]
        pages = [(await asyncio.to_thread(generate_latest, registry)).decode() for _ in range(20)]
        await asyncio.gather(*(asyncio.wait_for(run.ended(), PATIENCE) for run in runs))
        pages.append(generate_latest(registry).decode())
        collector.close()
        await asyncio.wait_for((await engine.start(flow)).ended(), PATIENCE)
        pages.append(generate_latest(registry).decode())
    counted = [value(page, "reactor_events_total") for page in pages]
    assert counted == sorted(counted)
    assert counted[-1] == counted[-2] == 20 * 304


@pytest.mark.parametrize("wrong", [("memory://",), ()])
def test_what_is_no_engine_is_refused(wrong: tuple[Any, ...]) -> None:
    """With a sentence that says what it takes."""
    with pytest.raises(TypeError, match="engine"):
        ReactorCollector(*wrong)


# --- what is read from bytes ----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=9) | st.just('"duration_ms":7,'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("duration_ms") | st.text(max_size=5), inner),
)


@settings(deadline=None)  # a machine that is busy
@given(JSON, st.floats(0, 1e9), st.booleans(), st.booleans())
def test_a_duration_is_found_whatever_the_output_looks_like(
    output: Any, duration: float, cached: bool, recoverable: bool
) -> None:
    """The same as a decoder finds; nothing of what was not run."""
    encoded = Encoded(orjson.dumps(output), False, recoverable)
    data, _ = completed(encoded, round(duration, 3), "ref", cached=cached)
    event = Event.from_draft(
        2, "r", b"2026-01-01T00:00:00.000000Z", Draft("task.completed", ended(data, 500_000, None))
    )
    found = task_seconds(event.json)
    assert found == (None if cached else event.data["duration_ms"] / 1000)
