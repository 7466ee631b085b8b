"""What a client and its runs share: the session, the token, requests that are tried again, and what is still open."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson

from reactor.logger import get_logger
from reactor_web.client.answer import Answer, body_of, reason_of
from reactor_web.client.bearer import Bearer, Token
from reactor_web.client.errors import (
    ClientClosed,
    RequestRefused,
    ServerUnavailable,
    StreamUnavailable,
    error_of,
    error_text,
    not_a_url,
)
from reactor_web.client.follow import CONNECT_SECONDS, follow_url, retry_after
from reactor_web.client.under_way import UnderWay
from reactor_web.sse.parser import Frame

logger = get_logger("reactor.web")

PREFIX: Final = "/api/v1"
"""What is added to the URL of a server."""
HEARTBEAT_SECONDS: Final = 15
"""What every stream asks for, whatever the server was mounted with: silence must mean the same here."""
FIRST_WAIT_SECONDS: Final = 0.25
LONGEST_WAIT_SECONDS: Final = 30.0
_CLIENT: Final = {"Reactor-Client": "python"}
"""Says that a refusal can have a status: this client sees it, and ``Retry-After``."""
_ASK_AGAIN: Final = frozenset({408, 425, 429, 502, 503, 504})


class Settings(NamedTuple):
    """How patient a client is. ``Client`` says what each of them means."""

    timeout: float
    tries: int
    max_failures: int
    on_connection: Callable[[str], None] | None
    sleep: Callable[[float], Awaitable[object]]


class Connection:
    """The way to one server. It belongs to one event loop, that of its first request."""

    def __init__(
        self,
        url: str,
        *,
        token: Token,
        headers: Mapping[str, str],
        session: aiohttp.ClientSession | None,
        settings: Settings,
    ) -> None:
        self.base = api_url(url)
        self.settings = settings
        self._token = Bearer(token)
        self._headers = {**_CLIENT, **headers}
        self._session = session
        self._owns_session = session is None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way = UnderWay()
        self._is_told = False
        """Whether a line of the log says that the server does not answer; until it does."""
        self._responses: set[aiohttp.ClientResponse] = set()
        """Those of open streams."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def closed(self) -> bool:
        return self._under_way.is_closed

    # --- requests ---

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """As ``answer``, which has the options; raises what an answer of 4xx or 5xx says."""
        answer = await self.answer(method, path, **options)
        if (error := answer.error) is not None:
            raise error
        return answer

    async def answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: Any = None,
        key: str | None = None,
    ) -> Answer:
        """The last answer to ``method base/path``. Any other method than GET has an ``Idempotency-Key``.

        ``body``: JSON, or its bytes. Asked again after lost connections, 408, 425, 429, 502, 503 and 504. Raises
        ServerUnavailable where there is no answer, RequestRefused where none can be, and ClientClosed.
        """
        url = self.url(path, query)
        headers = {"Accept": "application/json"}
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        if method != "GET":
            headers["Idempotency-Key"] = key or secrets.token_hex(16)
        if data is not None:
            headers["Content-Type"] = "application/json"
        was_lost = False
        for attempt in range(1, self.settings.tries + 1):
            is_last, wait = attempt == self.settings.tries, 0.0
            try:
                with self._under_way.wait():
                    answer = await self._once(method, url, data, headers)
            except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is one of the latter
                failure = _failure(url, error)
                if is_last or isinstance(failure, RequestRefused):
                    raise failure from error
                was_lost = was_lost or not isinstance(error, aiohttp.ClientConnectorError)
            else:
                if is_last or answer.status not in _ASK_AGAIN:
                    return answer._replace(was_lost=was_lost)
                was_lost = was_lost or answer.status in (502, 504)  # a proxy does not know what became of it
                wait = answer.wait
            backoff = FIRST_WAIT_SECONDS * 2 ** min(attempt - 1, 10) * random.uniform(1, 1.5)
            await self.pause(min(LONGEST_WAIT_SECONDS, max(wait, backoff)))
        raise AssertionError("the last try returns or raises")

    def url(self, path: str, query: Mapping[str, str | None] | None = None) -> str:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return f"{self.base}{path}{'?' if given else ''}{urlencode(given)}"

    async def _once(self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout, sock_connect=CONNECT_SECONDS)
        token = await self._token.get()
        options: dict[str, Any] = {"timeout": timeout, "allow_redirects": method == "GET"}  # a redirect makes it a GET
        for is_renewed in (False, True):
            sent = {**headers, **self._with(token)}
            async with self._opened().request(method, url, data=data, headers=sent, **options) as response:
                if response.status == 401 and not is_renewed:
                    token = await self._token.renewed(token)
                    if token is not None:
                        continue
                wait = retry_after(response.headers.get("Retry-After"))
                return Answer(url, response.status, await body_of(response), reason_of(response), wait)
        raise AssertionError("a renewed token is not renewed again")

    def _with(self, token: str | None) -> dict[str, str]:
        return self._headers if token is None else {**self._headers, "Authorization": f"Bearer {token}"}

    def _opened(self) -> aiohttp.ClientSession:
        self._under_way.check()
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise RuntimeError("a Client belongs to the event loop of its first request: make one for this loop, too")
        self._loop = loop
        if self._session is None:
            # no limit of connections: every stream has one, and a request must not wait for a stream to end
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        if self._session.closed:
            raise ClientClosed("the session of the client is closed: make a new client with an open one")
        return self._session

    # --- streams ---

    @asynccontextmanager
    async def get(
        self,
        url: str,
        *,
        headers: dict[str, str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # of aiohttp
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The response of a stream, with the token. Raises what an answer of 4xx says, but not where it may change."""
        with self._under_way.wait():  # not around the body: its parts may be read by several tasks
            response = await self._answering(url, headers, timeout)
        async with response:
            self._responses.add(response)
            try:
                if 400 <= response.status < 500 and response.status not in _ASK_AGAIN:
                    raise error_of(url, response.status, await body_of(response), response.reason)
                yield response
            finally:
                self._responses.discard(response)

    async def _answering(
        self, url: str, headers: Mapping[str, str], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        async def asked(token: str | None) -> aiohttp.ClientResponse:
            return await self._opened().get(url, headers={**headers, **self._with(token)}, timeout=limits)

        token = await self._token.get()
        response = await asked(token)
        if response.status != 401:
            return response
        try:
            token = await self._token.renewed(token)
        except BaseException:
            response.close()
            raise
        if token is None:
            return response
        response.close()
        return await asked(token)

    async def frames(
        self, path: str, query: Mapping[str, str | None], after: int | str = 0, *, is_whole: bool = False
    ) -> AsyncGenerator[Frame, None]:
        """The frames of a stream across connections, as ``follow_url`` gives them. Raises ClientClosed when closed."""
        url = self.url(path, {"dialect": "native", "heartbeat": str(HEARTBEAT_SECONDS), **query})
        settings = self.settings
        try:
            async with aclosing(
                follow_url(
                    url,
                    after=after,
                    session=self,
                    on_connection=settings.on_connection,
                    on_failure=self._tell,
                    sleep=self.pause,
                    max_failures=settings.max_failures,
                    heartbeat=HEARTBEAT_SECONDS,
                    is_whole=is_whole,
                )
            ) as frames:
                async for frame in frames:
                    self._under_way.check()
                    self._is_told = False
                    yield frame
        except StreamUnavailable:
            self._under_way.check()
            raise

    def _tell(self, reason: str) -> None:
        """Says once for all streams of this client that they wait for a server."""
        if not self._is_told:
            self._is_told = True
            logger.warning("a server does not answer; trying again", url=self.base, reason=reason)

    # --- life ---

    async def pause(self, seconds: float) -> None:
        """Waits; raises ClientClosed once the client is closed."""
        with self._under_way.wait():
            await self.settings.sleep(seconds)

    def keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Carries out what a subscriber waits for, until it is done or the client closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Ends all that waits, streams and subscriptions with ClientClosed. Again: does nothing."""
        self._under_way.close()
        for response in list(self._responses):
            response.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if tasks:
            await asyncio.wait(tasks)  # each tells its subscriber
        if self._session is not None and self._owns_session:
            await self._session.close()


def api_url(url: str) -> str:
    """The URL of the routes: ``/api/v1`` is added to that of a server. Raises ValueError for what is no URL."""
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise TypeError(f"the URL of a server is text, like 'http://127.0.0.1:8080', not {url!r:.100}")
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.netloc and not parts.query and not parts.fragment:
            path = parts.path.rstrip("/")
            return f"{parts.scheme}://{parts.netloc}{path or PREFIX}"
    raise ValueError(f"{url!r:.200} is not the URL of a server, like 'http://127.0.0.1:8080': {not_a_url(url[:200])}")


def _failure(url: str, error: Exception) -> RequestRefused | ServerUnavailable:
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return RequestRefused(url, None, not_a_url(url))
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.TooManyRedirects):
        return RequestRefused(url, None, error_text(error))
    return ServerUnavailable(url, error_text(error))
