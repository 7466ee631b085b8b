"""``/runs/{id}/ws``: events and commands on one WebSocket."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Context, Engine, Run, Workflow
from reactor.testing import read_all
from reactor_web.bounds import SOCKET_COMMANDS, SOCKET_MESSAGE_BYTES
from tests.helpers.flows import one_task
from tests.helpers.lines_client import Lines
from tests.helpers.runs import PATIENCE, wait_for_event, wait_until
from tests.helpers.server import Server
from tests.helpers.socket_client import SocketClient


def asking_workflow() -> Workflow:
    """One task that asks a person."""

    async def ask(ctx: Context) -> Any:
        return await ctx.receive("how many?", key="count")

    flow = Workflow("asking")
    flow.task(ask, name="ask")
    return flow


# --- events -----------------------------------------------------------------------------------------------------


async def test_the_messages_are_those_of_the_log_and_the_end_has_its_code(server: Server) -> None:
    """One text frame an event, ``stream.end``, then 1000. Who comes after the end gets ``stream.end`` at once."""
    run = await server.engine.get((await server.start("small"))["run_id"])
    await run.ended()
    log = [event.body for event in await read_all(server.engine.log, run.id)]
    async with SocketClient(server, f"/runs/{run.id}/ws") as socket:
        *events, end = await socket.all()
        assert (events, end["type"], end["data"]) == (log, "stream.end", {"status": "completed"})
        assert socket.code == 1000
    async with SocketClient(server, f"/runs/{run.id}/ws?after={log[-1]['seq']}") as socket:
        assert [message["type"] for message in await socket.all()] == ["stream.end"]
        assert socket.code == 1000


async def test_a_client_that_is_cut_after_any_event_has_exactly_the_rest(server: Server) -> None:
    """By ``after``, while the run goes on and afterwards."""
    await server.start("gated", run_id="r")
    seen: list[dict[str, Any]] = []
    gates = iter(["fast", "step", "middle", "slow"])
    while not seen or seen[-1]["type"] != "run.completed":
        async with SocketClient(server, f"/runs/r/ws?after={len(seen)}") as socket:
            for _ in range(2):
                message = await asyncio.wait_for(_next_or(socket, server, gates), PATIENCE)
                if message["type"] != "stream.end":
                    seen.append(message)
    assert seen == [event.body for event in await read_all(server.engine.log, "r")]


def has_caught_up(server: Server, run: Run) -> bool:
    """Whether somebody waits for what comes next, and has all the rest."""
    return any(
        place.is_waiting and place.offset == channel.ring.end and channel.seq == run.feed.last_seq
        for channel in server.streams.channels
        for place in channel.clients
    )


async def _next_or(socket: SocketClient, server: Server, gates: Any) -> dict[str, Any]:
    """The next message; where the run waits for a gate, that gate is opened first."""
    coming = asyncio.ensure_future(socket.next())
    run = await server.engine.get("r")
    await wait_until(lambda: coming.done() or has_caught_up(server, run))
    if not coming.done() and run.feed.last_seq >= 4:
        gate = next(gates, None)
        if gate is not None:
            server.gates[gate].set()
            if gate == "middle":
                server.gates["step"].set()
    message = await coming
    assert message is not None
    return message


async def test_the_options_are_those_of_the_stream(server: Server) -> None:
    """Filters, the state first, a tree with its cursors; and a socket may be opened before its run."""
    early = SocketClient(server, "/runs/r/ws?await_run=60&types=run.*")
    async with early as socket:
        await server.start("small", run_id="r")
        assert [message["type"] for message in await socket.all()] == ["run.started", "run.completed", "stream.end"]
    async with SocketClient(server, "/runs/r/ws?snapshot=1") as socket:
        assert [message["type"] for message in await socket.all()] == ["run.state", "stream.end"]
    async with SocketClient(server, "/runs/r/ws?children=1") as socket:
        events = (await socket.all())[:-1]
    async with SocketClient(server, f"/runs/r/ws?children=1&after={events[1]['cursor']}") as socket:
        assert (await socket.all())[:-1] == events[2:]
    async with SocketClient(server, "/runs/never/ws?await_run=0.01") as socket:
        (closing,) = await socket.all()
        assert (closing["type"], closing["data"]["reason"], socket.code) == ("stream.closing", "not_found", 1008)


async def test_a_socket_shares_the_pipeline_of_lines(server: Server) -> None:
    """One channel for clients of both; its bytes are made once."""
    await server.start("gated", run_id="r")
    channels = server.streams.channels
    async with SocketClient(server, "/runs/r/ws") as socket, Lines(server, "/runs/r/events") as lines:
        await wait_until(lambda: [len(channel.clients) for channel in channels] == [2])
        server.gates.open()
        assert (await socket.all())[:-1] == (await lines.all())[:-1]


@pytest.mark.usefixtures("quick_beats")
async def test_a_silent_stream_pings_and_a_client_that_never_answers_is_cut_off(server: Server) -> None:
    """A pong, or anything else that it sends, keeps it."""
    await server.start("gated", run_id="r")
    async with SocketClient(server, "/runs/r/ws?heartbeat=0.05", autoping=False) as socket:
        await socket.until("task.started")
        assert (await socket.all())[-1]["type"] == "task.started"
        assert (socket.pings >= 2, socket.code) == (True, 1006)
    async with SocketClient(server, "/runs/r/ws?heartbeat=0.05", autoping=False) as socket:
        async with asyncio.timeout(30):
            while socket.pings < 4:
                message = await socket.ws.receive()
                if message.type == WSMsgType.PING:
                    socket.pings += 1
                    await socket.ws.pong(message.data)
        server.gates.open()
        await socket.until("stream.end")


async def test_a_ping_of_the_client_is_answered(server: Server) -> None:
    """With what it carried."""
    await server.start("gated", run_id="r")
    async with SocketClient(server, "/runs/r/ws", autoping=False) as socket:
        await socket.ws.ping(b"are you there")
        async with asyncio.timeout(10):
            while (message := await socket.ws.receive()).type != WSMsgType.PONG:
                assert message.type in (WSMsgType.TEXT, WSMsgType.PING)
        assert message.data == b"are you there"


async def test_a_shutdown_closes_with_1001(server: Server) -> None:
    """After ``stream.closing``; a client that does not read does not hold the server up."""
    await server.start("gated", run_id="r")
    async with SocketClient(server, "/runs/r/ws") as socket:
        await socket.until("task.started")
        stopping = asyncio.ensure_future(server.stop())
        assert (await socket.until("stream.closing"))["data"]["reason"] == "shutdown"
        assert await socket.next() is None
        assert socket.code == 1001
        await asyncio.wait_for(stopping, PATIENCE)


async def test_a_client_that_leaves_is_forgotten_and_cancels_only_if_it_asked_for_that(server: Server) -> None:
    """``on_disconnect=cancel`` holds for sockets, too."""
    for run_id, query in (("kept", ""), ("dropped", "?on_disconnect=cancel")):
        await server.start("gated", run_id=run_id)
        async with SocketClient(server, f"/runs/{run_id}/ws{query}") as socket:
            await socket.until("task.started")
        await wait_until(lambda: not len(server.streams))
    dropped = await server.engine.get("dropped")
    await asyncio.wait_for(dropped.ended(), PATIENCE)
    assert (dropped.status, (await server.engine.get("kept")).status) == ("cancelled", "running")


# --- commands ---------------------------------------------------------------------------------------------------


async def test_commands_are_answered_once_they_are_in_the_log(server: Server) -> None:
    """Each reply has the id of its command; events go on meanwhile."""
    await server.start("gated", run_id="r")
    run = await server.engine.get("r")
    async with SocketClient(server, "/runs/r/ws") as socket:
        await socket.command(1, "pause", reason="lunch")
        reply = await socket.reply(1)
        assert (reply["ok"], reply["run_id"], reply["status"]) == (True, "r", "paused")
        await socket.command("two", "resume")
        assert (await socket.reply("two"))["status"] == "running"
        await socket.command(3, "emit", type="note.made", data={"text": "hello"})
        reply = await socket.reply(3)
        (event,) = [event for event in await read_all(server.engine.log, "r") if event.type == "note.made"]
        assert (reply["seqs"], event.data) == ([event.seq], {"text": "hello"})
        await socket.command(4, "cancel", reason="enough", grace=0)
        rest = await socket.all()  # the reply may come before or after the end of the stream
    assert [message["ok"] for message in rest if message.get("reply") == 4] == [True]
    assert rest[-1].get("type") == "stream.end" or rest[-2].get("type") == "stream.end"
    assert run.status == "cancelled"
    types = [event.type for event in await read_all(server.engine.log, "r")]
    assert {"run.paused", "run.resumed", "run.cancelling", "run.cancelled"} <= set(types)


async def test_a_question_is_answered_on_the_socket_that_asked_it(server: Server) -> None:
    """``input``; a second answer is 409, in the problem document that HTTP has."""
    server.engine.register(asking_workflow())
    await server.start("asking", run_id="r")
    async with SocketClient(server, "/runs/r/ws") as socket:
        asked = await socket.until("task.waiting")
        await socket.command(1, "input", task="ask", value=7, key=asked["data"]["key"])
        await socket.command(2, "input", task="ask", value=8, key=asked["data"]["key"])
        messages = await socket.all()
    replies = {message["reply"]: message for message in messages if "reply" in message}
    assert replies[1]["ok"] is True
    assert replies[2]["problem"]["status"] == 409
    run = await server.engine.get("r")
    assert await run == {"ask": 7}


async def test_commands_survive_while_events_flow(server: Server) -> None:
    """Hundreds of events and commands at once: each command has its reply, and each event comes once, in order."""
    done = asyncio.Event()

    async def body(ctx: Context) -> None:
        n = 0
        while not done.is_set():
            n += 1
            await ctx.emit("n.said", {"n": n})
            await asyncio.sleep(0)

    server.engine.register(one_task(body, "flood"))
    await server.start("flood", run_id="r")
    async with SocketClient(server, "/runs/r/ws") as socket:
        messages: list[dict[str, Any]] = []
        for id in range(200):
            await socket.command(id, "emit", type="note.made", data={"id": id})
            while (message := await socket.next()) is not None:
                messages.append(message)
                if message.get("reply") == id:
                    break
        done.set()
        messages += await socket.all()
    assert [message["reply"] for message in messages if "reply" in message] == list(range(200))
    assert [message["seq"] for message in messages if "type" in message and "seq" in message] == list(
        range(1, (await server.engine.get("r")).feed.last_seq + 1)
    )
    notes = [message["data"]["id"] for message in messages if message.get("type") == "note.made"]
    assert notes == list(range(200))


REFUSED = [
    ({"command": "pause"}, 422, "must have an id"),
    ({"id": None, "command": "pause"}, 422, "must have an id"),
    ({"id": True, "command": "pause"}, 422, "must have an id"),
    ({"id": "x" * 201, "command": "pause"}, 422, "must have an id"),
    ({"id": 1}, 422, "there is no command 'None'; there are cancel, pause"),
    ({"id": 1, "command": "paus"}, 422, "did you mean 'pause'"),
    ({"id": 1, "command": ["pause"]}, 422, "there is no command"),
    ({"id": 1, "command": "pause", "reson": "x"}, 422, "the command has an unknown member 'reson'"),
    ({"id": 1, "command": "pause", "reason": 3}, 422, "reason must be a string"),
    ({"id": 1, "command": "cancel", "grace": -1}, 422, "grace must be 0 to 3600 seconds"),
    ({"id": 1, "command": "input", "task": "slow"}, 422, "must have a task and a value"),
    ({"id": 1, "command": "input", "task": "nope", "value": 1}, 404, "nope"),
    ({"id": 1, "command": "emit"}, 422, "must have a type"),
    ({"id": 1, "command": "emit", "type": "run.mine"}, 422, "run."),
    ({"id": 1, "command": "emit", "type": "note.made", "data": {"text": "x" * 60_000}}, 413, "note.made"),
]


@pytest.mark.parametrize(("command", "status", "sentence"), REFUSED)
async def test_a_bad_command_is_answered_with_a_problem(
    server: Server, command: dict[str, Any], status: int, sentence: str
) -> None:
    """With the sentence that HTTP has; the socket stays open, and nothing was changed."""
    await server.start("gated", run_id="r")
    await wait_for_event(await server.engine.get("r"), "task.started", None, 3)
    before = (await server.engine.get("r")).feed.last_seq
    async with SocketClient(server, "/runs/r/ws?tail=0") as socket:
        await socket.ws.send_json(command)
        reply = await socket.reply(1 if command.get("id") == 1 and command["id"] is not True else None)
        assert (reply["problem"]["status"], sentence in reply["problem"]["detail"]) == (status, True), reply
        await socket.command("still", "resume")
        assert (await socket.reply("still"))["ok"] is True
    assert (await server.engine.get("r")).feed.last_seq == before


async def test_after_the_end_of_the_server_side_run_a_command_is_told(server: Server) -> None:
    """409, as over HTTP: the run that a socket waits with has ended before the command came."""
    await server.start("small", run_id="child")
    await (await server.engine.get("child")).ended()
    async with SocketClient(server, "/runs/later/ws?await_run=60") as socket:
        await socket.command(1, "pause")
        assert (await socket.reply(1))["problem"]["status"] == 404


async def test_only_so_many_commands_are_carried_out_at_once(server: Server) -> None:
    """One more is answered 429 at once, while the others wait."""
    gate = asyncio.Event()
    pause = type(await server.engine.get((await server.start("gated", run_id="r"))["run_id"])).pause

    async def slow_pause(run: Any, **options: Any) -> None:
        await gate.wait()
        await pause(run, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reactor.runs.run.Run.pause", slow_pause)
        async with SocketClient(server, "/runs/r/ws?types=nothing.ever") as socket:
            for id in range(SOCKET_COMMANDS + 1):
                await socket.command(id, "pause")
            reply = await socket.reply(SOCKET_COMMANDS)
            assert reply["problem"]["status"] == 429
            gate.set()
            replies = [await socket.next() for _ in range(SOCKET_COMMANDS)]
    assert sorted(reply["reply"] for reply in replies if reply and reply["ok"]) == list(range(SOCKET_COMMANDS))


async def test_ten_thousand_malformed_frames_do_no_harm(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Each is answered with a problem; the run, the events and the other clients go on, and nothing is logged as a
    bug."""
    await server.start("gated", run_id="r")
    frames: list[str | bytes] = [
        b"\x00\xff binary", "", "{", "nul", "[]", "3", '"text"', "{}", '{"id": {}}', '{"id": 1, "command": {}}',
        "[" * 5_000, '{"a":' * 3_000, '{"id": 1e999}', "x" * 20_000, '{"id": "\\ud800", "command": "pause"}',
        '{"id": 1, "id": 2}', '{"id": -1, "command": "cancel", "task": 3}', '{"id": 1, "command": "emit", "data": []}',
        '{"id": 99999999999999999999999999, "command": "pause", "x": 1}', "\u2028\u0000",
    ]  # fmt: skip
    count = 10_000
    async with SocketClient(server, "/runs/r/ws?tail=0") as socket, SocketClient(server, "/runs/r/ws") as other:

        async def send() -> None:
            for frame in itertools.islice(itertools.cycle(frames), count):
                await (socket.ws.send_bytes(frame) if isinstance(frame, bytes) else socket.ws.send_str(frame))

        sending = asyncio.ensure_future(send())
        for _ in range(count):
            message = await socket.next()
            assert message is not None, socket.code
            assert message["problem"]["status"] in (400, 415, 422, 429)
        await sending
        await socket.command("last", "resume")
        assert (await socket.reply("last"))["ok"] is True
        server.gates.open()
        assert (await socket.all())[-1]["type"] == (await other.all())[-1]["type"] == "stream.end"
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_a_message_above_the_bound_and_broken_frames_close_the_connection(server: Server) -> None:
    """1009 for a message that is too large, 1007 for text that is no UTF-8; the server and the run stay well."""
    await server.start("gated", run_id="r")
    async with SocketClient(server, "/runs/r/ws") as socket:
        await socket.ws.send_str("x" * (SOCKET_MESSAGE_BYTES + 1))
        await socket.all()
        assert socket.code == 1009
    async with SocketClient(server, "/runs/r/ws") as socket:
        await socket.ws.send_frame(b"\xff\xfe", WSMsgType.TEXT)
        await socket.all()
        assert socket.code == 1007
    await wait_until(lambda: not len(server.streams))
    assert (await server.get("/runs/r"))[1]["status"] == "running"


