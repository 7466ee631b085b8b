"""Follows a run's event stream by its URL. Reconnects by cursor, so every event comes once and in order.

It ends with ``stream.end``, with 204 (all events were seen before), with a refusal, or after too many connections in a
row that brought nothing. Everything else is a lost connection, and the client connects again.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import aiohttp

from reactor.events.vocabulary import NOTICES
from reactor_web.client.errors import (
    FINAL_CLOSINGS,
    StreamClosed,
    StreamRefused,
    StreamUnavailable,
    error_text,
    json_object,
    not_a_url,
    one_line,
)
from reactor_web.sse.parser import Frame, FrameTooLarge, Parser

MAX_FAILURES: Final = 8
SILENCE_SECONDS: Final = 20.0
"""The longest silence of a healthy server. After three times as long the connection counts as dead."""
CONNECT_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0
"""The first wait, unless the server says ``retry:``."""
BACKOFF_SECONDS: Final = 10.0
SHORTEST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 300.0
"""A server may ask for longer or shorter waits than our backoff, but not for a busy loop or a year."""
JITTER: Final = 0.25
"""The share of a wait that is random, so that a thousand clients do not come back at once."""
MAX_PROBLEM_BYTES: Final = 64 * 1024

_ASK_AGAIN: Final = frozenset({408, 425})
"""Statuses of the 4xx that are about this attempt and not about the request, beside 429."""

ANEW: Final = frozenset({"ahead", "rewound"})
"""Reasons of ``stream.gap`` after which the run is told from its first event on."""

_ID: Final = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?", re.ASCII)


class Opens(Protocol):
    """What a stream is opened with: an ``aiohttp.ClientSession``, or what adds something to its requests."""

    def get(
        self, url: str, *, headers: dict[str, str], timeout: aiohttp.ClientTimeout
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]: ...


class _Lost(Exception):
    """This connection is over, but the stream is not. ``wait``: the seconds to wait that the server asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


async def follow_url(
    url: str,
    *,
    after: int | str = 0,
    session: Opens,
    on_connection: Callable[[str], None] | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    max_failures: int = MAX_FAILURES,
    heartbeat: float = SILENCE_SECONDS,
    wait_for_server: bool = True,
    on_failure: Callable[[str], None] | None = None,
    is_whole: bool = False,
) -> AsyncGenerator[Frame, None]:
    """The frames of ``GET url`` (a run's ``/events``), each once and in order, across any number of connections.

    ``after`` is the last seq that was seen before, or the last id of a stream of several runs. Notices (``stream.gap``,
    ``run.state``) and frames without an id (``frame.id == ""``) are given too; the last frame is ``stream.end``.
    ``stream.closing`` is not given: it makes this function reconnect, or raise. ``on_connection`` is called with a
    sentence when the connection is lost and when there is a new one. ``heartbeat``: after three times as many seconds
    without a byte the connection counts as lost. ``wait_for_server``: whether to try again where not even the first
    connection can be made. ``on_failure`` is called with the reason when a connection has brought nothing.
    ``is_whole``: the stream has every event of one run, so a seq that is left out is a lost connection too.

    Raises StreamRefused for a 4xx other than 408, 425 and 429, a bad URL or a resource that is not an event stream;
    StreamUnavailable if ``max_failures`` connections in a row brought nothing, the server closed the stream for good,
    or without ``wait_for_server`` there is no server. Use ``contextlib.aclosing`` to leave early.
    """
    cursor = _Cursor(after, is_whole)
    notify = on_connection or _ignore
    while True:
        try:
            async with aclosing(_connection(url, session, cursor, heartbeat, notify)) as frames:
                async for frame in frames:
                    yield frame
                    if frame.event == "stream.end":
                        return
            return
        except _Lost as lost:
            reason, least_wait = str(lost), lost.wait
        if not (wait_for_server or cursor.has_connected):
            raise StreamUnavailable(url, reason)
        if cursor.failures >= max_failures:
            raise StreamUnavailable(url, f"{max_failures} attempts in a row brought nothing; the last one: {reason}")
        if cursor.failures and on_failure is not None:
            on_failure(reason)
        wait = cursor.wait(least_wait)
        notify(f"{'connection lost' if cursor.has_connected else 'no connection'} ({reason}); again in {wait:.1f} s")
        await sleep(wait)


def _ignore(sentence: str) -> None:
    pass


