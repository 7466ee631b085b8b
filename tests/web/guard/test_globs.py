"""Who sees some runs only, somebody of all tenants, and what a host's own functions return."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Engine, Run, Workflow
from reactor_web import Guard, Principal
from reactor_web.guard import looking
from reactor_web.guard.cursors import seal, unseal
from tests.helpers.server import API, CLOSE_SECONDS, small_workflow
from tests.web.guard.world import HOST, MINE, THEIRS, World, asking, nested, principal, world

SOME, ALL, FOREIGN, ANY, TOP = ({HOST: name} for name in ("some", "all", "foreign", "every tenant", "top"))
PATIENCE = 10.0


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as here:
        yield here


async def call(
    here: World, method: str, path: str, who: dict[str, str], body: Any = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """(status, JSON, headers) of an answer."""
    options: dict[str, Any] = {} if method == "GET" else {"json": {} if body is None else body}
    async with here.session.request(
        method, f"{here.url}{API}{path}", headers={"Accept": "application/json", **who, **headers}, **options
    ) as response:
        raw = await response.read()
        return response.status, json.loads(raw) if raw else None, dict(response.headers)


async def test_a_key_of_somebody_else_shows_no_run_that_is_not_seen(here: World) -> None:
    """The same request with the same key is 403 for who does not see the run, before and after it was answered: equal.
    Afterwards the key is as it was."""
    path, key = "/workflows/small/runs", {"Idempotency-Key": "k"}
    before = await call(here, "POST", path, SOME, {}, **key)
    assert (before[0], before[1]["code"]) == (403, "forbidden-run")
    status, mine, _ = await call(here, "POST", path, ALL, {}, **key)
    assert status == 201
    after = await call(here, "POST", path, SOME, {}, **key)
    assert after[:2] == before[:2]
    assert mine["run_id"] not in str(after)
    assert (await call(here, "POST", path, ALL, {}, **key))[1] == mine
    status, again, _ = await call(here, "POST", path, FOREIGN, {}, **key)
    assert status == 201
    assert again["run_id"] != mine["run_id"]


async def test_a_key_of_what_was_refused_is_free(here: World) -> None:
    """Who may not start this has not taken the key from somebody who may, for another request."""
    key = {"Idempotency-Key": "k"}
    for path, body in (("/workflows/small/runs", {}), ("/workflows/small/runs", {"run_id": "other-1"})):
        assert (await call(here, "POST", path, SOME, body, **key))[0] == 403
    assert (await call(here, "POST", "/runs/some-none/retry", SOME, {"run_id": "some-new"}, **key))[0] == 404
    assert here.log.calls["keep_answer"] == 0
    assert (await call(here, "POST", "/workflows/small/runs", SOME, {"run_id": "some-1"}, **key))[0] == 201


async def test_a_retry_and_a_run_below_are_among_the_patterns_or_refused(here: World) -> None:
    """A new id outside of them, a child outside of them: 403, and nothing was started or sent."""
    of = here.engine.tenant(MINE)
    ended = await of.start("small", {}, run_id="some-ended")
    await ended.ended()
    top = await of.start(nested, {}, run_id="some-top")
    child = await _child(here, top)
    asked = await here.target("open")
    before = await here.state()
    for path, body, status in (
        ("/runs/some-ended/retry", {}, 403),
        ("/runs/some-ended/retry", {"run_id": "other-1"}, 403),
        ("/runs/some-top/input", {"task": "ask", "value": 1, "run": asked}, 403),
        ("/runs/some-top/input", {"task": "ask", "value": 1, "run": "run-none"}, 403),
        ("/runs/some-top/input", {"task": "ask", "value": 1, "run": "some-none"}, 404),
    ):
        assert (await call(here, "POST", path, SOME, body))[0] == status, path
    for run_id in (child, "some-none"):
        body = {"task": "ask", "value": 1, "run": run_id}
        assert (await call(here, "POST", "/runs/some-top/input", TOP, body))[1]["code"] == "forbidden-run"
    status, refused, _ = await call(here, "POST", "/runs/some-top/input", TOP, {"task": "ask", "value": 1})
    assert status == 404
    assert child not in str(refused)
    assert await here.state() == before
    status, shown, _ = await call(here, "GET", "/runs/some-top", TOP)
    assert (status, shown["tree"]) == (200, [])
    status, shown, _ = await call(here, "GET", "/runs/some-top", ALL)
    assert [below["run_id"] for below in shown["tree"]] == [child]
    assert (await call(here, "POST", "/runs/some-ended/retry", SOME, {"run_id": "some-again"}))[0] == 202
    assert (await call(here, "POST", "/runs/some-top/input", ALL, {"task": "ask", "value": 1, "run": child}))[0] == 202


async def _child(here: World, top: Run) -> str:
    """The id of the child run of a run, once that asks."""
    while not (found := [run for run in here.engine.running(tenant=MINE) if run.state.workflow == "asking"]):
        await asyncio.sleep(0)
    await here.asked(found[0])
    assert top.status == "running"
    return found[0].id


@pytest.mark.parametrize("looked_at", [7, 10_000])
async def test_the_pages_have_every_run_that_is_seen_once(
    here: World, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    """Whatever the limit, and however few records a page looks at: newest first, none twice, none that is hidden, and
    no cursor says the id of one that is."""
    monkeypatch.setattr(looking, "LOOKED_AT", looked_at)
    for number in range(40):
        prefix = "some" if number % 5 == 0 or number > 36 else "other"
        await (await here.engine.start("small", {}, run_id=f"{prefix}-{number}", tenant=MINE)).ended()
        await (await here.engine.start("small", {}, run_id=f"some-{number}", tenant=THEIRS)).ended()
    wanted = [f"some-{number}" for number in range(39, -1, -1) if number % 5 == 0 or number > 36]
    for limit in (1, 3, 100):
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = f"?limit={limit}" + (f"&cursor={cursor}" if cursor else "")
            status, page, _ = await call(here, "GET", f"/runs{query}", SOME)
            assert status == 200, page
            assert len(page["runs"]) <= limit
            assert "other-" not in json.dumps(page)
            found += [run["run_id"] for run in page["runs"]]
            cursor = page["cursor"]
        assert found == wanted


async def test_a_cursor_of_another_tenant_or_of_a_hidden_run_is_one_of_no_run(here: World) -> None:
    """Equal answers, and a sealed one is for its tenant only, and for nobody who has not got it from us."""
    theirs = await here.target("ended", THEIRS)
    mine = await here.target("ended")
    answers = [
        (status, json.dumps(body).replace(cursor, "ID"))
        for cursor in (theirs, "run-none")
        for status, body, _ in [await call(here, "GET", f"/runs?cursor={cursor}", ALL)]
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    hidden = [
        (status, json.dumps(body).replace(cursor, "ID"))
        for cursor in (mine, "run-none")
        for status, body, _ in [await call(here, "GET", f"/runs?cursor={cursor}", {HOST: "other workflows"})]
    ]
    assert hidden[0] == hidden[1]
    key = here.engine.digest_key
    assert (await call(here, "GET", f"/runs?cursor={seal(mine, key, MINE)}", ALL))[0] == 200
    for cursor in (seal(mine, key, THEIRS), seal(mine, b"x" * 32, MINE), "!", "!AAAA", "!%C3%A9", "!" + "A" * 107):
        assert (await call(here, "GET", f"/runs?cursor={cursor}", ALL))[0] == 400


@pytest.mark.parametrize("run_id", ["a", "a" * 64, "~._-", "run-1"])
def test_a_sealed_cursor_gives_its_id_back_and_shows_nothing_of_it(run_id: str) -> None:
    """Neither its text nor its length."""
    sealed = seal(run_id, b"k" * 32, MINE)
    assert unseal(sealed, b"k" * 32, MINE) == run_id
    assert len(sealed) == len(seal("b", b"k" * 32, MINE))


async def test_the_stream_of_all_has_what_is_seen(here: World) -> None:
    """Also where the others are named or deleted; a name outside of the patterns is 403, be there such a run or not."""
    for tenant, run_id in ((MINE, "some-1"), (MINE, "other-1"), (THEIRS, "some-2"), (MINE, "some-3")):
        await (await here.engine.start("small", {}, run_id=run_id, tenant=tenant)).ended()
    await here.engine.delete("other-1", tenant=MINE)
    status, page, _ = await call(here, "GET", "/events?limit=1000", SOME)
    assert status == 200
    assert {event["run_id"] for event in page["events"]} == {"some-1", "some-3"}
    status, page, _ = await call(here, "GET", "/events?runs=some-1,some-2", SOME)
    assert {event["run_id"] for event in page["events"]} == {"some-1"}
    for run_id in ("other-1", "other-none"):
        assert (await call(here, "GET", f"/events?runs={run_id}", SOME))[1]["code"] == "forbidden-run"
    assert (await call(here, "GET", "/events?workflow=hidden", SOME))[1]["code"] == "forbidden-workflow"
    assert (await call(here, "GET", "/runs/some-1/events?children=1", SOME))[1]["code"] == "forbidden-run"


async def test_who_waits_for_a_run_is_not_woken_by_one_that_is_hidden(here: World) -> None:
    """Neither by one of another tenant nor by one of a hidden workflow: the stream is that of the run that is seen."""
    flow = Workflow("other-flow")

    @flow.task
    async def say() -> str:
        return "seen"

    path = f"{here.url}{API}/runs/r/events?await_run=30"
    headers = {HOST: "other workflows", "Accept": "application/x-ndjson"}
    async with asyncio.timeout(PATIENCE), here.session.get(path, headers=headers) as response:
        for tenant in (THEIRS, MINE):
            await (await here.engine.start("small", {}, run_id="r", tenant=tenant)).ended()
        assert (await call(here, "GET", "/runs/r", {HOST: "other workflows"}))[0] == 404
        await here.engine.delete("r", tenant=MINE)
        await here.engine.start(flow, {}, run_id="r", tenant=MINE)
        body = await response.text()
    assert "other-flow" in body
    assert "small" not in body


async def test_by_is_who_has_asked(here: World) -> None:
    """Every command, start and answer has in its event the principal of its request, and nothing of its credential."""
    run_id = await here.target("open")
    for kind, who in (("key", here.credentials["all"][0]), ("jwt", here.credentials["all"][1]), ("host", ALL)):
        status, started, _ = await call(here, "POST", "/workflows/small/runs", who, {})
        assert status == 201
        for path in ("pause", "resume"):
            assert (await call(here, "POST", f"/runs/{run_id}/{path}", who, {}))[0] == 202
        by = [event["data"]["by"] for event in await _events(here, started["run_id"]) if "by" in event["data"]]
        assert by
        assert all(one.startswith(f"{kind}:") for one in by)
        token = who.get("Authorization", "").partition(" ")[2]
        assert not token or token not in str(await _events(here, run_id))
    said = {event["type"]: event["data"]["by"] for event in await _events(here, run_id) if "by" in event["data"]}
    assert said["run.paused"] == "host:all"


async def _events(here: World, run_id: str) -> list[dict[str, Any]]:
    status, page, _ = await call(here, "GET", f"/runs/{run_id}/events?limit=1000", ALL)
    assert status == 200
    return page["events"]


async def test_who_sees_every_tenant_names_one_in_the_query(here: World) -> None:
    """Without it the tenant "" is meant. Where an answer leads, it leads to the same tenant; a name that cannot be one
    is 400, and who has a tenant cannot name another."""
    status, started, headers = await call(here, "POST", f"/workflows/small/runs?tenant={THEIRS}", ANY, {"run_id": "r"})
    assert status == 201
    await (await here.engine.get("r", tenant=THEIRS)).ended()
    assert headers["Location"] == f"{API}/runs/r?tenant={THEIRS}"
    status, page, headers = await call(here, "GET", f"/runs/r/events?tenant={THEIRS}&limit=2", ANY)
    assert (status, len(page["events"])) == (200, 2)
    link = headers["Link"].partition(">")[0].removeprefix("<").removeprefix(API)
    status, following, _ = await call(here, "GET", link, ANY)
    assert status == 200
    assert following["events"][0]["seq"] == 3
    assert (await call(here, "GET", "/runs/r", ANY))[0] == 404
    assert (await call(here, "GET", f"/runs/r?tenant={MINE}", ANY))[0] == 404
    assert (await call(here, "GET", "/runs?tenant=a%20b", ANY))[0] == 400
    assert (await call(here, "GET", "/runs", FOREIGN))[1]["runs"][0]["run_id"] == started["run_id"]
    status, body, _ = await call(here, "GET", f"/runs?tenant={THEIRS}", ALL)
    assert status == 400 or body["runs"] == []


# --- the functions of a host ------------------------------------------------------------------------------------


async def test_a_run_of_another_tenant_from_a_host_is_a_bug_and_shows_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """``begin`` and ``start`` that return one: 500, the log says which, and the client is told no more. One that is not
    seen is refused like any other."""
    engine = Engine(grace=0.0)
    runs: dict[str, Run] = {}
    app = web.Application()
    one = Principal("ann", frozenset({"read", "run"}), tenant=MINE, runs=("some-*",))
    reactor_web.protect(app, Guard(authorize=lambda request: one))
    reactor_web.add_start(app, "/start", engine, lambda request, body: runs[body["run"]], answer="created")
    reactor_web.add_stream(app, "/stream", engine, start=lambda request: runs[request.query["run"]])  # type: ignore[arg-type,return-value]
    async with _client(app) as client:
        for name, tenant in (("some-1", THEIRS), ("some-2", MINE), ("other-3", MINE)):
            runs[name] = await engine.start(asking, {}, run_id=name, tenant=tenant)
        for name, status in (("some-1", 500), ("some-2", 201), ("other-3", 403)):
            async with client.post("/start", json={"run": name}) as response:
                assert response.status == status
                assert THEIRS not in await response.text()
            async with client.get(f"/stream?run={name}") as response:
                assert response.status == (200 if status == 201 else status)
                response.close()
    assert "some-1" in caplog.text
    assert THEIRS in caplog.text


async def test_stream_in_a_handler_of_the_host_is_the_hosts_business(here: World) -> None:
    """It asks nobody, knows no tenant, and shows the run that it is given; also where the routes are guarded."""
    engine = Engine(workflows=[small_workflow()], grace=0.0)
    app = web.Application()
    reactor_web.mount(app, engine, guard=Guard(authorize=lambda request: None))

    async def mine(request: web.Request) -> web.StreamResponse:
        return await reactor_web.stream(request, await engine.get("r", tenant=THEIRS))

    app.router.add_get("/mine", mine)
    async with _client(app) as client:
        await (await engine.start("small", {}, run_id="r", tenant=THEIRS)).ended()
        assert (await client.get(f"{API}/runs/r")).status == 401
        async with client.get("/mine") as response:
            assert response.status == 200
            assert b"run.completed" in await response.read()
    assert principal("all").tenant == MINE


@asynccontextmanager
async def _client(app: web.Application) -> AsyncGenerator[TestClient[Any, Any]]:
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=CLOSE_SECONDS)
    async with TestClient(server) as client:
        yield client
