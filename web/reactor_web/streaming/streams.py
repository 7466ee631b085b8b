"""All open streams of an application: one timer checks every connection, one call closes them all for a shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

from aiohttp import web

from reactor.clock import Patience, SystemClock, without_standstill
from reactor.listeners import Listeners, Stall
from reactor.logger import get_logger
from reactor_web.bounds import CHECK_SECONDS, CLOSING_SECONDS, SEND_TIMEOUT_SECONDS
from reactor_web.http.leaving import hung_up
from reactor_web.http.read_buffer import release_read_buffer
from reactor_web.http.telling import TOLD
from reactor_web.streaming.connection.client import GONE, Client, Sent
from reactor_web.streaming.pipeline.channels import Channels

logger = get_logger("reactor.web")

ABORTS_AT_ONCE: Final = 16
"""Stalled connections that are aborted in one turn: 500 would hold everybody for 100 ms."""
NEXT_ABORTS_SECONDS: Final = 0.01


class Streams:
    """The open streams, and the channels they share. The timer runs while there is a stream."""

    def __init__(self) -> None:
        self.listeners: list[Listeners] = []
        """Of the engines that are mounted in the application, and of what serves them."""
        self.sent = Sent()
        """What was written to all of them since the application was made. Compressed streams count as before that."""
        self.channels = Channels(self._note_delivered)
        self.closing = asyncio.Event()
        self._clients: set[Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Of the streams, from the first one on."""
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When the timer rings, by the loop's time."""
        self._emptied: asyncio.Future[None] | None = None
        self._spawned: set[asyncio.Task[None]] = set()
        """The loop itself holds tasks by weak references only."""

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        return iter(tuple(self._clients))

    def tell(self, listeners: Listeners) -> None:
        """These listeners hear of the streams, too."""
        if listeners not in self.listeners:
            self.listeners.append(listeners)

    def forget(self, listeners: Listeners) -> None:
        """They hear of the streams no longer."""
        if listeners in self.listeners:
            self.listeners.remove(listeners)

    def waits_for(self) -> list[float]:
        """For how many seconds each client that does not read has been waited for."""
        if self._loop is None:
            return []
        now = self._loop.time()  # this may be another thread
        return [now - client.writing_since for client in self if client.writing_since is not None]

    def add(self, client: Client) -> None:
        self._clients.add(client)
        client.streams, client.sent = self, self.sent
        self._loop = asyncio.get_running_loop()
        release_read_buffer(client.transport)
        if client.admission is not None:
            client.admission.opened(client.close)
        self._note_opened(client)
        if self.closing.is_set():
            client.close("shutdown")
        if self._timer is None:
            self._check_in(CHECK_SECONDS)

    def _check_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self._timer = loop.call_later(seconds, self._check)

    def _note_opened(self, client: Client) -> None:
        if logger.isEnabledFor(logging.INFO):  # there may be thousands at once, after a restart
            logger.info(
                "stream opened",
                path=client.path,
                run_id=client.run_id,
                after=client.options.after,
                dialect=client.options.dialect,
            )
        for listeners in self.listeners:
            if listeners.stream_opened:
                listeners.stream_opened(client.info)

    def _note_closed(self, client: Client) -> None:
        seconds = asyncio.get_running_loop().time() - client.opened
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "stream closed",
                path=client.path,
                run_id=client.run_id,
                reason=client.end_reason,
                seconds=round(seconds, 3),
            )
        for listeners in self.listeners:
            if listeners.stream_closed:
                listeners.stream_closed(client.info, client.end_reason, seconds)

    def note_resumed(self, client: Client, result: Literal["exact", "gap"]) -> None:
        """A client that has come back has caught up, or was told of a gap."""
        for listeners in self.listeners:
            if listeners.stream_resumed:
                listeners.stream_resumed(client.info, result)

    def _note_delivered(self, seconds: float) -> None:
        for listeners in self.listeners:
            if listeners.events_delivered:
                listeners.events_delivered(seconds)

    def spawn(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs what a stream has to do beside its handler, or after it has returned."""
        task = asyncio.get_running_loop().create_task(job)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    def remove(self, client: Client) -> None:
        if client not in self._clients:
            return
        self._clients.remove(client)
        if client.admission is not None:
            client.admission.over()
        self._note_closed(client)
        if not self._clients:
            self.channels.replays.forget()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._emptied is not None and not self._emptied.done():
                self._emptied.set_result(None)

    async def close(self, reason: str = "shutdown") -> None:
        """Tells every stream to close, aborts those that do not read it in time, and waits until none is open."""
        self.closing.set()
        for client in self:
            client.close(reason)
        if self._clients:
            loop = asyncio.get_running_loop()
            self._emptied = loop.create_future()
            aborting = Patience(SystemClock(), CLOSING_SECONDS, self._abort_all)
            try:
                await self._emptied
            finally:
                aborting.cancel()

    def _abort_all(self) -> None:
        for client in self:
            client.abort("shutdown")

    def _check(self) -> None:
        """Closes the streams of clients that have gone or whose server shuts down, and aborts stalled ones.

        aiohttp tells a waiting handler of a disconnect only where the host application asked for that. Of many that
        stalled at the same time some are aborted now, and the others in later turns.
        """
        now, aborted = asyncio.get_running_loop().time(), 0
        self.channels.settle()
        for client in self:
            if client.writing_since is not None:
                client.writing_since = without_standstill(client.writing_since, self._due, now)
        deaf = hung_up(client.transport for client in self if client.on_wake is None)
        for client in self:
            if aborted == ABORTS_AT_ONCE:
                break
            if client.writing_since is not None and now - client.writing_since > SEND_TIMEOUT_SECONDS:
                aborted += client.aborted is None
                client.abort("stalled")
                for listeners in self.listeners:
                    listeners.stalled(Stall("client", now - client.writing_since, client.run_id))
            elif client.is_gone or client.transport in deaf:
                client.close(GONE)
            elif client.is_server_closing:
                client.close("shutdown")
        self._check_in(CHECK_SECONDS if aborted < ABORTS_AT_ONCE else NEXT_ABORTS_SECONDS)


STREAMS: Final = web.AppKey("reactor_streams", Streams)


def streams_in(app: web.Application) -> Streams:
    """The streams of everything that is mounted in this application; its shutdown closes them."""
    streams = app.get(STREAMS)
    if streams is None:
        streams = app[STREAMS] = Streams()
        app[TOLD] = streams.listeners
        app.on_shutdown.append(_close_streams)
    return streams


async def _close_streams(app: web.Application) -> None:
    """Runs before the server waits for its handlers, which open streams would keep for as long as they like."""
    await app[STREAMS].close("shutdown")


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Streams] = WeakKeyDictionary()


def streams_of(request: web.Request) -> Streams:
    """The streams of the request's application; those of the event loop if nothing is mounted in the application."""
    streams = request.config_dict.get(STREAMS)
    return streams if streams is not None else _of_loop.setdefault(asyncio.get_running_loop(), Streams())
