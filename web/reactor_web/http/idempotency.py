"""``Idempotency-Key``: a request that comes again with its key is carried out once, and answered as before.

What is kept under a key goes through three states: ``begun`` before the request is carried out, then ``done`` with the
answer, or ``failed`` where nothing was done. After a crash a key may still be ``begun``: then nobody knows whether the
request was carried out, and ``act`` is told ``again``, so that it looks first.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from aiohttp import web

from reactor.errors import LogLost, LogUnavailable, ReactorError, Unanswered
from reactor.ports.stores import Idempotency
from reactor.requests import check_key
from reactor.runs.commands import one_command
from reactor_web.http.body import read_body
from reactor_web.http.problems import Problem

HEADER: Final = "Idempotency-Key"

_BEGUN, _DONE, _FAILED = "begun", "done", "failed"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is kept under a key."""

    request: str
    """A digest of the request; another one with the same key is refused."""
    run_id: str
    """The run that it starts, or that it is about."""
    seq: int = 0
    """The last seq of the run before the request was carried out."""
    state: str = _BEGUN
    body: str = ""
    """The JSON it was answered with."""


Act = Callable[[Claim, bool], Awaitable[dict[str, Any]]]
"""Carries the request out and returns the answer: ``act(claim, again)``.

``again``: perhaps that was done before a crash.
"""

First = Callable[[], Awaitable[object]]
"""Raises where a request cannot be carried out."""


def idempotency_key(request: web.Request) -> str | None:
    """The key of a request; raises Problem 400 for one that cannot be a key."""
    key = request.headers.get(HEADER)
    try:
        check_key(key)
    except ValueError as error:
        raise Problem(400, f"{HEADER}: {error}") from error
    return key


async def digest_of(request: web.Request, key: bytes) -> str:
    """By this two requests are told apart: method, path, body. ``key``: of the log, since a body may hold secrets."""
    head = f"{request.method} {request.path}\n".encode()
    return hmac.digest(key, head + await read_body(request), "sha256").hex()


class Repeats:
    """The keys of one engine."""

    def __init__(self, store: Idempotency) -> None:
        self._store = store
        self._busy: dict[tuple[str, str], asyncio.Future[None]] = {}
        """By scope and key: requests that are being carried out."""

    async def once(self, key: str, claim: Claim, act: Act, *, scope: str = "", first: First | None = None) -> Claim:
        """Carries a request out unless that was done before; returns its claim with the answer.

        ``scope``: the id of the run that the key belongs to, if it does. ``first`` is awaited before anything is kept
        of a request that was not carried out before: after what it raises the key is as it was.

        Two requests with one key go one after the other. Raises Problem 422 for a key that was used for another
        request, and what ``act`` raises.
        """
        while (other := self._busy.get((scope, key))) is not None:
            await asyncio.wait({other})
        mine = self._busy[scope, key] = asyncio.get_running_loop().create_future()
        try:
            return await self._once(key, claim, act, scope, first)
        finally:
            del self._busy[scope, key]
            mine.set_result(None)

    async def _once(self, key: str, claim: Claim, act: Act, scope: str, first: First | None) -> Claim:
        kept = await self._store.answer(key, run_id=scope)
        before = None if kept is None else Claim(**orjson.loads(kept))
        if before is not None and before.state == _FAILED:
            before = None  # nothing was done: a corrected request may use the key
        if before is not None and before.request != claim.request:
            raise Problem(422, f"the {HEADER} {key[:50]!r} was used for another request; a new request needs a new key")
        if before is not None and before.state == _DONE:
            return before
        again = before is not None and before.state == _BEGUN
        claim = before if before is not None and again else claim
        if not again:
            if first is not None:
                await first()
            await self._keep(key, claim, scope)
        try:
            with one_command(scope, key, claim.request):  # of a run that another node executes
                body = await act(claim, again)
        except (LogLost, LogUnavailable, Unanswered):
            raise  # nobody knows what was done: the key stays ``begun``
        except (ReactorError, ValueError, Problem):
            await self._keep(key, replace(claim, state=_FAILED), scope)
            raise
        done = replace(claim, state=_DONE, body=orjson.dumps(body).decode())
        await self._keep(key, done, scope)
        return done

    async def _keep(self, key: str, claim: Claim, scope: str) -> None:
        await self._store.keep_answer(key, orjson.dumps(claim), run_id=scope)