# --- the handshake ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": "http://127.0.0.1:3000"}, 101),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
async def test_only_our_own_pages_may_open_a_socket(server: Server, headers: dict[str, str], status: int) -> None:
    """Origin and Host are checked; a client that is no browser sends no Origin."""
    await server.start("gated", run_id="r")
    try:
        async with SocketClient(server, "/runs/r/ws", headers=headers) as socket:
            await socket.until("run.started")
            found = 101
    except aiohttp.WSServerHandshakeError as error:
        found = error.status
    assert found == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/runs/nope/ws", 404),
        ("/runs/r/ws?after=x", 400),
        ("/runs/r/ws?dialect=steps", 400),
        ("/runs/r/ws?names=0", 400),
    ],
)
async def test_a_bad_handshake_is_answered_before_it_is_one(server: Server, path: str, status: int) -> None:
    """With a problem document and its status."""
    await server.start("gated", run_id="r")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with SocketClient(server, path):
            pass
    assert caught.value.status == status


async def test_a_plain_get_is_told_to_upgrade(server: Server) -> None:
    """426 with ``Upgrade``; 400 for another version of the protocol."""
    async with server.session.get(f"{server.url}/runs/r/ws") as response:
        assert (response.status, response.headers["Upgrade"]) == (426, "websocket")
        assert "new WebSocket" in (await response.json(content_type="application/problem+json"))["detail"]
    old = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "1", "Sec-WebSocket-Key": "eA=="}
    await server.start("gated", run_id="r")
    status, problem = await server.get("/runs/r/ws", **old)
    assert (status, "version 13" in problem["detail"]) == (400, True)


