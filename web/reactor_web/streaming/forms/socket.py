"""The events of a run on a WebSocket, and commands to it on the same connection.

events      one text frame a message, from the pipeline of ``application/x-ndjson`` with the same options
commands    {"id": 1, "command": "cancel", …} ──▶ {"reply": 1, "ok": true, …}  or  {"reply": 1, "problem": {…}}
heartbeat   a ping after each silence; a client that answers two of them with nothing at all is cut off
the end     ``stream.end`` or ``stream.closing``, then a close frame with a code of ``CODES``
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import WSMessage, WSMsgType, web

from reactor.events.shown import display_json
from reactor.events.values import json_kind
from reactor.logger import get_logger
from reactor.waiting import turn_of
from reactor_web.bounds import CLOSING_SECONDS, SOCKET_COMMANDS, SOCKET_MESSAGE_BYTES
from reactor_web.http.body import NoBody
from reactor_web.http.decoding import decode
from reactor_web.http.problems import BROKEN, Problem, document_of, problem_document, with_type
from reactor_web.http.sending import unread_of_loop
from reactor_web.http.telling import tell_refused
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.direct import text_frames, transport_of_socket
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.streams import STREAMS, Streams, streams_of

logger = get_logger("reactor.web")

CarryOut = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Carries out a command, a JSON object without its id, and returns the members of the reply. Raises Problem."""

END: Final = 1000
AGAIN: Final = 1013
CODES: Final = {"shutdown": 1001, "not_found": 1008, "auth": 1008}
"""Why a stream closes -> the code of the close frame. After the end of the run it is ``END``, else ``AGAIN``."""

_MAX_ID: Final = 200
"""Characters of the id of a command."""
_MAX_SILENT_PINGS: Final = 2


class Socket(web.WebSocketResponse):
    """The connection. What a host application does to its responses is not done to it."""

    def __init__(self) -> None:
        super().__init__(timeout=CLOSING_SECONDS, autoping=False, compress=False, max_msg_size=SOCKET_MESSAGE_BYTES)

    def enable_compression(self, force: object = None, strategy: int | None = None) -> None:
        """Does nothing: the answer to the handshake has no body."""


async def serve_socket(
    request: web.Request, client: Client, deliver: Callable[[Wire], Awaitable[bool]], carry_out: CarryOut
) -> web.StreamResponse:
    """Answers a handshake; returns when the connection is over. ``deliver`` writes the lines of the stream.

    Raises Problem 400 for what is no handshake.
    """
    socket = Socket()
    if not socket.can_prepare(request).ok:
        raise Problem(400, "this is no handshake of a WebSocket, version 13")
    if client.admission is not None:
        await client.admission.take(client.run_id)
    streams = streams_of(request)
    if STREAMS not in request.config_dict:
        client.server = request.protocol
    session = _Session(request, socket, client, carry_out, streams)
    streams.add(client)
    is_open = False
    try:
        await socket.prepare(request)
        is_open = True
        reading = asyncio.ensure_future(session.read())
        try:
            await deliver(Wire(client, session.send_lines, transport_of_socket(socket), text_frames))
            await session.finish()
        finally:
            reading.cancel()
        unread_of_loop().touch(client.transport)  # the end is written to it, and must be read
        code = END if client.has_ended else CODES.get(client.closing or "", AGAIN)
        await socket.close(code=code, message=(client.closing or "end").encode())
    except ConnectionError:
        client.close(GONE)
    finally:
        streams.remove(client)
    # it left before its handshake was answered: aiohttp cannot end a socket that never was one, and logs a traceback
    return socket if is_open else NoBody(status=400)


