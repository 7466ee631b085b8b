"""Keys for tokens behind a URL. It is asked seldom, whoever sends tokens, and one answer is enough for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
from yarl import URL

from reactor.ports.clock import Clock
from reactor_web.bounds import (
    JWKS_FETCH_SECONDS,
    JWKS_FIRST_RETRY_SECONDS,
    JWKS_REFRESH_SECONDS,
    JWKS_RETRY_SECONDS,
    JWKS_UNKNOWN_SECONDS,
    MAX_JWKS_BYTES,
)
from reactor_web.guard.tokens.settings import shown_url
from reactor_web.guard.tokens.signing import VerifyKey
from reactor_web.guard.tokens.sources import Installed, unavailable

_ASKING: Final = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}


class JwksUrl:
    """A JWK Set behind a URL. At most one request is under way; who needs its answer waits for it."""

    def __init__(self, url: str, algorithms: Sequence[str], clock: Clock) -> None:
        self._url = URL(url)
        self._clock = clock
        self._installed = Installed(shown_url(url), algorithms, clock)
        self._session: aiohttp.ClientSession | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._tried: float | None = None
        """When the last request began, by the monotonic clock."""
        self._asked_for_unknown: float | None = None
        self._is_closed = False

    @property
    def version(self) -> int:
        return self._installed.version

    async def start(self) -> None:
        """Asks once. A URL that does not answer is no reason not to start: it is asked again."""
        await self._fetched()

    async def close(self) -> None:
        """Breaks off what is under way and closes the session."""
        self._is_closed = True
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.wait([self._fetch])
        if self._session is not None:
            await self._session.close()

    def look(self) -> None:
        if (
            self._installed.keys is not None
            and self._installed.age >= JWKS_REFRESH_SECONDS
            and self._may_try(JWKS_RETRY_SECONDS)
        ):
            self._begin()

    async def find(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        if self._installed.keys is None and (self._is_fetching or self._may_try(JWKS_FIRST_RETRY_SECONDS)):
            await self._fetched()
        if (keys := self._installed.keys) is None:
            raise unavailable()
        key = keys.find(kid, algorithm)
        if key is None and (self._is_fetching or self._may_ask_for_unknown()):
            await self._fetched()
            key = (self._installed.keys or keys).find(kid, algorithm)
        return key

    @property
    def _is_fetching(self) -> bool:
        return self._fetch is not None and not self._fetch.done()

    def _may_try(self, pause: float) -> bool:
        return not self._is_closed and (self._tried is None or self._clock.monotonic() >= self._tried + pause)

    def _may_ask_for_unknown(self) -> bool:
        now = self._clock.monotonic()
        if self._is_closed or (
            self._asked_for_unknown is not None and now < self._asked_for_unknown + JWKS_UNKNOWN_SECONDS
        ):
            return False
        self._asked_for_unknown = now
        return True

    async def _fetched(self) -> None:
        """Waits for the request that is under way, or begins one. A client that goes does not end it for the others."""
        fetch = self._begin()
        await asyncio.wait([fetch])
        if not fetch.cancelled():  # it is when the server stops
            fetch.result()

    def _begin(self) -> asyncio.Task[None]:
        if self._fetch is None or self._fetch.done():
            self._tried = self._clock.monotonic()
            self._fetch = asyncio.create_task(self._load(), name="keys for JWTs")
        return self._fetch

    async def _load(self) -> None:
        try:
            self._installed.install(await self._get())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._installed.say_failure(str(error) or f"no answer within {JWKS_FETCH_SECONDS:g} seconds")

    async def _get(self) -> bytes:
        """The body of the answer, at most one byte more than is allowed."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),  # a connection is of no use for ten minutes
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # a small answer must not become a large one
                timeout=aiohttp.ClientTimeout(total=JWKS_FETCH_SECONDS),
            )
        # a redirect could lead to http or into the own network; a set of keys has a URL of its own
        async with self._session.get(self._url, headers=_ASKING, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"it answered {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_JWKS_BYTES:
                    break
            return bytes(body[: MAX_JWKS_BYTES + 1])
