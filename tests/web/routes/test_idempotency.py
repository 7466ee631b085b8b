"""``Idempotency-Key``: the same request again is carried out once, and answered alike, also after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from reactor import Context, Engine, Workflow, tool
from reactor.errors import LogUnavailable
from reactor.logs.memory import MemoryLog
from reactor.testing import FaultyLog, LogAround, read_all
from tests.helpers.runs import wait_for_event
from tests.helpers.server import Serve, Server, serving, small_workflow

PLAN = {"name": "plan", "tasks": [{"id": "a", "tool": "idempotency.one"}]}


def asking_workflow() -> Workflow:
    flow = Workflow("asking")

    @flow.task
    async def ask(ctx: Context) -> list[Any]:
        return [await ctx.receive("first?"), await ctx.receive("second?")]

    return flow


class ForgetfulLog(LogAround):
    """Keeps claims, and fails to keep the answer as often as it is told to: what a crash leaves behind."""

    def __init__(self, inner: MemoryLog) -> None:
        super().__init__(inner)
        self.crashes = 0

    def keep_answer(self, key: str, answer: bytes, *, run_id: str = "", tenant: str = "") -> asyncio.Future[None]:
        if self.crashes and orjson.loads(answer)["state"] == "done":
            self.crashes -= 1
            raise LogUnavailable("the process ends here", path="")
        return super().keep_answer(key, answer, run_id=run_id, tenant=tenant)


@pytest.fixture(params=["memory", "sqlite"])
def restart(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Starts a server on the same log again."""
    memory = MemoryLog()
    memory.durable = True  # its engine leaves unfinished runs to the next one

    def again() -> Any:
        log = memory if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"
        return serving(Engine(log, grace=0.0), small_workflow(), asking_workflow())

    return again


@pytest.fixture
async def forgetful(serve: Serve) -> tuple[Server, ForgetfulLog]:
    log = ForgetfulLog(MemoryLog())
    return await serve(Engine(log, grace=0.0), small_workflow(), asking_workflow()), log


async def raw(server: Server, path: str, body: Any, key: str) -> tuple[int, bytes, str | None]:
    headers = {"Idempotency-Key": key}
    async with server.session.post(server.url + path, json=body, headers=headers) as response:
        return response.status, await response.read(), response.headers.get("Location")


async def test_a_start_that_comes_again_is_answered_byte_for_byte_also_after_a_restart(restart: Any) -> None:
    """Status, body and Location are those of the first answer; there is one run."""
    async with restart() as server:
        first = await raw(server, "/workflows/small/runs", {"input": {"n": 3}}, "k1")
        assert first[0] == 201
        await (await server.engine.get(orjson.loads(first[1])["run_id"]))
        assert await raw(server, "/workflows/small/runs", {"input": {"n": 3}}, "k1") == first
        other = await raw(server, "/workflows/small/runs", {"input": {"n": 3}}, "k2")
        assert orjson.loads(other[1])["run_id"] != orjson.loads(first[1])["run_id"]
    async with restart() as server:
        assert await raw(server, "/workflows/small/runs", {"input": {"n": 3}}, "k1") == first
        assert len(await server.engine.list()) == 2


async def test_a_plan_is_started_once(server: Server) -> None:
    """``POST /runs`` takes a key too."""

    @tool(name="idempotency.one")
    async def one() -> int:
        return 1

    first = await raw(server, "/runs", PLAN, "k")
    assert first[0] == 201, first
    assert await raw(server, "/runs", PLAN, "k") == first
    assert len(await server.engine.list()) == 1


async def test_a_key_of_another_request_is_refused(server: Server) -> None:
    """Another body or another path is 422 with one sentence, and starts nothing."""
    await raw(server, "/workflows/small/runs", {"input": {"n": 3}}, "k")
    for path, body in (("/workflows/small/runs", {"input": {"n": 4}}), ("/workflows/gated/runs", {"input": {"n": 3}})):
        status, problem, _ = await raw(server, path, body, "k")
        sentence = "the Idempotency-Key 'k' was used for another request; a new request needs a new key"
        assert (status, orjson.loads(problem)["detail"]) == (422, sentence)
    assert len(await server.engine.list()) == 1