class _Session:
    """Both directions of one connection."""

    def __init__(
        self, request: web.Request, socket: Socket, client: Client, carry_out: CarryOut, streams: Streams
    ) -> None:
        self._request = request
        self._socket = socket
        self._client = client
        self._carry_out = carry_out
        self._streams = streams
        self._running: set[asyncio.Task[None]] = set()
        """Commands that are being carried out. They go on when the client leaves."""
        self._silent_pings = 0
        """Pings since the client has last sent anything."""

    # --- to the client ---

    async def send_lines(self, data: bytes) -> None:
        """Sends each line as a text frame; an empty one is a heartbeat."""
        for line in data.removesuffix(b"\n").split(b"\n"):
            if line:
                await self._socket.send_frame(line, WSMsgType.TEXT)
            else:
                await self._beat()

    async def _beat(self) -> None:
        if self._silent_pings >= _MAX_SILENT_PINGS:
            self._client.abort("stalled")
            raise ConnectionResetError("the client answers no ping")
        self._silent_pings += 1
        await self._socket.ping()

    async def _reply(self, id: str | int | None, members: dict[str, Any]) -> None:
        unread_of_loop().touch(self._client.transport)  # the stream may write nothing for an hour
        await self._socket.send_frame(display_json({"reply": id, **members}), WSMsgType.TEXT)

    def _typed(self, document: dict[str, Any] | None) -> dict[str, Any] | None:
        if document is not None and (code := document.get("code")) is not None:
            tell_refused(self._request, str(code))
        return None if document is None else with_type(document, self._request)

    async def finish(self) -> None:
        """Waits until the commands that came are answered, but not for long."""
        if self._running and not self._client.is_gone:
            await asyncio.wait(self._running, timeout=CLOSING_SECONDS)

    # --- from the client ---

    async def read(self) -> None:
        """Reads commands until the client closes the connection, or breaks the protocol."""
        turn = turn_of(asyncio.get_running_loop())
        try:
            while (message := await self._socket.receive()).type in _READ:
                await turn  # thousands may have come at once
                self._silent_pings = 0
                if message.type == WSMsgType.PING:
                    unread_of_loop().touch(self._client.transport)
                    await self._socket.pong(message.data)
                elif message.type != WSMsgType.PONG:
                    await self._take(message)
        except ConnectionError:
            pass  # it is gone, as below
        except Exception as error:
            logger.error("stream broke off", path=self._client.path, exc_info=error)
            self._client.abort("error")
        self._client.close(GONE)

    async def _take(self, message: WSMessage) -> None:
        """Starts a command. What is none is answered here: a client that does not read answers is not read either."""
        id = None
        try:
            command = _parse(message)
            id = _id_of(command)
            if self._client.closing is not None:  # a client that reads nothing keeps its stream from ending
                raise Problem(409, "this socket is closing: no command is carried out on it any more")
            if len(self._running) >= SOCKET_COMMANDS:
                sentence = f"{SOCKET_COMMANDS} commands of this socket are being carried out: wait for replies"
                raise Problem(429, sentence, code="too-many-commands")
        except Problem as problem:
            await self._reply(id, {"problem": self._typed(document_of(problem))})
            return
        task = self._streams.spawn(self._answer(id, command))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, id: str | int, command: dict[str, Any]) -> None:
        try:
            members = {"ok": True, **await self._carry_out(command)}
        except Exception as error:
            document = document_of(error)
            if document is None:
                logger.error("bug in a handler", method="WS", path=self._client.path, exc_info=error)
            members = {"problem": self._typed(document or problem_document(500, BROKEN))}
        try:
            await self._reply(id, members)
        except ConnectionError:
            self._client.close(GONE)


_READ: Final = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG)


def _parse(message: WSMessage) -> dict[str, Any]:
    """The JSON object of a text frame, without its id; raises Problem."""
    if message.type != WSMsgType.TEXT:
        raise Problem(415, "a command is a text frame of JSON, not a binary one")
    command = decode(message.data.encode(), SOCKET_MESSAGE_BYTES, "the command")
    if not isinstance(command, dict):
        raise Problem(422, f"the command must be a JSON object, not {json_kind(command)}")
    return cast(dict[str, Any], command)


def _id_of(command: dict[str, Any]) -> str | int:
    """Takes the id out of a command; raises Problem 422."""
    id = command.pop("id", None)
    if isinstance(id, bool) or not isinstance(id, str | int) or len(str(id)) > _MAX_ID:
        raise Problem(422, f"a command must have an id, a string or a whole number of at most {_MAX_ID} characters")
    return id
