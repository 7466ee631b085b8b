"""``GET /questions``: what all runs wait for, over HTTP and in the clients."""

from __future__ import annotations

from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from reactor import Context, Engine, Workflow
from reactor_web import Client, Guard, Principal, create_app
from reactor_web.client import SyncClient
from reactor_web.guard.principal import SCOPES
from tests.helpers.remote import served
from tests.helpers.runs import wait_for_event
from tests.helpers.server import API, Serve, Server


def asking(name: str = "asking") -> Workflow:
    flow = Workflow(name)

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.receive("sure?", schema=bool, key="sure")

    return flow


async def start(engine: Engine, flow: Workflow, *ids: str, **options: Any) -> None:
    for run_id in ids:
        await wait_for_event(await engine.start(flow, run_id=run_id, **options), "task.waiting")


async def test_pages_over_http_have_what_the_engine_has(serve: Serve) -> None:
    """The newest first; the cursor of each leads to the next, and says no id."""
    flow = asking()
    server = await serve(Engine("memory://", grace=0.0), flow)
    await start(server.engine, flow, "a", "b", "c", meta={"customer": "c1"})
    found: list[Any] = []
    cursor = ""
    while True:
        status, page = await server.get(f"/questions?limit=1{cursor}")
        assert status == 200, page
        found += page["questions"]
        if page["cursor"] is None:
            break
        assert page["cursor"].startswith("!")
        cursor = f"&cursor={page['cursor']}"
    (first, *_) = (await server.engine.questions()).questions
    expected = {name: value for name, value in first._asdict().items() if name != "expires"}
    assert found[0] == expected
    assert [asked["run_id"] for asked in found] == ["c", "b", "a"]
    assert len((await server.get("/questions?meta.customer=c1&workflow=asking"))[1]["questions"]) == 3
    assert (await server.get("/questions?meta.customer=c2"))[1] == {"questions": [], "cursor": None}


async def test_a_bad_query_is_told_what_is_wrong(serve: Serve) -> None:
    """With the name of the parameter."""
    server = await serve(Engine("memory://", grace=0.0), asking())
    for query, part in {
        "limit=0": "limit is '0'", "limit=201": "limit is '201'", "cursor=x": "cursor: this is not",
        "workflw=x": "did you mean 'workflow'", "cursor=!AA.1": "cursor: this is not", "status=running": "no parameter",
    }.items():  # fmt: skip
        status, body = await server.get(f"/questions?{query}")
        assert status == 400, query
        assert part in body["detail"], body


async def test_who_sees_some_runs_sees_the_questions_of_these() -> None:
    """By the id of the run, by its workflow, and by the tenant; a cursor of another tenant is none."""
    flow, other = asking(), asking("other")
    who = Principal("x", SCOPES)

    async def authorize(request: Any) -> Principal:
        return who

    engine = Engine("memory://", grace=0.0)
    app = create_app(engine, [flow, other], guard=Guard(authorize=authorize))
    async with TestClient(TestServer(app)) as client:
        await start(engine, flow, "a", "b")
        await start(engine, other, "c")
        await start(engine, flow, "d", tenant="acme")

        async def asked(query: str = "") -> Any:
            async with client.get(f"{API}/questions{query}") as response:
                body = await response.json()
                return [one["run_id"] for one in body["questions"]] if response.status == 200 else response.status

        assert await asked() == ["c", "b", "a"]
        async with client.get(f"{API}/questions?limit=1") as response:
            cursor = (await response.json())["cursor"]
        assert await asked(f"?cursor={cursor}") == ["b", "a"]
        who = Principal("x", SCOPES, runs=("a", "c"))
        assert await asked() == ["c", "a"]
        who = Principal("x", SCOPES, workflows=("asking",))
        assert await asked() == ["b", "a"]
        assert await asked(f"?cursor={cursor}") == ["b", "a"]
        who = Principal("x", SCOPES, tenant="acme")
        assert await asked() == ["d"]
        assert await asked(f"?cursor={cursor}") == 400


async def test_the_clients_have_the_pages_of_the_engine() -> None:
    """With and without ``await``; longer ones than an answer has are put together."""
    flow = Workflow("many")
    flow.task(lambda: list(range(230)), name="numbers")

    @flow.task(map={"number": "numbers"})
    async def each(number: int, ctx: Context) -> Any:
        return await ctx.receive("sure?", timeout=3_600)

    engine = Engine("memory://", grace=0.0)
    with served(engine, flow) as url, SyncClient(url) as client:
        run = client.start("many", run_id="m")
        for event in run:
            if event.type == "task.waiting" and len(client.questions(limit=1_000).questions) == 230:
                break
        first = client.questions(limit=210)
        assert len(first.questions) == 210
        assert first.cursor is not None
        rest = client.questions(before=first.cursor, workflow="many")
        assert len(rest.questions) == 20
        assert rest.cursor is None
        seqs = [asked.seq for asked in [*first.questions, *rest.questions]]
        assert seqs == sorted(set(seqs), reverse=True)
        assert all(asked.expires and asked.since and asked.run_id == "m" for asked in rest.questions)
        run.request_cancel(0)


async def test_the_client_asks_as_the_engine_does(server: Server) -> None:
    """The same page, but for the form of its cursor."""
    flow = asking()
    server.engine.register(flow)
    await start(server.engine, flow, "a", "b", meta={"n": 1})
    cases: list[dict[str, Any]] = [{}, {"workflow": "asking"}, {"meta": {"n": "1"}}, {"meta": {"n": "2"}}]
    async with Client(server.url) as client:
        for wanted in cases:
            ours, theirs = await server.engine.questions(**wanted), await client.questions(**wanted)
            assert ours == theirs
