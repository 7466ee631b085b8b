"""``Watch``: ends streams whose credential has ended, or whose host says no any more."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Final, TypeAlias

from aiohttp import web

from reactor.clock import patiently, sleep
from reactor.events.timing import unix_seconds
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor_web.guard.admission import Admission
from reactor_web.guard.principal import Principal

logger = get_logger("reactor.web")

Authorize: TypeAlias = Callable[[web.Request], Principal | Awaitable[Principal | None] | None]
"""The host's own way to say who asks, by a cookie session for example. None: nobody that it knows."""

REVIEW_SECONDS: Final = 60.0
"""After so long the host is asked again whether an open stream may go on."""
REVIEW_PATIENCE_SECONDS: Final = 10.0
"""How long the host may take to answer that."""
MOST_DOUBTS: Final = 3
"""A stream ends when the host has not answered so many times in a row."""
REVIEWS: Final = 32
"""How many streams the host is asked about at the same time."""
WATCH_SECONDS: Final = 2.0
"""How often open streams are looked at: a revoked key ends its streams within twice of this."""


class Watch:
    """The requests of a guard that are not over. One task looks at all of them.

    - ``is_good(principal)``: whether who was let in once may still be, and may still see as much.
    - ``end_all_of(principal id)``: called with one who may not.
    - ``heard(mark)``: the mark of now, and who was revoked in other processes since another one.
    - ``max_age``: seconds after which a stream ends, and its client comes back.
    """

    def __init__(
        self,
        clock: Clock,
        is_good: Callable[[Principal], Awaitable[bool]],
        end_all_of: Callable[[str], object],
        heard: Callable[[str], Awaitable[tuple[str, list[str]]]],
        authorize: Authorize | None,
        max_age: float | None,
    ) -> None:
        self._clock = clock
        self._is_good = is_good
        self._end_all_of = end_all_of
        self._heard = heard
        self.mark = ""
        """Up to here it is known who was revoked in other processes."""
        self._authorize = authorize
        self._max_age = max_age
        self.let_in: set[Admission] = set()
        """Requests that are not over: their streams are open, or may be soon."""
        self._looking: asyncio.Task[None] | None = None
        self._reviewing: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look_again())

    async def close(self) -> None:
        tasks = [task for task in (self._looking, self._reviewing) if task is not None]
        self._looking = self._reviewing = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def opened(self, admission: Admission) -> None:
        """The stream of a request is open."""
        admission.reviewed = self._now()
        if self._max_age is not None:  # with jitter, so that not all of them come back at once
            admission.lives_until = self._now() + self._max_age * random.uniform(0.9, 1.0)
        self._end_in_time(admission)

    def end_all_of(self, principal_id: str) -> int:
        """Ends what a principal has open, and what is about to be; returns how many streams were."""
        meant = [admission for admission in self.let_in if admission.principal.id == principal_id]
        return sum([admission.end("auth") for admission in meant])

    def _now(self) -> float:
        """Unix seconds."""
        return unix_seconds(self._clock.now().decode())

    async def _look_again(self) -> None:
        while True:
            await sleep(self._clock, WATCH_SECONDS)
            try:
                await self._look()
            except Exception as error:  # of a store, or of the host's function: the streams stay, and it is said
                logger.error("open streams not checked", exc_info=error)

    async def _look(self) -> None:
        now = self._now()
        for admission in tuple(self.let_in):
            self._end_in_time(admission)
        due = [a for a in self.let_in if a.asked is not None and a.is_streaming and now - a.reviewed >= REVIEW_SECONDS]
        if due and (self._reviewing is None or self._reviewing.done()):  # a host that is slow holds up nothing else
            self._reviewing = asyncio.get_running_loop().create_task(self._review_all(due))
        self.mark, revoked = await self._heard(self.mark)
        for principal_id in revoked:
            self._end_all_of(principal_id)
        for principal in {admission.principal for admission in self.let_in}:
            try:
                is_good = await self._is_good(principal)
            except Exception as error:  # of a store: its streams stay, and those of others are looked at
                logger.error("open streams not checked", by=principal.id, exc_info=error)
                continue
            if not is_good:
                self._end_all_of(principal.id)

    def _end_in_time(self, admission: Admission) -> None:
        """Ends a stream now, or at the moment when its time is over where that comes before the next look."""
        if admission.ends is not None:
            at, reason = admission.ends
            if (left := at - self._now()) <= 0:
                admission.end(reason)
            elif left < WATCH_SECONDS:
                self._clock.call_later(left, admission.end, reason)

    async def _review_all(self, due: list[Admission]) -> None:
        for start in range(0, len(due), REVIEWS):
            await asyncio.gather(*[self._review(admission) for admission in due[start : start + REVIEWS]])

    async def _review(self, admission: Admission) -> None:
        """Asks the host again whether a stream may go on."""
        asked, ask = admission.asked, self._authorize
        if asked is None or ask is None:
            return
        admission.reviewed = self._now()
        try:
            with patiently(REVIEW_PATIENCE_SECONDS):
                answer = ask(copy_of(asked))
                principal = await answer if isawaitable(answer) else answer
                is_same = principal is not None and _is_same(principal, admission.principal)
        except Exception as error:
            admission.doubts += 1
            logger.error("authorize() has not said whether a stream may go on", path=asked.path, exc_info=error)
            if admission.doubts >= MOST_DOUBTS:
                admission.end("auth")
            return
        admission.doubts = 0
        if principal is None or not is_same:
            admission.end("auth")
            return
        admission.expires = principal.expires  # a session that has an end by now
        self._end_in_time(admission)


def copy_of(request: web.Request) -> web.Request:
    """A request as it is now. What is put into it later, such as a session that was read from a store, is not in the
    copy: the host would find it there again, and not ask its store."""
    copied = copy.copy(request)
    copied._state = dict(request._state)  # pyright: ignore[reportPrivateUsage]  # no public way: a clone has no route
    return copied


def _is_same(principal: Principal, before: Principal) -> bool:
    """Whether somebody may still see what they saw before."""
    seen = (principal.id, principal.tenant, principal.runs, principal.workflows)
    return seen == (before.id, before.tenant, before.runs, before.workflows) and before.scopes <= principal.scopes