async def test_a_client_that_does_not_read_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any stream: after so long in one write its connection is aborted."""
    monkeypatch.setattr("reactor_web.streaming.streams.SEND_TIMEOUT_SECONDS", 0.2)

    async def body(ctx: Context) -> None:
        for n in range(1_000):
            await ctx.emit("n.said", {"n": n, "text": "x" * 30_000})

    server.engine.register(one_task(body, "flood"))
    await server.start("flood", run_id="r")
    parts = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1_024)
    writer.write(
        f"GET {parts.path}/runs/r/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    await wait_until(lambda: len(server.streams) == 1)
    await wait_until(lambda: not len(server.streams))
    writer.close()


async def test_a_host_that_compresses_everything_breaks_no_socket() -> None:
    """``enable_compression`` of a hook does nothing to the answer of a handshake."""
    from aiohttp import web

    gates_app, engine = web.Application(), Engine("memory://", grace=0.0)

    async def compress(request: web.Request, response: web.StreamResponse) -> None:
        response.enable_compression()

    gates_app.on_response_prepare.append(compress)
    reactor_web.mount(gates_app, engine, [one_task(lambda: 1, "one")])
    async with TestClient(TestServer(gates_app)) as client:
        await (await engine.start("one", run_id="r"))
        async with client.ws_connect("/api/v1/runs/r/ws") as ws:
            assert (await ws.receive_json())["type"] == "run.started"
