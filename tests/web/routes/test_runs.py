"""Reading runs over HTTP: results, pages, and what a bad request is answered."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from reactor import Context, Workflow
from reactor_web import Client
from tests.helpers.runs import wait_for_event
from tests.helpers.server import Server


async def ask(ctx: Context) -> str:
    return await ctx.receive("what?")


async def test_an_output_of_any_size_is_had_in_full(server: Server) -> None:
    """Above 32 KiB the event has a reference and a preview; the route has the bytes."""
    flow = Workflow("large")
    flow.task(lambda: list(range(20_000)), name="large")
    server.engine.register(flow)
    run = await server.start("large")
    await (await server.engine.get(run["run_id"]))
    status, output = await server.get(f"/runs/{run['run_id']}/tasks/large/output")
    assert (status, output) == (200, list(range(20_000)))
    _, body = await server.get(f"/runs/{run['run_id']}")
    assert body["outputs"]["large"] == output
    async with server.events(run["run_id"]) as stream:
        completed = json.loads((await stream.until("task.completed")).data)["data"]
    assert completed["output_ref"] == f"runs/{run['run_id']}/tasks/large/output"
    assert completed["size"] == len(json.dumps(output, separators=(",", ":")))
    assert completed["preview"].startswith("[0,1,2,")


async def test_runs_are_listed_newest_first_by_pages(server: Server) -> None:
    """limit and cursor walk through all runs; status and workflow filter."""
    ids = [(await server.start("small", run_id=f"run-{i}"))["run_id"] for i in range(5)]
    for id in ids:
        await (await server.engine.get(id))
    await server.start("gated", run_id="open")
    found: list[str] = []
    cursor = ""
    while True:
        _, body = await server.get(f"/runs?limit=2{cursor}")
        found += [run["run_id"] for run in body["runs"]]
        if body["cursor"] is None:
            break
        cursor = f"&cursor={body['cursor']}"
    assert found == ["open", *reversed(ids)]
    assert [run["run_id"] for run in (await server.get("/runs?status=running"))[1]["runs"]] == ["open"]
    assert len((await server.get("/runs?workflow=small&status=completed"))[1]["runs"]) == 5


async def test_runs_are_listed_by_what_is_true_of_them(server: Server) -> None:
    """Since when and until when they have started, members of meta, and whether they wait for an answer; together, and
    in a client in Python, too."""
    await server.start("small", run_id="a", meta={"customer": "c1", "size": 2})
    await (await server.engine.get("a")).ended()
    asking = Workflow("asking")
    asking.task(ask)
    run = await server.engine.start(asking, run_id="q", meta={"customer": "c1"})
    await wait_for_event(run, "task.waiting")
    await server.start("gated", run_id="g", meta={"customer": "c2"})
    first, second, _ = [record.created for record in (await server.engine.list())[::-1]]

    async def listed(query: str) -> list[str]:
        status, body = await server.get(f"/runs?{query}")
        assert status == 200, body
        return [run["run_id"] for run in body["runs"]]

    assert await listed("meta.customer=c1") == ["q", "a"]
    assert await listed("meta.customer=c1&meta.size=2") == ["a"]
    assert await listed("meta.customer=c1&status=running") == ["q"]
    assert await listed("question=1") == ["q"]
    assert await listed("question=0") == ["g", "q", "a"]
    assert await listed("open=1") == ["g", "q"]
    assert await listed(f"since={second}") == ["g", "q"]
    assert await listed(f"until={second}") == ["a"]
    assert await listed(f"since={first}&until={second}&meta.customer=c1") == ["a"]
    there = datetime.fromisoformat(second).astimezone(timezone(timedelta(hours=2))).isoformat()
    assert await listed(f"until={there}") == ["a"], "a + that stands as it is comes as a space"
    async with Client(server.url) as client:
        since = datetime.fromisoformat(second)
        found = await client.list(since=since, meta={"customer": "c1"}, question=True)
        assert [record.run_id for record in found] == ["q"]
        assert [record.run_id async for record in client.runs(until=since)] == ["a"]
    await run.send("ask", "yes")
    await run.ended()
    assert await listed("question=1") == []


async def test_a_page_says_where_to_follow_on(server: Server) -> None:
    """``GET /events?after=<position>`` has what is newer than the page, and not the history before it; a page without
    runs, or of runs that are long over, has the position of the newest."""
    assert (await server.get("/runs"))[1] == {"runs": [], "cursor": None, "position": 0}
    for id in ("a", "b"):
        await server.start("small", run_id=id)
        await (await server.engine.get(id)).ended()
    await server.start("gated", run_id="g")
    positions = [(await server.get(f"/runs{query}"))[1]["position"] for query in ("", "?status=failed", "?limit=1")]
    server.gates.open()
    await (await server.engine.get("g")).ended()
    for position in positions:
        _, page = await server.get(f"/events?types=run.*&after={position}", Accept="application/json")
        assert [(event["run_id"], event["type"]) for event in page["events"]] == [("g", "run.completed")]


async def test_the_state_of_a_run_in_the_words_of_a_dialect(server: Server) -> None:
    """As ``add_state`` answers under a path of one's own."""
    await server.start("small", run_id="a")
    await (await server.engine.get("a")).ended()
    status, shown = await server.get("/runs/a?dialect=agents")
    assert (status, list(shown)) == (200, ["workflow", "agents", "logs"])
    assert (shown["workflow"]["workflowId"], shown["workflow"]["status"]) == ("a", "completed")
    assert [agent["agentName"] for agent in shown["agents"]] == ["a", "b"]
    assert (await server.get("/runs/a?dialect=native"))[1] == (await server.get("/runs/a"))[1]


