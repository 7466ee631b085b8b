"""What the command asks of a run on a server."""

from __future__ import annotations

from typing import Any

from reactor_web.client.client import Client
from reactor_web.client.errors import RequestRefused, ServerUnavailable, json_object
from reactor_web.terminal.lines import printable


class CommandRefused(Exception):
    """The server did not carry out a command; the text says why."""


async def post_command(url: str, body: dict[str, Any]) -> None:
    """Posts a command; raises CommandRefused with the sentence of the server."""
    base, _, name = url.rpartition("/")
    try:
        # once: who types a command sees at once that nobody answers, and can type it again
        async with Client(base, tries=1) as client:
            answer = await client.connection.answer("POST", f"/{name}", body=body)
    except ServerUnavailable as error:
        raise CommandRefused(printable(f"cannot post to {url}: {error.reason}")) from error
    except RequestRefused as error:
        raise CommandRefused(printable(f"cannot post to {url}: {error.detail}")) from error
    except ValueError as error:  # of the URL
        raise CommandRefused(printable(str(error))) from error
    if answer.status < 400:
        return
    detail = json_object(answer.body).get("detail")
    if detail is None:
        raise CommandRefused(printable(f"cannot post to {url}: what answers there is no server of ours"))
    raise CommandRefused(printable(f"{url} answers {answer.status}: {detail}"))
