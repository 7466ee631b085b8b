"""Shows a run of a server while it happens."""

from __future__ import annotations

from contextlib import AbstractContextManager

import aiohttp
import orjson
from rich.console import Console

from reactor_web.client.follow import follow_url
from reactor_web.terminal.views import View, exit_code


async def watch_run(url: str, shown: AbstractContextManager[View]) -> int:
    """Follows the events at ``url`` to their end; returns the exit code. Raises StreamRefused and StreamUnavailable."""
    # no total timeout: a run may take days, and follow_url has a timeout for silence
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    notice = Console(stderr=True)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with shown as view:
            async for frame in follow_url(
                url,
                session=session,
                on_connection=lambda text: notice.print(text, markup=False),
                wait_for_server=False,
            ):
                if frame.event != "stream.end":
                    view.show(orjson.loads(frame.data))
            status = view.state.status if view.state.seq else await _status(session, url)
    return exit_code(status)


async def _status(session: aiohttp.ClientSession, url: str) -> str:
    """The status of a run whose events were all seen before (204)."""
    async with session.get(url.partition("?")[0].removesuffix("/events")) as response:
        return (await response.json())["status"]
