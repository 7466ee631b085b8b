"""Shows a run of a server while it happens."""

from __future__ import annotations

from contextlib import AbstractContextManager

import aiohttp
import orjson
from rich.console import Console

from reactor_web.client.follow import StreamRefused, follow_url
from reactor_web.terminal.views import View, exit_code


async def watch_run(url: str, shown: AbstractContextManager[View]) -> int:
    """Follows the events at ``url`` to their end; returns the exit code. Raises StreamRefused and StreamUnavailable.

    People see the runs below it too, unless the URL has a query: a cursor in it is one of the run alone.
    """
    # no total timeout: a run may take days, and follow_url has a timeout for silence
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with shown as view:
            with_children = view.is_for_people and "?" not in url
            try:
                await _show(f"{url}?children=1" if with_children else url, session, view)
            except StreamRefused as refused:
                if not with_children or refused.status != 400:
                    raise
                await _show(url, session, view)  # a log, or a server, that does not know the order of several runs
            status = view.state.status if view.state.seq else await _status(session, url)
    return exit_code(status)


async def _show(url: str, session: aiohttp.ClientSession, view: View) -> None:
    notice = Console(stderr=True)
    async for frame in follow_url(
        url,
        session=session,
        on_connection=lambda text: notice.print(text, markup=False),
        wait_for_server=False,
    ):
        if frame.event != "stream.end":
            view.show(orjson.loads(frame.data))


async def _status(session: aiohttp.ClientSession, url: str) -> str:
    """The status of a run whose events were all seen before (204)."""
    async with session.get(url.partition("?")[0].removesuffix("/events")) as response:
        return (await response.json())["status"]
