"""What the command does with a run on a server, by its URL: watch it, send it a value."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import aiohttp
import orjson
from rich.console import Console

from reactor_web.client.follow import StreamRefused, follow_url
from reactor_web.terminal.lines import printable
from reactor_web.terminal.views import exit_code, open_view


class CommandRefused(Exception):
    """The server did not carry out a command; the text says why."""


async def watch_url(url: str, console: Console, *, json: bool) -> int:
    """Shows the stream of a run to its end, with the runs below it; returns the exit code.

    As JSON, and where the URL has a query, it is what the URL says. Raises StreamRefused and StreamUnavailable.
    """
    if json or "?" in url:  # a cursor in the URL is one of the run alone
        return await _watch(url, console, json=json)
    try:
        return await _watch(f"{url}?children=1", console, json=json)
    except StreamRefused as refused:
        if refused.status != 400:
            raise
        return await _watch(url, console, json=json)  # a log, or a server, that does not know the order of several runs


async def _watch(url: str, console: Console, *, json: bool) -> int:
    run_id = unquote(url.partition("?")[0].removesuffix("/events").rpartition("/")[2])
    # no total timeout: a run may take days, and follow_url has a timeout for silence
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    notice = Console(stderr=True)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with open_view(console, json=json, run_id=run_id) as view:
            async for frame in follow_url(
                url, session=session, on_connection=lambda text: notice.print(text, markup=False)
            ):
                if frame.event != "stream.end":
                    view.show(orjson.loads(frame.data))
            status = view.state.status if view.state.seq else await _status(session, url)
    return exit_code(status)


async def _status(session: aiohttp.ClientSession, url: str) -> str:
    """The status of a run whose events were all seen before (204)."""
    async with session.get(url.partition("?")[0].removesuffix("/events")) as response:
        return (await response.json())["status"]


async def post_command(url: str, body: dict[str, Any]) -> int:
    """Posts a command; returns 0, and raises CommandRefused with the sentence of the server."""
    timeout = aiohttp.ClientTimeout(total=30)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json=body) as response:
            if response.status < 400:
                return 0
            problem = orjson.loads(await response.read())
            raise CommandRefused(printable(f"{url} answers {response.status}: {problem['detail']}"))
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise CommandRefused(printable(f"cannot post to {url}: {error}")) from error
