"""Tickets on a real socket: what they open and what not, by whom, how often, and for how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from reactor import Engine
from reactor.testing import VirtualClock
from reactor_web.own import add_stream
from tests.helpers.guarded import Guarded, guarded
from tests.helpers.runs import PATIENCE
from tests.helpers.server import Frame, Stream

SSE = {"Accept": "text/event-stream"}
LOST = {"Last-Event-ID": "1"}


@pytest.fixture
async def clock() -> VirtualClock:
    """That of the guard, in which tickets end."""
    return VirtualClock("2026-01-01T00:00:00Z", jumps=False)


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[Guarded]:
    """With the open run r1 and r2."""
    async with guarded(clock=clock) as server:
        await server.run("gated", "r1")
        await server.run("gated", "r2")
        yield server


def stream(server: Guarded, ticket: str, query: str = "", run_id: str = "r1", **headers: str) -> Stream:
    return server.events(run_id, f"?ticket={ticket}{query}", **SSE, **headers)


async def first(stream: Stream) -> Frame:
    """The first frame that is no comment."""
    frame = await stream.next()
    assert frame is not None
    return frame


async def until_free(server: Guarded) -> None:
    """Until the server has seen that its streams have gone."""
    async with asyncio.timeout(PATIENCE):
        while len(server.streams):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0)


# --- what opens -----------------------------------------------------------------------------------------------------


async def test_a_ticket_is_a_credential_for_its_stream_alone(server: Guarded) -> None:
    """Without a header it opens the stream of its run, and no other run, route, method or list of runs."""
    ticket = await server.ticket(run_id="r1")
    assert await server.ask(f"/runs/r1/events?ticket={ticket}", "HEAD") == (401, None)
    for method, path in [
        ("GET", "/runs"), ("GET", "/runs/r1"), ("GET", "/workflows"), ("POST", "/runs/r1/cancel"),
        ("DELETE", "/runs/r1"), ("PUT", "/runs/r9"), ("POST", "/stream-tickets"), ("GET", "/events"),
        ("GET", "/runs/r2/events"), ("GET", "/runs/r2/ws"),
    ]:  # fmt: skip
        mine = await server.ticket(run_id="r1")
        assert await server.ask(f"{path}?ticket={mine}", method) == (401, "ticket-invalid"), (method, path)
    assert {run.id for run in server.engine.running()} == {"r1", "r2"}
    async with stream(server, ticket) as events:
        assert events.status == 200
        assert (await first(events)).event == "run.started"


async def test_a_ticket_does_not_start_a_run_or_cancel_it_by_leaving(server: Guarded) -> None:
    """``on_disconnect=cancel`` needs control, which no ticket has."""
    ticket = await server.ticket(run_id="r1")
    assert await server.ask(f"/runs/r1/events?ticket={ticket}&on_disconnect=cancel") == (403, "forbidden-scope")


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"workflow": "gated"}, "&workflow=gated"),
    ({"runs": ["r2", "r1"]}, "&runs=r1,r2"),
    ({"runs": "r1,r2"}, "&runs=r2&runs=r1"),
    ({"meta.a": "1", "parent": "r1"}, "&parent=r1&meta.a=1"),
]


@pytest.mark.parametrize("number", range(len(FILTERS)))
async def test_a_ticket_of_a_filter_opens_this_selection_alone(server: Guarded, number: int) -> None:
    """In whatever order it stands; with more, less or other runs it is another stream."""
    given, query = FILTERS[number]
    for other, (_, wrong) in enumerate(FILTERS):
        if other != number and "runs" in given and "runs" in FILTERS[other][0]:
            continue  # the same in other words
        ticket = await server.ticket(filter=given)
        async with server.session.get(f"{server.url}/events?ticket={ticket}{wrong}", headers=SSE) as answer:
            assert answer.status == (200 if other == number else 401), wrong
    ticket = await server.ticket(filter=given)
    async with server.session.get(f"{server.url}/events?ticket={ticket}{query}&runs=r3", headers=SSE) as answer:
        assert answer.status == 401
    ticket = await server.ticket(filter=given)
    assert await server.ask(f"/runs/r1/events?ticket={ticket}{query}", **SSE) == (401, "ticket-invalid")


async def test_pages_are_opened_by_ticket(server: Guarded) -> None:
    """One after the other by the cursor of each; the URL of what follows has no ticket. Without a cursor: once."""
    ticket = await server.ticket(run_id="r1")
    json_page = {"Accept": "application/json"}
    async with server.session.get(f"{server.url}/runs/r1/events?limit=1&ticket={ticket}", headers=json_page) as page:
        assert page.status == 200
        assert ticket not in page.headers["Link"]
        cursor = (await page.json())["cursor"]
    assert await server.ask(f"/runs/r1/events?limit=1&ticket={ticket}", **json_page) == (401, "ticket-invalid")
    after = f"/runs/r1/events?limit=1&ticket={ticket}&after={cursor}"
    assert await server.ask(after, **json_page) == (200, None)


async def test_a_websocket_by_ticket_is_read_only(server: Guarded) -> None:
    """It shows the events; a command is refused by name, and does nothing."""
    ticket = await server.ticket(run_id="r1")
    async with server.session.ws_connect(f"{server.url}/runs/r1/ws?ticket={ticket}") as socket:
        assert json.loads(await socket.receive_str())["type"] == "run.started"
        await socket.send_json({"id": 7, "command": "cancel"})
        while "reply" not in (line := json.loads(await socket.receive_str())):
            pass
        assert (line["problem"]["status"], line["problem"]["code"]) == (403, "forbidden-scope")
    assert [run.id for run in server.engine.running()] == ["r1", "r2"]
    assert await server.ask(f"/runs/r2/ws?ticket={ticket}") == (401, "ticket-invalid")


async def test_a_route_of_ones_own_is_opened_by_the_ticket_of_its_run(clock: VirtualClock) -> None:
    """Wherever its id stands in the path; by no ticket of another run, and by none of a filter."""

    def own(app: web.Application, engine: Engine) -> None:
        add_stream(app, "/jobs/{job}", engine, id_from="job")

    async with guarded(clock=clock, own=own) as at:
        await at.run("gated", "r1")
        root = at.url.removesuffix("/api/v1")
        for body, status in [({"run_id": "r1"}, 200), ({"run_id": "r2"}, 403), ({"filter": {}}, 401)]:
            ticket = await at.ticket(**body)
            async with at.session.get(f"{root}/jobs/r1?ticket={ticket}", headers=SSE) as answer:
                assert answer.status == status, body


# --- who, and how often ---------------------------------------------------------------------------------------------


async def test_a_stolen_ticket_does_not_work_while_its_stream_is_open(server: Guarded) -> None:
    """With or without a cursor, as a stream or a page. A client that sees no status is asked to come back: its own last
    connection may be what the server still holds open. When it has gone, whoever has a cursor is let in."""
    ticket = await server.ticket(run_id="r1")
    async with stream(server, ticket) as mine:
        await first(mine)
        assert await server.ask(f"/runs/r1/events?ticket={ticket}", **LOST) == (429, "ticket-in-use")
        assert await server.ask(f"/runs/r1/events?ticket={ticket}&after=1") == (429, "ticket-in-use")
        told = {**SSE, "Reactor-Client": "test"}
        assert await server.ask(f"/runs/r1/events?ticket={ticket}", **told) == (429, "ticket-in-use")
        async with stream(server, ticket, **LOST) as stolen:
            frames = await stolen.all()
        assert [frame.event for frame in frames] == ["stream.closing"]
        assert json.loads(frames[0].data)["data"]["code"] == "ticket-in-use"
        assert b"retry: " in stolen.raw
        server.gates.open()
        assert (await mine.all())[-1].event == "stream.end"
    await until_free(server)
    async with stream(server, ticket, **LOST) as again:
        assert again.status == 200, "who has a stolen ticket now is let in with a cursor: docs/security.md says so"
    await until_free(server)
    assert await server.ask(f"/runs/r1/events?ticket={ticket}", **SSE) == (401, "ticket-invalid"), "and with none, not"


async def test_fifty_racing_first_uses_are_one(server: Guarded) -> None:
    """On fifty connections at once one gets the events; the others are told that it is in use."""
    ticket = await server.ticket(run_id="r1")
    url = f"{server.url}/runs/r1/events?ticket={ticket}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        answers = await asyncio.gather(*[session.get(url, headers={"Reactor-Client": "test"} | SSE) for _ in range(50)])
        assert sorted(answer.status for answer in answers) == [200] + [429] * 49
        assert len(server.streams) == 1
        for answer in answers:
            answer.close()


async def test_the_first_use_comes_before_ttl_and_reconnects_before_the_end(
    server: Guarded, clock: VirtualClock
) -> None:
    """An unused ticket ends with its ttl. A used one reconnects until its key ends; its stream ends then, too."""
    end = "2026-01-01T02:00:00Z"
    _, key = await server.add_key("read", expires=end)
    unused, used = await server.ticket(key, run_id="r1", ttl=5), await server.ticket(key, run_id="r1", ttl=5)
    await clock.advance(4.9)
    async with stream(server, used) as events:
        await first(events)
    await until_free(server)
    await clock.advance(0.2)
    assert await server.ask(f"/runs/r1/events?ticket={unused}", **SSE) == (401, "ticket-invalid")
    await clock.advance(7_200 - 10)
    async with stream(server, used, **LOST) as events:
        await first(events)
        await clock.advance(5.0)
        closing = await events.until("stream.closing")
        assert json.loads(closing.data)["data"]["reason"] == "auth"
        assert await events.next() is None
    await until_free(server)
    assert await server.ask(f"/runs/r1/events?ticket={used}", **SSE, **LOST) == (401, "ticket-invalid")


REFUSED: list[dict[str, Any]] = [
    *({"run_id": "r1", "ttl": ttl} for ttl in (0, -1, 300.1, 1e9, "60")),
    {}, {"run_id": ""}, {"run_id": "r1", "filter": {}}, {"run_id": "a/b"}, {"run_id": 1}, {"run_id": "r1", "more": 1},
    {"filter": {"runs": []}}, {"filter": {"runs": ["r1", 2]}}, {"filter": {"types": "a"}},
    {"filter": {"workflow": None}},
    {"filter": {"runs": "a/b"}}, {"filter": {"meta.a": {}}}, {"filter": "runs=a"},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(REFUSED)))
async def test_what_cannot_be_asked_for_is_refused(server: Guarded, number: int) -> None:
    """A ticket is for one run or one selection that there can be, and is used within five minutes."""
    status, answer = await server.post("/stream-tickets", REFUSED[number], **server.headers)
    assert status == 422, answer
    assert "ticket" not in answer


async def test_who_was_told_no_cursor_comes_back_without_one(server: Guarded) -> None:
    """A stream that waits for its run has said no id when it is cut: its EventSource comes back without one. From the
    first id on it needs it."""
    ticket = await server.ticket(run_id="later")
    for _ in range(2):
        async with stream(server, ticket, "&await_run=60", "later") as waiting:
            assert waiting.status == 200
            await waiting.response.content.readany()
        await until_free(server)
    await server.run("gated", "later")
    async with stream(server, ticket, "&await_run=60", "later") as events:
        assert (await first(events)).event == "run.started"
    await until_free(server)
    assert await server.ask(f"/runs/later/events?ticket={ticket}", **SSE) == (401, "ticket-invalid")


async def test_what_was_refused_has_not_used_the_ticket_up(server: Guarded) -> None:
    """A bad query or a run that is not there yet says no cursor: the right request may follow."""
    ticket = await server.ticket(run_id="later")
    assert await server.ask(f"/runs/later/events?ticket={ticket}&tail=x") == (400, None)
    assert await server.ask(f"/runs/later/events?ticket={ticket}") == (404, None)
    await server.run("gated", "later")
    async with stream(server, ticket, run_id="later") as events:
        assert (await first(events)).event == "run.started"


async def test_a_new_ticket_goes_on_from_a_cursor(server: Guarded) -> None:
    """A client that asks for a ticket for each stream sends its cursor with the first use."""
    ticket = await server.ticket(run_id="r1")
    async with stream(server, ticket, "&after=1") as events:
        assert (await first(events)).id == "2"


# --- whose, and what is no secret afterwards ------------------------------------------------------------------------


async def test_a_ticket_sees_what_its_key_sees(server: Guarded) -> None:
    """Patterns of runs and workflows of the key hold for the ticket; no ticket is given for a run outside of them."""
    _, key = await server.add_key("read", runs=("r1",))
    headers = {"Authorization": f"Bearer {key}"}
    for body in ({"run_id": "r2"}, {"filter": {"runs": ["r2"]}}):
        assert (await server.post("/stream-tickets", body, **headers))[0] == 403
    ticket = await server.ticket(key, filter={})
    async with server.session.get(f"{server.url}/events?ticket={ticket}", headers=SSE) as answer:
        seen = b""
        while b"task.started" not in seen:
            seen += await answer.content.readany()
        assert b'"r1"' in seen
        assert b'"r2"' not in seen


async def test_a_ticket_needs_the_scope_read(server: Guarded) -> None:
    """It is the scope of what it opens."""
    _, key = await server.add_key("run", "control")
    headers = {"Authorization": f"Bearer {key}"}
    status, answer = await server.post("/stream-tickets", {"run_id": "r1"}, **headers)
    assert (status, answer["code"]) == (403, "forbidden-scope")


async def test_a_ticket_of_a_revoked_key_opens_nothing(server: Guarded) -> None:
    """Used or not, and also where none of its streams is open while the key is revoked."""
    id, key = await server.add_key("read")
    used, unused = await server.ticket(key, run_id="r1"), await server.ticket(key, run_id="r1")
    async with stream(server, used) as events:
        await first(events)
    await until_free(server)
    await server.keys.revoke(id)
    assert await server.ask(f"/runs/r1/events?ticket={unused}", **SSE) == (401, "ticket-invalid")
    assert await server.ask(f"/runs/r1/events?ticket={used}", **SSE, **LOST) == (401, "ticket-invalid")
