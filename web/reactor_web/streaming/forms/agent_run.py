"""One AG-UI run of a run as a response, for a client that has asked for it by POST.

The frames are those that all clients of the dialect share. This client's response has them from the beginning of its
AG-UI run to the end of it, under the ids that the client has chosen; then it ends, however the run goes on.

An interrupt that is out of date when it is written, because the answers are there or another question has come, is
left out, and what follows belongs to the same AG-UI run of this client.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import web

from reactor.clock import SystemClock
from reactor.events.one_line import one_line
from reactor.events.state import RunState
from reactor.runs.run import Run
from reactor_web.dialects.ag_ui.dialect import broken_off, refused
from reactor_web.dialects.ag_ui.quiet import is_quiet, listed
from reactor_web.dialects.framing import COMMENT, split
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.connection.client import GONE, Client
from reactor_web.streaming.connection.wire import Wire
from reactor_web.streaming.following.view_follower import ViewFollower
from reactor_web.streaming.forms.known import Known
from reactor_web.streaming.response import NO_HEADERS, respond
from reactor_web.streaming.streams import streams_of

_MESSAGE: Final = re.compile(rb'^data: (\{"type":"([A-Z_]+)".*\})$', re.MULTILINE)
_OF_THE_RUN: Final = (b"RUN_STARTED", b"RUN_FINISHED", b"RUN_ERROR")

_NO_OUTCOME: Final = {"type": "success"}


class Ids(NamedTuple):
    """How a client names the thread and the AG-UI run."""

    thread_id: str
    run_id: str


async def stream_agent_run(
    request: web.Request,
    run: Run,
    options: StreamOptions,
    ids: Ids,
    known: Known,
    headers: Mapping[str, str] = NO_HEADERS,
) -> web.StreamResponse:
    """Answers with the AG-UI run that begins after ``options.after``, an event at which no AG-UI run is open.

    ``known``: what the client has of it already.
    """
    client = Client(request, options, run.id)
    deliver = partial(_deliver, request, run, client, ids, known)
    return await respond(request, client, deliver, headers, keeps_alive=True)


async def began(request: web.Request, run: Run, options: StreamOptions) -> int:
    """The cursor before the last AG-UI run of a run, the one that is open if one is."""
    now = await streams_of(request).channels.kept.now(run.feed, options)
    return max(now.state.began - 1, 0)


async def stream_refusal(
    request: web.Request, options: StreamOptions, ids: Ids, message: str, code: str
) -> web.StreamResponse:
    """Answers with an AG-UI run that fails at once."""
    frames = refused(*ids, message, code, SystemClock().now().decode())
    return await respond(request, Client(request, options), partial(_write, frames), keeps_alive=True)


async def _write(frames: bytes, wire: Wire) -> bool:
    await wire.write(COMMENT)
    await wire.write(frames)
    return True


async def _deliver(request: web.Request, run: Run, client: Client, ids: Ids, known: Known, wire: Wire) -> bool:
    await wire.write(COMMENT)  # sends the headers: the client knows at once that it is connected
    own = _OneRun(client, wire, run.feed.state, ids, known)
    follower = ViewFollower(run.feed, client, own, streams_of(request).channels, client.options.after or 0)
    try:
        while await follower.advance():
            await client.wait()
    except asyncio.CancelledError:
        if client.cut():
            await _break_off(run, client, own)
        raise
    else:
        await _break_off(run, client, own)
    finally:
        follower.leave()
    return True


async def _break_off(run: Run, client: Client, own: _OneRun) -> None:
    """Tells a client whose AG-UI run has no end that the stream has closed: it would take that for success."""
    if own.is_over or client.closing == GONE:
        client.has_ended = own.is_over
        return
    client.close(str(run.feed.closed or "closed"))
    time = SystemClock().now().decode()
    await own.send(broken_off(*own.ids, client.closing or "closed", time, has_begun=own.has_begun))


class _OneRun(Wire):
    """Takes the frames of a run, and writes those of one AG-UI run."""

    __slots__ = ("_asks_client", "_known", "_run", "has_begun", "ids", "is_over")

    def __init__(self, client: Client, wire: Wire, run: RunState, ids: Ids, known: Known) -> None:
        super().__init__(client, wire.send, None)  # never straight to the transport: the shared bytes have other ids
        self._asks_client = client
        self._run = run
        self._known = known
        self.ids = ids
        self.has_begun = False
        self.is_over = False

    async def write(self, data: bytes) -> None:
        """Writes what of the frames belongs to the AG-UI run; behind its end nothing."""
        frames = split(data)
        rest = data[sum(map(len, frames)) :]  # a heartbeat has no blank line
        if own := b"".join([self._own(frame) for frame in frames]) + (b"" if self.is_over else rest):
            await super().write(own)
        if self.is_over:
            self._asks_client.close("end")

    def _own(self, frame: bytes) -> bytes:
        if self.is_over:
            return b""
        match = _MESSAGE.search(frame)
        if match is None or match[2] not in _OF_THE_RUN:
            return self._rest_of(frame, match) if self.has_begun else b""
        message: dict[str, Any] = orjson.loads(match[1])
        if match[2] == b"RUN_STARTED":
            if self.has_begun:
                return b""
            self.has_begun = True
        elif not self.has_begun or not self._is_current(message):
            return b""
        else:
            self.is_over = True
        if match[2] != b"RUN_ERROR":
            message |= {"threadId": self.ids.thread_id, "runId": self.ids.run_id}
        return _with(frame, match, message)

    def _rest_of(self, frame: bytes, match: re.Match[bytes] | None) -> bytes:
        """The frame without what the client has already."""
        if match is None or not self._known:
            return frame
        message: dict[str, Any] = orjson.loads(match[1])
        rest = self._known.rest_of(message)
        return frame if rest is message else b"" if rest is None else _with(frame, match, rest)

    def _is_current(self, message: dict[str, Any]) -> bool:
        """Whether an AG-UI run ends with this: an interrupt does only while its questions are the open ones."""
        outcome: dict[str, Any] = message.get("outcome", _NO_OUTCOME)
        if outcome["type"] != "interrupt":
            return True
        interrupts: list[dict[str, Any]] = outcome["interrupts"]
        asked = [interrupt["id"] for interrupt in interrupts]
        return is_quiet(self._run) and asked == [question.id for question in listed(self._run)]


def _with(frame: bytes, match: re.Match[bytes], message: dict[str, Any]) -> bytes:
    return frame[: match.start(1)] + one_line(orjson.dumps(message)) + frame[match.end(1) :]
