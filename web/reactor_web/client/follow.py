"""Following a run's event stream from elsewhere: reconnects by cursor, so every event comes once and in order.

What ends it: ``stream.end``, 204 (everything was seen before), a refusal, or too many connections in a row that brought
nothing. Everything else is a connection that was lost, and is made again.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import aiohttp
import orjson

from reactor.errors import ReactorError
from reactor.events.vocabulary import CONTROL
from reactor_web.sse.parser import Frame, FrameTooLarge, Parser

MAX_FAILURES: Final = 8
HEARTBEAT_SECONDS: Final = 20.0
"""The longest silence a healthy server leaves; three of them and the connection counts as dead."""
CONNECT_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 1.0
"""The first wait, until the server says ``retry:``."""
BACKOFF_SECONDS: Final = 10.0
SHORTEST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 300.0
"""A server may ask for waits outside of our own backoff, but not for a busy loop and not for a year."""
JITTER: Final = 0.25
"""Share of a wait left to chance, so that a thousand clients do not come back at once."""
MAX_PROBLEM_BYTES: Final = 64 * 1024
MAX_DETAIL_CHARS: Final = 500

FINAL_CLOSINGS: Final = {
    "not_recovered": "the server cannot continue this run: it does not have the workflow the run was started with",
    "not_found": "the server has no such run",
    "log": "the server's event log failed; the run is continued when the server starts again",
}
"""Reasons of ``stream.closing`` after which reconnecting brings nothing, as sentences."""

_ID: Final = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?", re.ASCII)


class StreamUnavailable(ReactorError):
    """The stream cannot be followed to its end: too many failures in a row, or the server said that it never ends."""

    url: str
    reason: str

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"cannot follow {url}: {reason}", url=url, reason=reason)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.url, self.reason))


class StreamRefused(ReactorError):
    """The request is wrong and stays wrong: a 4xx, a URL or a resource that is no event stream.

    ``status`` is None if there was no answer; ``detail`` is the problem's own sentence.
    """

    url: str
    status: int | None
    detail: str

    def __init__(self, url: str, status: int | None, detail: str) -> None:
        answers = "cannot be followed" if status is None else f"answers {status}"
        super().__init__(f"{url} {answers}: {detail}", url=url, status=status, detail=detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.url, self.status, self.detail))


class _Lost(Exception):
    """This connection is over, the stream is not. ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


async def follow_url(
    url: str,
    *,
    after: int = 0,
    session: aiohttp.ClientSession,
    on_connection: Callable[[str], None] | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    max_failures: int = MAX_FAILURES,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[Frame, None]:
    """The frames of ``GET url`` (a run's ``/events``), in order and never doubled, across any number of connections.

    ``after`` is the last seq seen already. Control frames and frames without an id of their own (``frame.id == ""``)
    pass too; the last frame is ``stream.end``. ``stream.closing`` is between the server and this function and does not
    pass. ``on_connection`` gets a sentence when the connection was lost and when there is one again. ``heartbeat`` is
    in seconds: after three of them without a byte the connection is made anew.

    Raises StreamRefused (4xx but 429, a URL that is no event stream) and StreamUnavailable (``max_failures``
    connections in a row brought nothing; the server closed for good). Leaving early: ``contextlib.aclosing``.
    """
    place = _Place(after)
    notify = on_connection or _ignore
    while True:
        try:
            async with aclosing(_connection(url, session, place, heartbeat, notify)) as frames:
                async for frame in frames:
                    yield frame
                    if frame.event == "stream.end":
                        return
            return
        except _Lost as lost:
            reason, asked = str(lost), lost.wait
        if place.failures >= max_failures:
            raise StreamUnavailable(url, f"{max_failures} attempts in a row brought nothing; the last one: {reason}")
        wait = place.wait(asked)
        notify(f"connection lost ({reason}); again in {wait:.1f} s")
        await sleep(wait)


def _ignore(sentence: str) -> None:
    pass


class _Place:
    """What outlives a connection: how far we are, how long to wait, how many attempts brought nothing."""

    def __init__(self, after: int) -> None:
        self.last_id = str(after) if after else ""
        self.retry = RETRY_SECONDS
        self.failures = 0
        self._seen: tuple[float, float] = (after, math.inf)

    def headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return {**headers, "Last-Event-ID": self.last_id} if self.last_id else headers

    def admits(self, frame: Frame) -> bool:
        """Moves to the frame; False if it was seen before. Ids are ``<seq>``, or ``<seq>.<k>`` before it."""
        if frame.event == "stream.gap" and _envelope_data(frame).get("reason") == "ahead":
            self.last_id, self._seen = "", (0, math.inf)  # the run has fewer events than we saw: all of them follow
        if not frame.id:
            return True
        found = _ID.fullmatch(frame.id)
        if found is None:
            self.last_id = frame.id  # a cursor of another kind: the server alone knows its order
            return True
        position = (int(found[1]), int(found[2]) if found[2] else math.inf)
        if position <= self._seen:
            return frame.event in CONTROL  # they carry the seq they are current to, which an event had before
        self.last_id, self._seen = frame.id, position
        return True

    def wait(self, asked: float) -> float:
        """Seconds before the next attempt: never less than the server asked for, more with every failure in a row."""
        floor = max(asked, self.retry, SHORTEST_WAIT_SECONDS)
        backoff = min(BACKOFF_SECONDS, max(self.retry, SHORTEST_WAIT_SECONDS) * 2 ** min(max(0, self.failures - 1), 30))
        ceiling = max(backoff, floor * (1 + JITTER))
        return min(LONGEST_WAIT_SECONDS, random.uniform(max(floor, ceiling * (1 - JITTER)), ceiling))


async def _connection(
    url: str, session: aiohttp.ClientSession, place: _Place, heartbeat: float, notify: Callable[[str], None]
) -> AsyncGenerator[Frame, None]:
    """The new frames of one connection. Returns on 204; raises _Lost whenever another one is to be made."""
    # the session's own total timeout would end every stream after five minutes
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=3 * heartbeat)
    again = place.failures > 0 or bool(place.last_id)
    place.failures += 1
    try:
        async with session.get(url, headers=place.headers(), timeout=timeout) as response:
            if response.status == 204:
                return
            await _require_stream(url, response)
            if again:
                notify(f"connected, after {place.last_id}" if place.last_id else "connected")
            async with aclosing(_frames(response, place, heartbeat)) as frames:
                async for frame in frames:
                    if frame.event == "stream.closing":
                        raise _closing(url, frame)
                    if place.admits(frame):
                        yield frame
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise StreamRefused(url, None, "it is no http:// or https:// URL") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise StreamRefused(url, None, _one_line(str(error))) from error
    except (aiohttp.ClientError, OSError, FrameTooLarge) as error:
        raise _Lost(_told(error)) from error
    raise _Lost("the stream ended early")


