"""What the command asks of a run on a server."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson

from reactor_web.client.follow import error_text
from reactor_web.terminal.lines import printable


class CommandRefused(Exception):
    """The server did not carry out a command; the text says why."""


async def post_command(url: str, body: dict[str, Any]) -> None:
    """Posts a command; raises CommandRefused with the sentence of the server."""
    timeout = aiohttp.ClientTimeout(total=30)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json=body) as response:
            if response.status < 400:
                return
            problem = orjson.loads(await response.read())
            raise CommandRefused(printable(f"{url} answers {response.status}: {problem['detail']}"))
    except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is one of the latter
        raise CommandRefused(printable(f"cannot post to {url}: {error_text(error)}")) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CommandRefused(printable(f"cannot post to {url}: what answers there is no server of ours")) from error
