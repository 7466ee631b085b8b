"""The answer of a cap. Most clients get a status; a browser's EventSource gives up at any that is not 200.

It would show its page nothing, and never come back. So it is answered with a stream that says why and ends, and comes
back by itself after the time that ``retry:`` names. All other refusals are real: to repeat them is of no use.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from aiohttp import web

from reactor.clock import SystemClock
from reactor.events.event import Notice
from reactor_web.dialects import EVENT_STREAM, Dialect, End, UnknownDialect, find_named
from reactor_web.dialects.framing import with_retry, without_name
from reactor_web.dialects.native import NATIVE
from reactor_web.guard.caps import Limited
from reactor_web.http.keys import SERVING
from reactor_web.http.negotiation import asks_for
from reactor_web.http.passing import HEADERS, OWN
from reactor_web.http.sending import PacedResponse
from reactor_web.http.telling import tell_refused

CLIENT_HEADER: Final = "Reactor-Client"
"""Sent by the clients of this project, which see a status and ``Retry-After``."""
_SPREAD: Final = 0.5
"""An EventSource waits exactly as long as it is told: those that are refused together must not come back together."""


def answer_limited(request: web.Request, limited: Limited) -> web.Response:
    """The stream for an EventSource; raises ``limited`` for every other client."""
    if not is_event_source(request):
        raise limited
    tell_refused(request, limited.code)
    return limited_stream(request, limited.code, limited.retry_seconds)


def is_event_source(request: web.Request) -> bool:
    """Whether the client can neither send a header of its own nor see a status, as far as anybody can tell.

    The clients of some dialects use ``fetch``, and would take the end of such a stream for that of the run.
    """
    if request.method != "GET" or "Authorization" in request.headers or CLIENT_HEADER in request.headers:
        return False
    dialect = _dialect_of(request)
    return asks_for(request.headers.get("Accept"), EVENT_STREAM) and not (dialect and dialect.info.fetch_client)


def limited_stream(
    request: web.Request, code: str, retry_seconds: float, *, chance: Callable[[], float] = random.random
) -> web.Response:
    """A stream that says that a cap has refused it, and when to come back.

    In the native dialect ``stream.closing {reason: limit, code, retry_ms}``. In any other a comment: its clients take
    no frame that is not in their words.
    """
    retry_ms = round(1_000 * retry_seconds * (1 + _SPREAD * chance()))
    if _dialect_of(request) is NATIVE:
        data = {"reason": "limit", "code": code, "retry_ms": retry_ms}
        closing = Notice("stream.closing", request.match_info.get("id", ""), SystemClock().now().decode(), data)
        body = with_retry(NATIVE.end(None, End(closing)), retry_ms)
        if request.query.get("names") in ("0", "false"):
            body = without_name(body)
    else:
        # no blank line: ``retry`` counts as soon as it is read, and some clients report an event without data
        body = b": %b\nretry: %d\n" % (code.encode(), retry_ms)
    response = PacedResponse(body=body, headers={**HEADERS, **OWN, "Content-Type": EVENT_STREAM})
    response.force_close()
    return response


def _dialect_of(request: web.Request) -> Dialect | None:
    """The dialect that a stream of this request would have; None where there is no such dialect."""
    serving = request.config_dict.get(SERVING)
    name = request.query.get("dialect") or ("native" if serving is None else serving.dialect)
    try:
        return find_named(name)
    except UnknownDialect:
        return None
