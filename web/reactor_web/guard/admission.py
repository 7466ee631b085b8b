"""``Admission``: one request that was let in, and the stream that it may open, until somebody ends that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp import web

from reactor.bounds import MAX_REASON_CHARS
from reactor_web.guard.principal import Principal

TENANT: Final = "tenant"
"""The parameter by which who sees every tenant names one."""


class Door(Protocol):
    """What the guard does for the stream of a request."""

    async def take(self, admission: Admission, run_id: str) -> None: ...
    async def wait(self, admission: Admission, until: asyncio.Future[Any]) -> None: ...
    def opened(self, admission: Admission) -> None: ...
    def over(self, admission: Admission) -> None: ...


class Admission:
    """Who asks, for which tenant, from where; and what is to be given back when the request, or its stream, is over."""

    __slots__ = (
        "_address", "_door", "_find_address", "_is_counted", "_over", "_waiting", "asked", "close", "doubts", "ended",
        "expires", "has_cursor", "is_of_host", "lives_until", "principal", "reviewed", "tenant",
    )  # fmt: skip

    def __init__(
        self,
        door: Door,
        principal: Principal,
        tenant: str,
        find_address: Callable[[], str | None],
        expires: float | None,
    ) -> None:
        self._door = door
        self.principal = principal
        self.tenant = tenant
        self._find_address: Callable[[], str | None] | None = find_address
        self._address: str | None = None
        self._waiting: asyncio.Future[Any] | None = None
        self.expires = expires
        """Unix seconds at which its stream ends; None: that is not known beforehand."""
        self.is_of_host = False
        """Whether the host's own ``authorize`` has said who asks, for example by a cookie."""
        self.lives_until: float | None = None
        """Unix seconds at which its stream ends, and may be asked for again; None: no limit."""
        self.close: Callable[[str], None] | None = None
        """Closes its stream for a reason of ``stream.closing``; None while it has none."""
        self.ended: str | None = None
        """Why it was ended before its stream was open."""
        self.has_cursor = False
        """Whether its client was told what it can go on from."""
        self.asked: web.Request | None = None
        """What the host was asked about, where it is asked again whether the stream may go on."""
        self.reviewed = 0.0
        """Unix seconds: when the host was asked last."""
        self.doubts = 0
        """How many times in a row the host has not answered."""
        self._over: list[Callable[[], None]] = []
        self._is_counted = False
        """Whether its stream was counted."""

    @property
    def address(self) -> str | None:
        """Under which it is counted; None: it is not counted by its address. Most requests are not asked for it."""
        find, self._find_address = self._find_address, None
        if find is not None:
            self._address = find()
        return self._address

    @property
    def is_streaming(self) -> bool:
        """Whether its stream is open."""
        return self.close is not None

    async def take(self, run_id: str) -> None:
        """Counts its stream, once. Raises Limited where there are too many. ``run_id``: empty for one of several runs,
        and of a run that is to be started."""
        if not self._is_counted:
            await self._door.take(self, run_id)
            self._is_counted = True

    async def wait(self, until: asyncio.Future[Any] | None = None) -> None:
        """Counts that it waits for a run to start, until ``until`` is done, or else until ``stop_waiting``. Raises
        Limited where too many wait."""
        if until is None:
            until = self._waiting = asyncio.get_running_loop().create_future()
        await self._door.wait(self, until)

    def stop_waiting(self) -> None:
        """It waits no longer. Where a run starts, its thousand streams say so when they have their turn."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def opened(self, close: Callable[[str], None]) -> None:
        """Its stream is open: from now on it ends with the credential."""
        self.close = close
        if self._find_address is not None:
            self._address, self._find_address = self._find_address(), None  # a stream does not keep its request
        self._door.opened(self)
        if self.ended is not None:
            close(self.ended)

    @property
    def ends(self) -> tuple[float, str] | None:
        """(Unix seconds at which its stream ends, the reason); None where that is not known beforehand."""
        if self.lives_until is not None and (self.expires is None or self.lives_until < self.expires):
            return self.lives_until, "lifetime"
        return None if self.expires is None else (self.expires, "auth")

    def end(self, reason: str) -> bool:
        """Ends its stream, also one that is not open yet. Whether it was open."""
        if self.close is not None:
            self.close(reason)
        else:
            self.ended = self.ended or reason
        return self.close is not None

    def over(self) -> None:
        """The stream is over, or the request has opened none."""
        over, self._over = self._over, []
        self.stop_waiting()
        self.close = self.asked = self._find_address = None
        self._door.over(self)
        for give_back in over:
            give_back()

    def when_over(self, give_back: Callable[[], None]) -> None:
        """``give_back`` is called once, when it is over."""
        self._over.append(give_back)


ADMISSION: Final[Any] = (
    web.RequestKey("reactor_admission", Admission) if hasattr(web, "RequestKey") else "reactor_admission"
)
"""The member of a request that has its admission. A request to a handler that nothing guards has none."""


def admission_of(request: web.Request) -> Admission | None:
    return request.get(ADMISSION)


async def count_stream(request: web.Request, run_id: str = "") -> None:
    """Counts an answer that stays open: a stream, or one that is waited for. Raises Limited.

    Before anything is done for it: who is refused must not have started a run.
    """
    admission = admission_of(request)
    if admission is not None:
        await admission.take(run_id)


async def count_waiting(request: web.Request, until: asyncio.Future[Any] | None = None) -> None:
    """Counts a request that waits for a run to start, until ``until`` is done, or its stream stops to wait. Raises
    Limited."""
    admission = admission_of(request)
    if admission is not None:
        await admission.wait(until)


def principal_of(request: web.Request) -> Principal:
    """Who asks. Only for requests that the guard has let in."""
    admission: Admission = request[ADMISSION]
    return admission.principal


def tenant_query(request: web.Request) -> dict[str, str]:
    """What the URL of an answer must have, so that it leads to the same tenant: of who has named one in the query."""
    admission = admission_of(request)
    if admission is None or not admission.tenant or admission.principal.tenant is not None:
        return {}
    return {TENANT: admission.tenant}


def author_of(request: web.Request) -> str | None:
    """Who is written to the log as the author of what a request does: the principal, or else the address."""
    admission = admission_of(request)
    return (admission and admission.principal.id[:MAX_REASON_CHARS]) or request.remote