GET_PROBLEMS = [
    ("/runs/nope?dialect=agents", 404, "there is no run 'nope'"),
    ("/runs/nope?dialect=steps", 400, "the dialect steps has no form for clients that ask for the state"),
    ("/runs/nope?dialect=agent", 400, "there is no dialect 'agent'"),
    ("/runs/nope", 404, "there is no run 'nope'"),
    ("/runs/nope/events", 404, "there is no run 'nope'"),
    ("/runs/nope/events?after=x", 400, "after is 'x', but a cursor is the seq of the last event seen"),
    ("/workflows/nope", 404, "there is no workflow 'nope'; registered: 'gated', 'small'"),
    ("/nowhere", 404, "there is nothing at /api/v1/nowhere"),
    ("/runs?limit=0", 400, "limit is '0', but must be 1 to 1000 runs"),
    ("/runs?status=done", 400, "status is 'done', but must be one of"),
    ("/runs?cursor=nope", 404, "there is no run 'nope'"),
    ("/runs?offset=1", 400, "there is no parameter 'offset' here"),
    ("/runs?since=yesterday", 400, "since is 'yesterday', but must be a time with its zone, like 2026-11-21T02:51:00Z"),
    ("/runs?until=2026-11-21T02:51:00", 400, "until is '2026-11-21T02:51:00', but must be a time with its zone"),
    ("/runs?since=0001-01-01T00:00:00%2B14:00", 400, "since is '0001-01-01T00:00:00+14:00', but must be a time"),
    ("/runs?question=maybe", 400, "question is 'maybe', but must be 0 or 1"),
    ("/runs?meta.=1", 400, "meta. must be followed by the name of a member"),
    ("/runs?status=failed&status=completed", 400, "status is given 2 times"),
]


@pytest.mark.parametrize(("path", "status", "sentence"), GET_PROBLEMS)
async def test_a_bad_get_is_a_problem_with_a_sentence(server: Server, path: str, status: int, sentence: str) -> None:
    """The answer is a problem document that names what and where."""
    async with server.session.get(f"{server.url}{path}") as response:
        body = await response.json(content_type="application/problem+json")
        assert response.status == body["status"] == status
    assert sentence in body["detail"]


STREAM_PROBLEMS = [
    "after=-1", "after=1e3", "after=%31%30%", "after=9999999999999999999", "after=1&after=2", "throttle=5",
    "throttle=x", "throttle=60001", "heartbeat=0", "heartbeat=3601", "heartbeat=nan", "snapshot=yes", "types=",
    "types=,", "tasks=", "tail=-1", "tail=10001", "tail=1.5", "logs=x", "await_run=301", "wait=1",
    "types=" + ",".join(f"t{i}" for i in range(70)), "tasks=" + "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("query", STREAM_PROBLEMS)
async def test_a_bad_stream_query_is_400_before_anything_is_sent(server: Server, query: str) -> None:
    """Each bad option is 400 with a sentence that names it."""
    run_id = (await server.start("small"))["run_id"]
    async with server.session.get(f"{server.url}/runs/{run_id}/events?{query}") as response:
        body = await response.json(content_type="application/problem+json")
        assert response.status == 400
    assert query.partition("=")[0] in body["detail"]


@pytest.mark.parametrize("cursor", ["abc", "-1", "1.", "1.x", "1" * 19, "٣", "1;2"])
async def test_a_malformed_last_event_id_is_400(server: Server, cursor: str) -> None:
    """A cursor is digits, at most 18."""
    run_id = (await server.start("small"))["run_id"]
    status, body = await server.get(f"/runs/{run_id}/events", **{"Last-Event-ID": cursor})
    assert status == 400
    assert "Last-Event-ID" in body["detail"]


async def test_a_stream_refuses_who_does_not_take_one(server: Server) -> None:
    """An Accept header without event streams is 406, and another method is 405 with Allow."""
    run_id = (await server.start("small"))["run_id"]
    assert (await server.get(f"/runs/{run_id}/events", Accept="image/png"))[0] == 406
    assert (await server.get("/runs/nope/events", Accept="application/json"))[0] == 404
    async with server.session.delete(f"{server.url}/runs/{run_id}/events") as response:
        assert response.status == 405
        assert "GET" in response.headers["Allow"]
