"""What a server has answered to a request, which may be anything."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import aiohttp
import orjson

from reactor.errors import ReactorError
from reactor.events.values import json_kind
from reactor_web.client.errors import MAX_DETAIL_CHARS, RequestRefused, error_of, one_line

MAX_PROBLEM_BYTES: Final = 64 * 1024
"""Of an answer that refuses, no more is read."""


class Answer(NamedTuple):
    """What a server has answered."""

    url: str
    status: int
    body: bytes
    reason: str | None
    wait: float
    """Seconds after which the server wants to be asked again; 0 where it does not say."""
    was_lost: bool = False
    """Whether the request came before, and its answer got lost: then it may be done already."""

    @property
    def json(self) -> Answered:
        """Its JSON object; raises RequestRefused for anything else, which no server of ours answers."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            text = one_line(self.body[:MAX_DETAIL_CHARS].decode("utf-8", "replace"))[:80]
            raise not_of_ours(self.url, self.status, repr(text) if text else "nothing") from None
        if not isinstance(value, dict):
            raise not_of_ours(self.url, self.status, f"JSON that is {json_kind(value)}")
        return Answered(self.url, self.status, cast("dict[str, Any]", value))

    @property
    def error(self) -> ReactorError | None:
        """What an answer of 3xx, 4xx or 5xx says; None for any other."""
        return None if self.status < 300 else error_of(self.url, self.status, self.body, self.reason)


class Answered(dict[str, Any]):
    """A JSON object of the server. A member that is missing is RequestRefused: something else answers there."""

    def __init__(self, url: str, status: int, members: dict[str, Any]) -> None:
        super().__init__(members)
        self._url = url
        self._status = status

    def __missing__(self, name: str) -> Any:
        raise self.refused(f"JSON without {name!r}")

    def refused(self, what: str) -> RequestRefused:
        """The error for an answer that is ``what``."""
        return not_of_ours(self._url, self._status, what)


def not_of_ours(url: str, status: int, what: str) -> RequestRefused:
    """The error for an answer that no server of ours gives."""
    return RequestRefused(url, status, f"what answers there is no server of Reactor, it sends {what}")


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """All of an answer that is of use; of one that refuses or redirects the beginning."""
    if response.status < 300:
        return await response.read()
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_PROBLEM_BYTES:
            response.close()
            break
    return body[:MAX_PROBLEM_BYTES]


def reason_of(response: aiohttp.ClientResponse) -> str | None:
    """The reason phrase, and where a redirect leads."""
    location = response.headers.get("Location")
    if 300 <= response.status < 400 and location:
        return f"it is at {one_line(location)}, and a change is not redirected: give the client that URL"
    return response.reason
