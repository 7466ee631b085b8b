"""Asks a server what goes on in it."""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import urlsplit

from reactor.events.timing import unix_seconds
from reactor_web.client.client import Client
from reactor_web.client.errors import RequestRefused, ServerUnavailable, json_object
from reactor_web.terminal.doctor.facts import Question, take_facts

QUESTIONS: Final = 100
"""How many runs that wait for an answer are looked at: the newest ones."""


class CannotLook(Exception):
    """Nothing can be said of this server or log. The text says why."""


async def facts_of_server(url: str, token: str | None) -> dict[str, Any]:
    """Members of ``Facts``. Raises CannotLook.

    A server without keys that is asked through a proxy refuses to answer, and that is a fact, too.
    """
    base = url.rstrip("/") if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/api/v1"
    try:
        async with Client(base, token=token, tries=1) as client:
            asked = time.time()
            status, answer = await _ask(client, "/diagnosis")
            now = (asked + time.time()) / 2
            if status == 403 and answer.get("code") == "not-exposed":
                return {"is_forwarded_by_stranger": True}
            if status != 200 or "time" not in answer:
                why = answer.get("detail", "it is no server of ours, or an older one")
                raise CannotLook(f"{base} answers {status}: {why}{_hint(status)}")
            waiting = await _questions(client, now)
    except ServerUnavailable as error:
        raise CannotLook(f"cannot ask {base}: {error.reason}") from error
    except RequestRefused as error:
        raise CannotLook(f"cannot ask {base}: {error.detail}") from error
    except ValueError as error:  # of the URL
        raise CannotLook(str(error)) from error
    lag = float(answer.get("loop_lag_seconds") or 0.0)  # the answer is as old as the loop is late
    skew = unix_seconds(answer["time"]) - now
    return {**take_facts(answer), "clock_skew_seconds": skew if abs(skew) > lag + 1.0 else 0.0, "questions": waiting}


async def _questions(client: Client, now: float) -> tuple[Question, ...]:
    status, answer = await _ask(client, f"/runs?question=1&limit={QUESTIONS}")
    if status != 200:
        return ()  # without the scope read
    return tuple(
        Question(run["run_id"], now - unix_seconds(run["created"]))
        for run in answer.get("runs", [])
        if run.get("created")
    )


async def _ask(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    answer = await client.connection.answer("GET", path)
    return answer.status, json_object(answer.body)


def _hint(status: int) -> str:
    return "; give a key with the scope admin in REACTOR_TOKEN" if status in (401, 403) else ""
