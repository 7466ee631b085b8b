"""The response under every stream. It bears what a host application does to all of its responses.

Hooks and middlewares of an application compress responses, cache them, look at their bodies or replace them. A stream
is sent while its handler runs: what a middleware does behind the handler comes too late, and a compressor would hold
each event back until it has enough of them. So a host never compresses a stream, its own headers are as it needs them
whatever a hook wrote there, and nothing can be sent behind its end. All other headers are the host's to add, in
``on_response_prepare``.

``_write_headers`` and ``_payload_writer`` are not public in aiohttp; ``tests/web/streaming/test_host.py`` tells when
they have changed.
"""

from __future__ import annotations

from typing import Any, Final, cast

from aiohttp import ClientConnectionResetError, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp_sse import EventSourceResponse

from reactor.logger import get_logger
from reactor_web.bounds import SEND_TIMEOUT_SECONDS
from reactor_web.dialects import EVENT_STREAM
from reactor_web.http.middleware import add_vary
from reactor_web.http.passing import OWN
from reactor_web.streaming.connection.compress import compressor
from reactor_web.streaming.connection.direct import NO_CHUNK

logger = get_logger("reactor.web")

_FALSE: Final = ("Content-Encoding", "Content-Length")
"""Whatever others say of a stream in these is not true."""

_NEVER: Final = 10 * 365 * 86_400.0
"""Seconds until the ping of aiohttp-sse, which has a blank line: clients report it as an event that nobody sent."""


class EventStream(EventSourceResponse):
    """Server-sent events, or another form of them. A middleware that looks at its body finds none."""

    body: Any = None
    text: Any = None
    _is_finished = False
    """Whether the compressed bytes have their end."""
    is_cut = False
    """Whether its end is not to look like one: the connection closes without the last chunk, with a broken one."""

    def __init__(
        self,
        headers: dict[str, str],
        media_type: str = EVENT_STREAM,
        *,
        keeps_alive: bool = False,
        coding: str | None = None,
    ) -> None:
        super().__init__(
            headers=headers, allow_all_methods=True, ping_interval=_NEVER, send_timeout=SEND_TIMEOUT_SECONDS
        )
        self._own = {**OWN, "Content-Type": media_type}
        self._compressor = None if coding is None else compressor(coding)
        if coding is not None:
            self._own["Content-Encoding"] = coding
        self.headers.update(self._own)
        del self.headers["Connection"]
        self._keeps_alive = keeps_alive
        if not keeps_alive:
            self.force_close()

    @property
    def is_compressed(self) -> bool:
        """Whether its bytes are its own: what channels write to a transport is what all their clients share."""
        return self._compressor is not None

    def enable_compression(self, force: object = None, strategy: int | None = None) -> None:
        """Does nothing: a host's compressor would hold each event back. ``compress=1`` flushes with each write."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends the headers, once. aiohttp asks again after the handler, also when the client has gone meanwhile.

        Raises ConnectionResetError for a client that has gone before: aiohttp_sse would take that for a bug.
        """
        if self.prepared:
            return self._payload_writer
        if request.transport is None:
            raise ClientConnectionResetError("the client left before its stream began")
        return await super().prepare(request)

    async def _write_headers(self) -> None:
        """Runs behind the hooks of ``on_response_prepare``, of which some write to the headers of every response."""
        for name in _FALSE:
            self.headers.popall(name, None)
        self.headers.update(self._own)
        if self._compressor is not None:
            add_vary(self.headers, "Accept-Encoding")
        if not self._keeps_alive:
            self.headers["Connection"] = "close"
        if getattr(self._payload_writer, "chunked", False):
            self.headers["Transfer-Encoding"] = "chunked"
        else:
            self.headers.popall("Transfer-Encoding", None)
        await super()._write_headers()

    @property
    def body_length(self) -> int:
        """Bytes sent, for an access log; also of a stream that broke off."""
        writer = self._payload_writer
        return super().body_length if writer is None else writer.output_size

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends data, compressed where that was asked for. While it waits for its client, only the transport has it."""
        if self._eof_sent or self._payload_writer is None:
            raise RuntimeError("a stream is written to before its head, or behind its end")
        writer = cast("StreamWriter", self._payload_writer)
        await writer.write(data if self._compressor is None else self._compressor.compress(bytes(data)), drain=False)
        del data
        await writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Ends the stream. Another response to this request, of a middleware that replaces this one, is not sent."""
        request = self._req
        if self._compressor is not None and not self.is_cut and self.prepared and not self._is_finished:
            self._is_finished = True  # aiohttp ends it again where its client has gone meanwhile
            data += self._compressor.finish()
        if self.is_cut and request is not None and request.transport is not None:
            if getattr(self._payload_writer, "chunked", False):
                request.transport.write(NO_CHUNK)
            request.transport.close()  # what was written is sent first
        else:
            await super().write_eof(data)
        if request is not None:
            request._payload_writer = _Sent(self.body_length)  # pyright: ignore[reportPrivateUsage]  # see above


class _Sent(AbstractStreamWriter):
    """In place of the writer of a request whose stream has been sent: what comes next would be read as part of it."""

    def __init__(self, output_size: int) -> None:
        self.output_size = output_size

    def _refuse(self) -> ClientConnectionResetError:
        """What aiohttp takes as a client that has gone: it drops the response and closes the connection."""
        logger.info("a response was dropped: a middleware has replaced a stream, which is sent already")
        return ClientConnectionResetError("the stream of this request has been sent")

    async def write(self, chunk: Any) -> None:
        raise self._refuse()

    async def write_eof(self, chunk: bytes = b"") -> None:
        raise self._refuse()

    async def write_headers(self, status_line: str, headers: Any) -> None:
        raise self._refuse()

    async def drain(self) -> None:
        """Nothing waits to be sent."""

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        """Nothing will be sent."""

    def enable_chunking(self) -> None:
        """Nothing will be sent."""