async def _frames(response: aiohttp.ClientResponse, place: _Place, heartbeat: float) -> AsyncGenerator[Frame, None]:
    parser = Parser(sticky_id=False)
    now = asyncio.get_running_loop().time
    opened = now()
    async for chunk in response.content.iter_any():
        frames = parser.feed(chunk)
        # a paused run behind a proxy that cuts connections says nothing for hours, and yet all is well
        if frames or now() - opened >= heartbeat:
            place.failures = 0
        if parser.retry_ms is not None:
            place.retry = parser.retry_ms / 1000
        for frame in frames:
            yield frame


async def _require_stream(url: str, response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status in (429, 503):
        raise _Lost(f"the server answers {status}", _retry_after(response.headers.get("Retry-After")))
    if status >= 500:
        raise _Lost(f"the server answers {status}")
    if status != 200:
        raise StreamRefused(url, status, await _detail(response))
    if response.content_type != "text/event-stream":
        raise StreamRefused(url, status, f"{_one_line(response.content_type)} is no event stream")


def _closing(url: str, frame: Frame) -> Exception:
    """Why the server closes (``data`` {reason, retry_ms}), as the exception to raise."""
    data = _envelope_data(frame)
    reason = str(data.get("reason"))
    if reason in FINAL_CLOSINGS:
        return StreamUnavailable(url, FINAL_CLOSINGS[reason])
    retry_ms = data.get("retry_ms")
    return _Lost(_one_line(f"the server closes: {reason}"), retry_ms / 1000 if isinstance(retry_ms, int) else 0.0)


def _envelope_data(frame: Frame) -> dict[str, Any]:
    return _object(_object(frame.data).get("data"))


def _object(value: Any) -> dict[str, Any]:
    """A JSON object, or the text of one, as a dict; anything else as an empty one."""
    if isinstance(value, str | bytes):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


async def _detail(response: aiohttp.ClientResponse) -> str:
    """What the problem+json says, else the reason phrase."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_PROBLEM_BYTES:
            break
    problem = _object(body)
    return _one_line(str(problem.get("detail") or problem.get("title") or response.reason or "no reason given"))


def _retry_after(value: str | None) -> float:
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


def _told(error: Exception) -> str:
    if isinstance(error, aiohttp.SocketTimeoutError):
        return "nothing was heard for too long"
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    """Text of the server as part of a sentence: no line ends, nothing a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_DETAIL_CHARS]
