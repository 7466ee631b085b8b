"""A request that belongs to a trace: the run that it starts belongs to it, too, whichever route starts it."""

from __future__ import annotations

from typing import Any

import pytest

from reactor import Engine
from tests.helpers.server import Serve, Server, small_workflow
from tests.helpers.traces import TRACEPARENT

STATE = "a=1,b=2"
HEADERS = {"traceparent": TRACEPARENT, "tracestate": STATE}


async def started(server: Server, run_id: str) -> dict[str, Any]:
    """What ``run.started`` says."""
    return await (await server.engine.get(run_id)).beginning()


async def start(server: Server, route: str, headers: dict[str, str]) -> str:
    """Starts something over a route: its id."""
    ways = {
        "workflow": lambda: server.post("/workflows/small/runs", {"run_id": "w"}, **headers),
        "keyed": lambda: server.post("/workflows/small/runs", {"run_id": "w"}, **{**headers, "Idempotency-Key": "k"}),
        "put": lambda: server.put("/runs/u", {"workflow": "small"}, **headers),
        "session": lambda: server.put("/runs/s", {"session": True}, **headers),
        "retry": lambda: server.post("/runs/old/retry", {"run_id": "r"}, **headers),
    }
    status, answer = await ways[route]()
    assert status in (201, 202), answer
    return answer["run_id"]


@pytest.mark.parametrize("route", ["workflow", "keyed", "put", "session", "retry"])
async def test_every_route_that_starts_takes_the_trace_of_its_request(route: str, serve: Serve) -> None:
    """It stands in ``run.started``, for whoever makes spans of the run; without headers there is none."""
    server = await serve(Engine(), small_workflow())
    await (await server.engine.start("small", run_id="old")).ended()
    data = await started(server, await start(server, route, HEADERS))
    assert (data["traceparent"], data["tracestate"]) == (TRACEPARENT, STATE)


@pytest.mark.parametrize(
    "headers",
    [{}, {"traceparent": "00-not-one"}, {"tracestate": STATE}, {"traceparent": TRACEPARENT + "-more"}],
)
async def test_a_traceparent_that_is_not_valid_is_as_none(headers: dict[str, str], serve: Serve) -> None:
    """W3C: the request is carried out all the same."""
    server = await serve(Engine(), small_workflow())
    data = await started(server, await start(server, "workflow", headers))
    assert not {"traceparent", "tracestate"} & data.keys()


async def test_a_traceparent_that_is_there_twice_is_as_none(serve: Serve) -> None:
    """Nobody knows which of them counts."""
    server = await serve(Engine(), small_workflow())
    headers = [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)]
    async with server.session.post(
        f"{server.url}/workflows/small/runs", json={"run_id": "w"}, headers=headers
    ) as answer:
        assert answer.status == 201
    assert "traceparent" not in await started(server, "w")


async def test_the_same_start_in_another_trace_is_the_same_start(serve: Serve) -> None:
    """A client that asks again is in another span: it gets the run that there is, which stays where it was."""
    server = await serve(Engine(), small_workflow())
    await start(server, "put", HEADERS)
    status, _ = await server.put("/runs/u", {"workflow": "small"}, traceparent=TRACEPARENT.replace("b7", "c8"))
    assert status == 200
    assert (await started(server, "u"))["traceparent"] == TRACEPARENT
