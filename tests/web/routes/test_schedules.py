"""``/schedules``: what starts runs at which times."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Engine, Workflow, bounds
from reactor.testing import VirtualClock
from reactor_web.bounds import MAX_PAGE
from reactor_web.guard import schedules as guarded

API = "/api/v1"
RULE = {"workflow": "census", "cron": "0 7 * * 1-5", "tz": "Europe/Berlin", "input": {"given": 7}}


def census() -> Workflow:
    flow = Workflow("census")

    @flow.task
    def work(given: int = 0) -> int:
        return given

    return flow


@pytest.fixture
async def engine() -> Engine:
    return Engine("memory://", workflows=[census()], clock=VirtualClock(jumps=False), grace=0.0)


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(reactor_web.create_app(engine), host="127.0.0.1")) as client:
        yield client


async def ask(
    client: TestClient[Any, Any], method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    options: dict[str, Any] = {} if body is None else {"json": body}
    async with client.request(method, API + path, headers=headers, **options) as response:
        return response.status, await response.json(content_type=None) if response.status != 204 else None


async def test_a_schedule_is_made_changed_and_removed(client: TestClient[Any, Any]) -> None:
    """201, then 200; what it says is what there is, and when it comes next."""
    status, made = await ask(client, "PUT", "/schedules/morning", RULE)
    expected = {
        "name": "morning", **RULE, "overlap": "skip", "catch_up": "one", "owner": "127.0.0.1", "code": False,
        "paused": None, "last": "2026-01-01T00:00:00Z", "next": "2026-01-01T06:00:00Z", "pending": [], "last_run": None,
    }  # fmt: skip
    assert (status, made) == (201, expected)
    assert await ask(client, "GET", "/schedules/morning") == (200, made)
    status, changed = await ask(client, "PUT", "/schedules/morning", {"workflow": "census", "every": 3600})
    assert (status, changed["every"], changed["next"]) == (200, 3600, "2026-01-01T01:00:00Z")
    assert "cron" not in changed
    assert (await ask(client, "DELETE", "/schedules/morning"))[0] == 204
    status, problem = await ask(client, "DELETE", "/schedules/morning")
    assert (status, problem["error"], problem["schedule"]) == (404, "UnknownSchedule", "morning")


async def test_pause_and_resume(client: TestClient[Any, Any]) -> None:
    """The schedule; asked again it stays so."""
    await ask(client, "PUT", "/schedules/morning", RULE)
    for name, paused, following in (("pause", "127.0.0.1", None), ("resume", None, "2026-01-01T06:00:00Z")):
        for _ in range(2):
            status, body = await ask(client, "POST", f"/schedules/morning/{name}", {})
            assert (status, body["paused"], body["next"]) == (200, paused, following)


async def test_a_trigger_starts_a_run_and_a_key_starts_it_once(client: TestClient[Any, Any], engine: Engine) -> None:
    """Answered as a start is: with its summary, or its result."""
    await ask(client, "PUT", "/schedules/morning", RULE)
    first = await ask(client, "POST", "/schedules/morning/trigger", {}, **{"Idempotency-Key": "k"})
    assert (first[0], first[1]["run_id"]) == (201, "morning~20260101T000000.000000Z")
    assert await ask(client, "POST", "/schedules/morning/trigger", {}, **{"Idempotency-Key": "k"}) == first
    status, result = await ask(client, "POST", "/schedules/morning/trigger", {}, Prefer="wait=9")
    assert (status, result["outputs"], result["meta"]) == (201, {"work": 7}, {"schedule": "morning"})
    assert len(await engine.list()) == 2
    assert (await ask(client, "POST", "/schedules/evening/trigger", {}))[0] == 404


async def test_the_list_has_pages(client: TestClient[Any, Any]) -> None:
    """By name; a cursor is where the page before has ended."""
    for name in "cab":
        await ask(client, "PUT", f"/schedules/{name}", RULE)
    found, cursor = list[str](), ""
    while cursor is not None:
        _, page = await ask(client, "GET", f"/schedules?limit=2{cursor and f'&cursor={cursor}'}")
        found.append("".join(one["name"] for one in page["schedules"]))
        cursor = page["cursor"]
    assert found == ["ab", "c"]
    for query in ("limit=0", f"limit={MAX_PAGE + 1}", "cursor=a.b", "cursors=a"):
        assert (await ask(client, "GET", f"/schedules?{query}"))[0] == 400


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({}, 422, "must name the workflow"),
        ({"workflow": "census"}, 422, "either a cron expression"),
        ({**RULE, "every": 60}, 422, "either a cron expression"),
        ({"workflow": "census", "every": 1e300}, 422, "whole seconds"),
        ({"workflow": "census", "every": 1.5}, 422, "whole seconds"),
        ({**RULE, "cron": "0 25 * * *"}, 422, "Bad hour"),
        ({**RULE, "tz": "Europe/Berlyn"}, 422, "time zone"),
        ({**RULE, "overlap": "wait"}, 422, "skip, queue, allow"),
        ({**RULE, "input": {"given": "x"}}, 422, "given"),
        ({**RULE, "crno": 1}, 422, "unknown member 'crno'"),
        ({**RULE, "workflow": "nothing"}, 404, "nothing"),
    ],
)
async def test_what_is_not_valid_is_refused(
    client: TestClient[Any, Any], engine: Engine, body: Any, status: int, sentence: str
) -> None:
    """In a sentence, and nothing is stored."""
    found, problem = await ask(client, "PUT", "/schedules/morning", body)
    assert (found, sentence in problem["detail"]) == (status, True), problem
    assert await engine.schedules() == []


async def test_a_bad_name_and_one_too_many_are_refused(
    client: TestClient[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """422; and 429 with its code. One that there is can be changed all the same."""
    assert (await ask(client, "PUT", "/schedules/a.b", RULE))[0] == 422
    assert (await ask(client, "PUT", f"/schedules/{'a' * 41}", RULE))[0] == 422
    monkeypatch.setattr(guarded, "SCHEDULES", 1)
    await ask(client, "PUT", "/schedules/a", RULE)
    status, problem = await ask(client, "PUT", "/schedules/b", RULE)
    assert (status, problem["code"]) == (429, "too-many-schedules")
    assert (await ask(client, "PUT", "/schedules/a", RULE))[0] == 200


@pytest.mark.parametrize("run_id", ["morning~20260101T060000Z", "x~20260101T060000.000001Z"])
async def test_no_client_takes_the_id_of_a_schedules_run(
    client: TestClient[Any, Any], engine: Engine, run_id: str
) -> None:
    """Not by a start, a plan, a session or a retry."""
    assert bounds.SCHEDULE_RUN_ID.fullmatch(run_id)
    await (await engine.start("census", run_id="done"))
    plan = {"tasks": [{"id": "a", "tool": "none"}], "run_id": run_id}
    for method, path, body in (
        ("POST", "/workflows/census/runs", {"run_id": run_id}),
        ("POST", "/runs", plan),
        ("PUT", f"/runs/{run_id}", {"workflow": "census"}),
        ("PUT", f"/runs/{run_id}", {"session": True}),
        ("POST", "/runs/done/retry", {"run_id": run_id}),
    ):
        status, problem = await ask(client, method, path, body)
        assert status == 422, (method, path, problem)
    assert len(await engine.list()) == 1