class _Cursor:
    """What outlives a connection: the last id, how long to wait, how many attempts in a row brought nothing."""

    def __init__(self, after: int | str, is_whole: bool) -> None:
        self._is_whole = is_whole
        self.last_id = str(after) if after else ""
        self.retry = RETRY_SECONDS
        self.failures = 0
        self.has_connected = False
        """Whether there was an answer, of any kind."""
        self._epoch = ""
        """Of the numbers of the run, where its log has lost some."""
        self._seen = _place_of(str(after)) or (0, math.inf)

    def headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        after = f"{self.last_id}~{self._epoch}" if self._epoch and _place_of(self.last_id) else self.last_id
        return {**headers, "Last-Event-ID": after} if after else headers

    def admits(self, frame: Frame) -> bool:
        """Moves to the frame; False if it was seen before. Raises _Lost where one is missing before it.

        Ids are ``<seq>``, or ``<seq>.<k>`` for a part before it.
        """
        if frame.event == "stream.gap" and (gap := _envelope_data(frame)).get("reason") in ANEW:
            # the run has fewer events than we saw, or others: all of its events follow
            self.last_id, self._seen = "", (0, math.inf)
            self._epoch = str(gap.get("epoch") or self._epoch)
        if not frame.id:
            return True
        position = _place_of(frame.id)
        if position is None:
            self.last_id = frame.id  # only the server knows the order of such ids
            return True
        if position <= self._seen:
            return frame.event in NOTICES  # a notice has the seq it is current to, which an event had before
        seq, before = position[0], self._seen[0]
        if self._is_whole and seq > before + 1 and frame.event not in NOTICES:
            raise _Lost(f"event {before + 1:.0f} is missing before {seq:.0f}")
        self.last_id, self._seen = frame.id, position
        return True

    def wait(self, least: float) -> float:
        """Seconds before the next attempt: never less than the server asked for, more with every failure in a row."""
        floor = max(least, self.retry, SHORTEST_WAIT_SECONDS)
        backoff = min(BACKOFF_SECONDS, max(self.retry, SHORTEST_WAIT_SECONDS) * 2 ** min(max(0, self.failures - 1), 30))
        ceiling = max(backoff, floor * (1 + JITTER))
        return min(LONGEST_WAIT_SECONDS, random.uniform(max(floor, ceiling * (1 - JITTER)), ceiling))


def _place_of(id: str) -> tuple[float, float] | None:
    """Where an id stands in the order of ids; None where only the server knows."""
    found = _ID.fullmatch(id)
    return None if found is None else (int(found[1]), int(found[2]) if found[2] else math.inf)


async def _connection(
    url: str, session: Opens, cursor: _Cursor, heartbeat: float, notify: Callable[[str], None]
) -> AsyncGenerator[Frame, None]:
    """The new frames of one connection. Returns on 204; raises _Lost when the client should connect again."""
    # the session's own total timeout would end every stream after five minutes
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=3 * heartbeat)
    again = cursor.failures > 0 or bool(cursor.last_id)
    cursor.failures += 1
    try:
        async with session.get(url, headers=cursor.headers(), timeout=timeout) as response:
            cursor.has_connected = True
            if response.status == 204:
                return
            await _require_stream(url, response)
            if again:
                notify(f"connected, after {cursor.last_id}" if cursor.last_id else "connected")
            async with aclosing(_frames(response, cursor, heartbeat)) as frames:
                async for frame in frames:
                    if frame.event == "stream.closing":
                        cursor.failures = 0
                        raise _closing(url, frame)
                    if cursor.admits(frame):
                        cursor.failures = 0  # what was seen before is as good as nothing
                        yield frame
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise StreamRefused(url, None, not_a_url(url)) from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.TooManyRedirects) as error:
        raise StreamRefused(url, None, error_text(error)) from error
    except (aiohttp.ClientError, OSError, FrameTooLarge) as error:
        raise _Lost(error_text(error)) from error
    raise _Lost("the stream ended early")


async def _frames(response: aiohttp.ClientResponse, cursor: _Cursor, heartbeat: float) -> AsyncGenerator[Frame, None]:
    parser = Parser(sticky_id=False)
    now = asyncio.get_running_loop().time
    opened = now()
    async for chunk in response.content.iter_any():
        frames = parser.feed(chunk)
        # a paused run is silent for hours, and a proxy may cut its connections: such a connection is no failure
        if now() - opened >= heartbeat:
            cursor.failures = 0
        if parser.retry_ms is not None:
            cursor.retry = parser.retry_ms / 1000
        for frame in frames:
            yield frame


async def _require_stream(url: str, response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status in (429, 503):
        raise _Lost(f"the server answers {status}", retry_after(response.headers.get("Retry-After")))
    if status >= 500 or status in _ASK_AGAIN:
        raise _Lost(f"the server answers {status}")
    if status != 200:
        raise StreamRefused(url, status, await _detail(response))
    if response.content_type != "text/event-stream":
        raise StreamRefused(url, status, f"{one_line(response.content_type)} is not an event stream")


def _closing(url: str, frame: Frame) -> Exception:
    """The exception to raise for a ``stream.closing`` {reason, retry_ms}."""
    data = _envelope_data(frame)
    reason = str(data.get("reason"))
    if reason in FINAL_CLOSINGS:
        return StreamClosed(url, reason)
    retry_ms = data.get("retry_ms")
    return _Lost(one_line(f"the server closes: {reason}"), retry_ms / 1000 if isinstance(retry_ms, int) else 0.0)


def _envelope_data(frame: Frame) -> dict[str, Any]:
    return json_object(json_object(frame.data).get("data"))


async def _detail(response: aiohttp.ClientResponse) -> str:
    """The detail of the problem document; without one the reason phrase."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_PROBLEM_BYTES:
            break
    problem = json_object(body)
    return one_line(str(problem.get("detail") or problem.get("title") or response.reason or "no reason given"))


def retry_after(value: str | None) -> float:
    """``Retry-After`` in seconds from now: a number or an HTTP date (RFC 9110, 10.2.3); 0 if there is none."""
    if value is None:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
