"""Requests of the Python client: who asks, what a refusal raises, and when a lost answer is asked for again."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast
from uuid import uuid4

import aiohttp
import orjson

from reactor.errors import ReactorError
from reactor_web.client.follow import CONNECT_SECONDS, error_text

Token = str | Callable[[], str | Awaitable[str]]
"""What is sent as ``Authorization: Bearer``, or what gives it; a function is asked anew after a 401."""

TRIES: Final = 4
_AWAY: Final = frozenset({502, 503, 504})
_FIRST_WAIT_SECONDS: Final = 0.2


class RequestRefused(ReactorError):
    """A server did not do what it was asked. The sentence is its own; ``problem`` is the document of its answer."""

    status: int
    problem: dict[str, Any]


class ServerUnavailable(ReactorError):
    """No answer came, several times in a row."""


class Asking:
    """The routes of one server. ``base``: the URL under which they are mounted."""

    def __init__(self, base: str, session: aiohttp.ClientSession, token: Token | None) -> None:
        self.base = base
        self.session = session
        self._token = token

    async def headers(self, refresh: bool = False) -> dict[str, str]:
        """Those that say who asks."""
        token = self._token
        if callable(token):
            given = token()
            token = await given if inspect.isawaitable(given) else given
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> Any:
        """The JSON of the answer. A change has an ``Idempotency-Key``; where its answer was lost it is sent again.

        ``key``: the one to send; without it a new one. Raises RequestRefused for an answer that is none of success,
        ServerUnavailable where there is none.
        """
        answer = await self.raw(method, path, body, query, key=key)
        return orjson.loads(answer) if answer else None

    async def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> bytes:
        """The same with the bytes of the answer."""
        headers = {"Accept": "application/json"}
        if method != "GET":
            headers["Idempotency-Key"] = key or uuid4().hex
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = orjson.dumps(body)
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        url = self.base + path
        for attempt in range(TRIES):
            try:
                status, answer = await self._once(method, url, headers, data, given)
            except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
                raise ServerUnavailable(f"{url} is not an http:// or https:// URL") from error
            except (aiohttp.ClientError, OSError) as error:
                if attempt + 1 == TRIES:
                    raise ServerUnavailable(f"cannot ask {url}: {error_text(error)}") from error
            else:
                if status < 400:
                    return answer
                if status not in _AWAY or attempt + 1 == TRIES:
                    raise refusal(url, status, answer)
            await asyncio.sleep(_FIRST_WAIT_SECONDS * 2**attempt * random.uniform(0.75, 1.25))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | None, query: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """(status, body); after a 401 with a token that is asked for, once more with a fresh one."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=60)
        for refresh in (False, True):
            sent = {**headers, **await self.headers(refresh)}
            async with self.session.request(
                method, url, headers=sent, data=data, params=query, timeout=timeout
            ) as response:
                answer = await response.read()
                if response.status != 401 or refresh or not callable(self._token):
                    return response.status, answer
        raise AssertionError("unreachable: the second answer is returned")


def refusal(url: str, status: int, answer: bytes) -> RequestRefused:
    """The error for a problem document, or for whatever a proxy answers."""
    problem: dict[str, Any] = {}
    try:
        parsed = orjson.loads(answer)
        if isinstance(parsed, dict):
            problem = cast("dict[str, Any]", parsed)
    except orjson.JSONDecodeError:
        pass  # no document of ours
    sentence = problem.get("detail") or problem.get("title") or "without a reason"
    return RequestRefused(f"{url} answers {status}: {sentence}", status=status, problem=problem)
