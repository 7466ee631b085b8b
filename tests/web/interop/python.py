"""Clients in Python. Each ends by itself and returns by what it knew that the run was over."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import httpx
import httpx_sse
import ld_eventsource
import ld_eventsource.config
import ld_eventsource.errors
import requests
import sseclient
import urllib3

from tests.web.interop.seen import Line, Seen

PAUSE = 0.2
"""Seconds before a client comes back."""

Show = Callable[[Line], None]
Follow = Callable[[str, Path | None, Show], str]
"""(URL of the events, the authority of its certificate, what it shows) -> how it ended."""


def follow_httpx_sse(url: str, authority: Path | None, show: Show) -> str:
    """Its own loop: the library reads one response. ``connect_sse`` changes the headers, so each time a new dict."""
    trusted = ssl.create_default_context(cafile=authority) if authority else True
    last = ""
    with httpx.Client(verify=trusted, timeout=httpx.Timeout(30)) as client:
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            try:
                with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
                    if source.response.status_code == 204:
                        return "204"
                    source.response.raise_for_status()
                    show({"opened": True})
                    for event in source.iter_sse():
                        show({"id": event.id, "event": event.event, "data": event.data})
                        last = event.id
                        if event.event == "stream.end":
                            return event.event
            except (httpx.TransportError, httpx.HTTPStatusError):
                pass  # broken off, refused, 502
            time.sleep(PAUSE)


def follow_sseclient(url: str, authority: Path | None, show: Show) -> str:
    """Its own loop around ``requests``: the library reads one response. Where one is cut, ``requests`` raises; a frame
    that is not whole is not shown."""
    last = ""
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        verify = str(authority) if authority else True
        try:
            with requests.get(url, headers=headers, stream=True, timeout=30, verify=verify) as response:
                if response.status_code == 204:
                    return "204"
                response.raise_for_status()
                show({"opened": True})
                for event in sseclient.SSEClient(response).events():
                    show({"id": event.id or "", "event": event.event, "data": event.data})
                    last = event.id or last
                    if event.event == "stream.end":
                        return event.event
        except requests.RequestException:
            pass  # broken off, refused, 502
        time.sleep(PAUSE)


def follow_launchdarkly(url: str, authority: Path | None, show: Show) -> str:
    """It comes back by itself, with the last id, if it is told to go on after errors; a 204 is an error for it."""
    config = ld_eventsource.config
    with urllib3.PoolManager(ca_certs=str(authority) if authority else None, timeout=30) as pool:
        client = ld_eventsource.SSEClient(
            config.ConnectStrategy.http(url, pool=pool),
            initial_retry_delay=PAUSE,
            retry_delay_strategy=config.RetryDelayStrategy.default(max_delay=1, jitter_multiplier=0.5),
            error_strategy=config.ErrorStrategy.always_continue(),
        )
        with client:
            for action in client.all:
                if isinstance(action, ld_eventsource.actions.Start):
                    show({"opened": True})
                elif isinstance(action, ld_eventsource.actions.Event):
                    show({"id": action.last_event_id or "", "event": action.event, "data": action.data})
                    if action.event == "stream.end":
                        return action.event
                elif isinstance(action, ld_eventsource.actions.Fault):
                    error = action.error
                    if isinstance(error, ld_eventsource.errors.HTTPStatusError) and error.status == 204:
                        return "204"
    raise AssertionError("it gave up, although it was told to go on")


async def follow_websocket(url: str, authority: Path | None, show: Show) -> str:
    """A WebSocket without a library that knows this project: it comes back with ``after=`` the last ``seq``."""
    trusted = ssl.create_default_context(cafile=authority) if authority else True
    last = 0
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                connecting = session.ws_connect(f"{url}?after={last}", ssl=trusted, max_msg_size=0, autoclose=True)
                async with connecting as socket:
                    show({"opened": True})
                    async for frame in socket:
                        message = json.loads(frame.data)
                        last = message.get("seq", last)
                        show({"id": str(message.get("seq", "")), "event": message["type"], "data": frame.data})
                    if socket.close_code == 1000:
                        return "1000"
            except aiohttp.WSServerHandshakeError as error:
                if error.status == 204:
                    return "204"
            except aiohttp.ClientError:
                pass  # refused, broken off
            await asyncio.sleep(PAUSE)


async def in_loop(
    follow: Callable[[str, Path | None, Show], Awaitable[str]], url: str, authority: Path | None, seen: Seen
) -> None:
    """Runs a client of the loop."""
    try:
        seen.note({"ended": await follow(url, authority, seen.note)})
    except Exception as error:
        seen.close(repr(error))
    else:
        seen.close()


async def in_thread(follow: Follow, url: str, authority: Path | None, seen: Seen) -> None:
    """Runs a client in a thread, which a client that hangs does not keep from ending."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def tell(does: Callable[..., None], *arguments: object) -> None:
        if not loop.is_closed():  # given up
            loop.call_soon_threadsafe(does, *arguments)

    def end(error: str | None = None) -> None:
        seen.close(error)
        if not over.done():
            over.set_result(None)

    def run() -> None:
        try:
            ended = follow(url, authority, lambda line: tell(seen.note, line))
        except Exception as error:
            tell(end, repr(error))
        else:
            tell(seen.note, {"ended": ended})
            tell(end)

    threading.Thread(target=run, daemon=True).start()
    await over