async def test_what_cannot_be_a_key_is_refused(server: Server) -> None:
    """400 with one sentence."""
    status, problem, _ = await raw(server, "/workflows/small/runs", {}, "k" * 201)
    assert (status, orjson.loads(problem)["detail"]) == (
        400,
        "Idempotency-Key: a key must be text of 1 to 200 characters",
    )


async def test_two_requests_with_one_key_at_once_start_one_run(server: Server) -> None:
    """The second waits for the first, and has its answer."""
    answers = await asyncio.gather(*(raw(server, "/workflows/small/runs", {}, "k") for _ in range(5)))
    assert len(set(answers)) == 1
    assert len(await server.engine.list()) == 1


async def test_a_repeat_may_wait_for_the_result_or_follow_the_run(server: Server) -> None:
    """``Prefer: wait`` and a stream are about the run that the first request started."""
    status, first = await server.post("/workflows/small/runs", {}, **{"Idempotency-Key": "k"})
    assert status == 201
    headers = {"Idempotency-Key": "k", "Prefer": "wait=10"}
    for _ in range(2):
        status, full = await server.post("/workflows/small/runs", {}, **headers)
        assert (status, full["run_id"], full["status"]) == (201, first["run_id"], "completed")
    headers = {"Idempotency-Key": "k", "Accept": "text/event-stream"}
    async with server.session.post(f"{server.url}/workflows/small/runs", json={}, headers=headers) as response:
        assert b'"run_id":"%s"' % first["run_id"].encode() in await response.read()
    assert len(await server.engine.list()) == 1


async def test_what_failed_may_be_tried_again_with_its_key(server: Server) -> None:
    """A start that was refused has done nothing: the key still stands for that request."""
    await server.start("small", run_id="taken")
    await (await server.engine.get("taken"))
    body = {"run_id": "taken"}
    for _ in range(2):
        assert (await raw(server, "/workflows/small/runs", body, "k"))[0] == 409
    await server.engine.delete("taken")
    assert (await raw(server, "/workflows/small/runs", body, "k"))[0] == 201


async def test_a_crash_between_the_start_and_its_record_starts_no_second_run(
    forgetful: tuple[Server, ForgetfulLog],
) -> None:
    """The run's id is kept before the run starts; the repeat finds it, or starts it where it was not started."""
    server, log = forgetful
    log.crashes = 1
    assert (await raw(server, "/workflows/small/runs", {}, "k"))[0] == 503
    status, body, location = await raw(server, "/workflows/small/runs", {}, "k")
    (record,) = await server.engine.list()
    assert (status, orjson.loads(body)["run_id"]) == (201, record.run_id)
    assert location == f"/api/v1/runs/{record.run_id}"


async def test_a_start_that_was_lost_is_made_by_the_repeat(serve: Serve) -> None:
    """The key was kept, and the log did not take the run: 503, then the same request starts it under the same id."""
    log = FaultyLog(MemoryLog(), fails={"r"})
    server = await serve(Engine(log, grace=0.0), small_workflow())
    assert (await raw(server, "/workflows/small/runs", {"run_id": "r"}, "k"))[0] == 503
    log.fails = frozenset()
    status, body, _ = await raw(server, "/workflows/small/runs", {"run_id": "r"}, "k")
    assert (status, orjson.loads(body)["run_id"]) == (201, "r")
    assert [record.run_id for record in await server.engine.list()] == ["r"]


# --- input ------------------------------------------------------------------------------------------------------


async def received(server: Server, run_id: str) -> list[Any]:
    events = await read_all(server.engine.log, run_id)
    return [event.data["value"] for event in events if event.type == "task.received"]


