"""Shows a run of a server while it happens."""

from __future__ import annotations

from contextlib import AbstractContextManager

import aiohttp
import orjson
from rich.console import Console

from reactor.logger import get_logger
from reactor_web.client.errors import StreamRefused, StreamUnavailable, error_text
from reactor_web.client.follow import follow_url
from reactor_web.client.messages import message_of, not_an_event
from reactor_web.sse.parser import Frame
from reactor_web.terminal.views import View, exit_code

logger = get_logger("reactor.web")


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
        on_connection=lambda text: notice.print(text, markup=False, highlight=False, soft_wrap=True),
        wait_for_server=False,
    ):
        if frame.event != "stream.end":
            _take(url, view, frame)


def _take(url: str, view: View, frame: Frame) -> None:
    """Shows one frame; raises StreamUnavailable for one that no server of ours sends."""
    message = message_of(url, frame)
    try:
        view.show(message)
    except BrokenPipeError:
        raise
    except Exception as error:  # the fold trusts the data of its own events, and these may be anybody's
        logger.debug("a frame cannot be shown", exc_info=error)
        raise not_an_event(url, frame, "its data cannot be read") from error


async def _status(session: aiohttp.ClientSession, url: str) -> str:
    """The status of a run whose events were all seen before (204)."""
    where = url.partition("?")[0].removesuffix("/events")
    try:
        async with session.get(where, timeout=aiohttp.ClientTimeout(total=30)) as response:
            return str(orjson.loads(await response.read())["status"])
    except (aiohttp.ClientError, OSError) as error:
        raise StreamUnavailable(
            url, f"its stream has ended, and {where} does not answer: {error_text(error)}"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StreamUnavailable(url, f"it has ended, and {where} tells no status of a run") from error
