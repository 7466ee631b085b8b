"""Shows a run of a server while it happens."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final, cast

import aiohttp
import orjson
from rich.console import Console

from reactor.logger import get_logger
from reactor_web.client.follow import StreamRefused, StreamUnavailable, error_text, follow_url
from reactor_web.sse.parser import Frame
from reactor_web.terminal.lines import printable
from reactor_web.terminal.views import View, exit_code

logger = get_logger("reactor.web")

_ENVELOPE: Final = {
    "type": str,
    "run_id": str,
    "time": str,
    "data": dict,
    "seq": int | None,
    "task": str | None,
    "map_index": int | None,
    "attempt": int | None,
}
"""Member of an event or notice -> its type."""
_SHOWN_CHARS: Final = 80


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
    try:
        envelope = orjson.loads(frame.data)
        problem = _problem(envelope)
        if problem is None:
            view.show(envelope)
    except BrokenPipeError:
        raise
    except Exception as error:  # the fold trusts the data of its own events, and these may be anybody's
        logger.debug("a frame cannot be shown", exc_info=error)
        problem = "its data cannot be read"
    if problem is not None:
        text = printable(frame.data[:_SHOWN_CHARS])
        raise StreamUnavailable(url, f"it sends what is not an event of a run ({problem}): {text}")


def _problem(envelope: Any) -> str | None:
    """Why JSON is not an event or a notice of a run; None where it is one."""
    if not isinstance(envelope, dict):
        return "it is not an object"
    members = cast("dict[str, Any]", envelope)
    wrong = [name for name, kinds in _ENVELOPE.items() if not isinstance(members.get(name), kinds)]
    return f"its {wrong[0]} is missing or wrong" if wrong else None


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