async def test_a_value_that_is_sent_again_is_received_once_also_after_a_restart(restart: Any) -> None:
    """202 with the bytes of the first answer; with another value the key is refused, with another key it is sent."""
    path = "/runs/r/input"
    async with restart() as server:
        await server.start("asking", run_id="r")
        await wait_for_event(await server.engine.get("r"), "task.waiting", None, 1)
        first = await raw(server, path, {"task": "ask", "value": "yes"}, "k")
        assert first[0] == 202
        assert await raw(server, path, {"task": "ask", "value": "yes"}, "k") == first
        assert (await raw(server, path, {"task": "ask", "value": "no"}, "k"))[0] == 422
    async with restart() as server:
        assert await raw(server, path, {"task": "ask", "value": "yes"}, "k") == first
        assert await received(server, "r") == ["yes"]
        assert (await raw(server, path, {"task": "ask", "value": "yes", "key": "2"}, "k2"))[0] == 202
        run = await server.engine.get("r")
        assert await run == {"ask": ["yes", "yes"]}
        assert await raw(server, path, {"task": "ask", "value": "yes"}, "k") == first


async def test_a_crash_between_a_value_and_its_record_sends_it_once(forgetful: tuple[Server, ForgetfulLog]) -> None:
    """The repeat looks into the log: what is there is not sent again, although the task may have ended by now."""
    server, log = forgetful
    await server.start("asking", run_id="r")
    run = await server.engine.get("r")
    await run.send("ask", "yes")
    await wait_for_event(run, "task.waiting", count=2)
    log.crashes = 1
    assert (await raw(server, "/runs/r/input", {"task": "ask", "value": "yes"}, "k"))[0] == 503
    assert await run == {"ask": ["yes", "yes"]}
    assert (await raw(server, "/runs/r/input", {"task": "ask", "value": "yes"}, "k"))[0] == 202
    assert await received(server, "r") == ["yes", "yes"]


async def test_the_key_of_an_input_belongs_to_its_run(server: Server) -> None:
    """Two runs may be sent the same value with the same key; deleting a run forgets its keys."""
    server.engine.register(asking_workflow())
    for run_id in ("a", "b"):
        await server.start("asking", run_id=run_id)
        for place in ("1", "2"):
            body = {"task": "ask", "value": 1, "key": place}
            assert (await raw(server, f"/runs/{run_id}/input", body, f"k{place}"))[0] == 202
        assert await (await server.engine.get(run_id)) == {"ask": [1, 1]}
    await server.engine.delete("a")
    assert await server.engine.answers.answer("k1", run_id="a") is None
    assert await server.engine.answers.answer("k1", run_id="b") is not None


async def test_a_retry_that_comes_again_starts_one_run(server: Server) -> None:
    """``POST /runs/{id}/retry`` with a key: the same answer, and one new run."""
    first = await server.start("small")
    await (await server.engine.get(first["run_id"]))
    answers = [
        await server.post(f"/runs/{first['run_id']}/retry", {}, **{"Idempotency-Key": "again"}) for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 202
    assert len(await server.engine.list()) == 2


async def test_a_refused_request_does_not_use_its_key_up(server: Server) -> None:
    """Nothing was done, so the corrected request may come with the key of the first."""
    status, _ = await server.post("/workflows/small/runs", {"input": {"n": "no number"}}, **{"Idempotency-Key": "k"})
    assert status == 422
    status, body = await server.post("/workflows/small/runs", {"input": {"n": 1}}, **{"Idempotency-Key": "k"})
    assert (status, len(await server.engine.list())) == (201, 1), body


async def test_a_key_whose_run_was_deleted_says_so(server: Server) -> None:
    """410, and no second run: whoever deleted it meant that."""
    status, body = await server.post("/workflows/small/runs", {}, **{"Idempotency-Key": "k"})
    assert status == 201
    await (await server.engine.get(body["run_id"]))
    await server.engine.delete(body["run_id"])
    status, problem = await server.post("/workflows/small/runs", {}, **{"Idempotency-Key": "k"})
    assert (status, body["run_id"] in problem["detail"]) == (410, True)
    assert await server.engine.list() == []
