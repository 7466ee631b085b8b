"""``Guard``: who may ask. It finds out who asks, and ends streams whose credential has ended.

guard = Guard(keys="keys.json", jwt=JwtSettings(...), trusted_proxies=["10.0.0.0/8"])
mount(app, engine, guard=guard)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import HttpVersion11, web

from reactor.clock import SystemClock
from reactor.engine import Engine
from reactor.events.timing import unix_seconds
from reactor.events.values import named
from reactor.logs.schemes import OpenedKeys, open_keys
from reactor.ports.access import AccessStores, CapCounter, KeyStore, TicketStore
from reactor.ports.clock import Clock
from reactor.tenants.tenant import Tenant
from reactor_web.guard.addresses import Proxies, is_forwarded
from reactor_web.guard.admission import Admission
from reactor_web.guard.background import in_background
from reactor_web.guard.caps import Caps, Limited, Take, take_all
from reactor_web.guard.counting import MemoryCaps
from reactor_web.guard.hosts import is_loopback
from reactor_web.guard.key_file import KeyFile
from reactor_web.guard.keys import PREFIX, PRINCIPAL, Keys
from reactor_web.guard.principal import SCOPES, Authenticator, Principal, Unauthenticated
from reactor_web.guard.shared import Shared
from reactor_web.guard.tickets import MemoryTickets
from reactor_web.guard.tokens import Jwts, JwtSettings
from reactor_web.guard.watch import Authorize, Watch, copy_of
from reactor_web.http.problems import Problem

EVERYBODY: Final = Principal("", SCOPES)
"""Who asks a server without authentication that only this machine can reach."""

_NOT_GIVEN_BACK: Final = "a cap was not given back"
_ASKED: Final[Any] = web.RequestKey("reactor_asked", web.Request) if hasattr(web, "RequestKey") else "reactor_asked"
"""The member of a request that has a copy of it, as the host has seen it."""
_HOW: Final = "give the server keys (--keys), or mount() a guard or authorize="


class Guard:
    """Who may ask, and how much.

    - ``keys``: the file that ``reactor keys`` writes, the URL of a log in Redis, or a ``KeyStore``.
    - ``jwt``: how tokens of another service are verified.
    - ``authorize``: ``authorize(request) -> Principal | None``, for the host's own sessions; may be async.
    - ``insecure``: without any of these, anybody who reaches the server may do everything. Otherwise only requests from
      this machine are answered then, and none that a proxy has passed on.
    - ``trusted_proxies``: networks (``10.0.0.0/8``) whose ``Forwarded`` and ``X-Forwarded-For`` are believed.
    - ``caps``: how much may be asked.
    - ``max_stream_age``: seconds after which a stream ends, and its client comes back; None: no limit.
    - ``tickets``, ``counter``: where tickets are kept and caps are counted; None: in the memory of this process, or in
      the log of the engine where several processes share it.

    Keys that are in such a log count without being named, from the moment when there is one.

    Raises TypeError and ValueError for an argument that cannot be.
    """

    def __init__(
        self,
        *,
        keys: str | Path | KeyStore | None = None,
        jwt: JwtSettings | None = None,
        authorize: Authorize | None = None,
        insecure: bool = False,
        trusted_proxies: Iterable[str] = (),
        caps: Caps | None = None,
        max_stream_age: float | None = None,
        tickets: TicketStore | None = None,
        counter: CapCounter | None = None,
        clock: Clock | None = None,
    ) -> None:
        if authorize is not None and not callable(authorize):  # pyright: ignore[reportUnnecessaryComparison]  # users without a type checker
            raise TypeError(f"authorize must be a function(request), not {named(authorize)}")
        if max_stream_age is not None and max_stream_age <= 0:
            raise ValueError(f"max_stream_age must be a number of seconds above 0, not {max_stream_age!r}")
        self.clock: Clock = SystemClock() if clock is None else clock
        store = _store_of(keys, self.clock)
        self._store = store
        self._has_connection = isinstance(keys, str) and not isinstance(store, KeyFile)
        self.keys = None if store is None else Keys(store, self.clock)
        self.jwts = None if jwt is None else Jwts(jwt, self.clock)
        self._authorize = authorize
        self.is_insecure = insecure
        self.proxies = Proxies(trusted_proxies)
        self.caps = Caps() if caps is None else caps
        self.counter: CapCounter = MemoryCaps(self.clock) if counter is None else counter
        self.tickets: TicketStore = MemoryTickets(self.clock) if tickets is None else tickets
        self._takes_tickets, self._takes_counter = tickets is None, counter is None
        """Whether those of a log that processes share are used."""
        self._shared = Shared(self.clock)
        self._lives = 0
        """How many applications have started it, and not closed it yet."""
        self._starting = Counter[str]()
        """Runs that are being started, by tenant: they are not among the open ones yet."""
        heard = self._shared.heard
        self._watch = Watch(self.clock, self.is_good, self._end_all_of, heard, authorize, max_stream_age)

    @property
    def is_configured(self) -> bool:
        """Whether who asks must say who they are."""
        return self.keys is not None or self.jwts is not None or self._authorize is not None

    @property
    def key_file(self) -> Path | None:
        """The file of the keys; None where they are not in a file."""
        return self._store.path if isinstance(self._store, KeyFile) else None

    # --- life ---

    async def start(self) -> None:
        """Reads the keys. Raises ValueError and OSError where they cannot be read.

        Several applications may have the same guard: it lives from the first ``start`` to the last ``close``.
        """
        if self._lives == 0:
            if isinstance(self._store, KeyFile):
                await asyncio.to_thread(self._store.load)
            elif self._has_connection:
                await cast("OpenedKeys", self._store).open()
            if self.jwts is not None:
                await self.jwts.start()
            self._watch.start()
        self._lives += 1

    async def close(self) -> None:
        self._lives = max(0, self._lives - 1)
        if self._lives > 0:
            return
        await self._watch.close()
        if self._has_connection:
            await cast("OpenedKeys", self._store).close()
        if self.jwts is not None:
            await self.jwts.close()

    async def share(self, stores: AccessStores) -> None:
        """Takes what the log of an engine has, which is open by now: nodes that share it share all of it. What was
        given to the guard stays. Raises LogUnavailable."""
        if self._shared.stores is not None:
            return  # the log of another engine: nobody would be counted, or revoked, in two places
        self._shared.stores = stores
        self._watch.mark, _ = await stores.revocations.revoked("")
        if self._takes_tickets:
            self.tickets = stores.tickets
        if self._takes_counter:
            self.counter = stores.caps
        await self._look_for_keys()

    async def _look_for_keys(self, token: str | None = None) -> None:
        """Whether there are keys in the log by now."""
        if self.keys is not None:
            return
        store = await self._shared.keys(at_once=token is not None and token.startswith(PREFIX))
        if store is not None:
            self.keys = Keys(store, self.clock)

    # --- who asks ---

    async def identify(self, request: web.Request) -> Principal:
        """Who asks. Raises Problem 401, and 403 where a server without authentication is asked from elsewhere."""
        token = _bearer(request) if self.is_configured or self._shared.stores is not None else None
        await self._look_for_keys(token)
        if not self.is_configured:
            return self._open_to(request)
        if token is not None:
            for kind in self._kinds():
                if kind.claims(token):
                    try:
                        return await kind.authenticate(token)
                    except Unauthenticated as error:
                        raise unauthenticated(str(error), error.code) from None
        if self._authorize is not None:
            asked = copy_of(request)
            principal = self._authorize(request)
            found = await principal if isawaitable(principal) else principal
            if found is not None:
                request[_ASKED] = asked
                return self._checked(found)
        raise unauthenticated("say who you are: Authorization: Bearer <key or token>", "unauthenticated")

    def _checked(self, found: object) -> Principal:
        """What the host's own ``authorize`` has returned. Raises TypeError, and Problem 401 for one that has ended."""
        if not isinstance(found, Principal):
            raise TypeError(f"authorize(request) must return a Principal or None, not {named(found)}")
        if found.expires is not None and found.expires <= self.now():
            raise unauthenticated("the session has ended: sign in again", "unauthenticated")
        return found

    def _kinds(self) -> list[Authenticator]:
        return [kind for kind in (self.keys, self.jwts) if kind is not None]

    def _open_to(self, request: web.Request) -> Principal:
        """Everybody, on a server that only this machine reaches."""
        if self.is_insecure:
            return EVERYBODY
        if is_forwarded(request.headers) or _is_of_plain_nginx(request):
            raise Problem(
                403,
                f"this server has no authentication, and a proxy has passed on this request: {_HOW}",
                code="not-exposed",
            )
        own = request.get_extra_info("sockname")
        if isinstance(own, tuple) and not is_loopback(str(cast("tuple[object, ...]", own)[0])):
            raise Problem(
                403,
                f"this server has no authentication, so it answers this machine only: {_HOW}",
                code="not-exposed",
            )
        return EVERYBODY

    def admit(
        self, request: web.Request, principal: Principal, tenant: str, *, expires: float | None = None
    ) -> Admission:
        """Lets a request in. ``expires``: of the ticket that it came with."""
        ends = [at for at in (principal.expires, expires) if at is not None]
        find_address = partial(self.proxies.cap_key_of, request)
        admission = Admission(self, principal, tenant, find_address, min(ends, default=None))
        is_ticket = expires is not None
        admission.is_of_host = self._authorize is not None and not is_ticket and _bearer(request) is None
        if not ends:
            admission.asked = request.get(_ASKED)
        self._watch.let_in.add(admission)
        return admission

    async def is_good(self, principal: Principal) -> bool:
        """Whether who was let in once may still be. True where only the host or an issuer could tell."""
        by_key = self.keys is not None and principal.id.startswith(PRINCIPAL)
        return self.keys is None or not by_key or await self.keys.covers(principal)

    # --- how much ---

    async def count_connect(self, request: web.Request) -> None:
        """Counts a stream that is asked for. Raises Limited."""
        await take_all(self.counter, self.caps.of_connect(self.proxies.cap_key_of(request)))

    @asynccontextmanager
    async def starting(self, principal: Principal, tenant: Tenant, engine: Engine) -> AsyncGenerator[None]:
        """Counts a run that is started in the ``with`` block. Raises Limited."""
        name = tenant.name
        for take in self.caps.of_open_run(name):
            is_full = take.most <= (
                tenant.open_runs + self._starting[name] if take.who else engine.open_runs + self._starting.total()
            )
            if is_full:
                raise Limited(take)
        await take_all(self.counter, self.caps.of_start(principal, name))
        self._starting[name] += 1
        try:
            yield
        finally:
            self._starting[name] -= 1
            if not self._starting[name]:
                del self._starting[name]

    async def count_emit(self, principal: Principal, tenant: str, events: int) -> None:
        """Counts events that are to be said in a run. Raises Limited."""
        await take_all(self.counter, self.caps.of_emit(principal, tenant, events))

    async def hold(self, admission: Admission, takes: Iterable[Take]) -> None:
        """Takes of caps until the request, or its stream, is over. Raises Limited."""
        taken = await take_all(self.counter, takes)
        admission.when_over(lambda: in_background(taken.give_back(), _NOT_GIVEN_BACK))

    async def take(self, admission: Admission, run_id: str) -> None:
        """Counts a stream as long as it is open. Raises Limited."""
        takes = self.caps.of_stream(admission.principal, admission.tenant, run_id, admission.address)
        await self.hold(admission, takes)

    async def wait(self, admission: Admission, until: asyncio.Future[Any]) -> None:
        """Counts who waits for a run to start, until that is done. Raises Limited."""
        taken = await take_all(self.counter, self.caps.of_waiting(admission.tenant))
        until.add_done_callback(lambda _: in_background(taken.give_back(), _NOT_GIVEN_BACK))

    # --- open streams ---

    def opened(self, admission: Admission) -> None:
        self._watch.opened(admission)

    def over(self, admission: Admission) -> None:
        self._watch.let_in.discard(admission)

    def revoke(self, principal_id: str) -> int:
        """Ends the open streams of a principal (``key:3fa9``, ``jwt:ann``) and forgets its tickets; returns how many
        streams it had here. Where several processes share the log, its streams there end within five seconds.

        Whether its next request is answered depends on who issued the credential: a key is revoked in its store.
        """
        in_background(self._shared.tell(principal_id), "streams in other processes were not ended")
        return self._end_all_of(principal_id)

    def _end_all_of(self, principal_id: str) -> int:
        in_background(self.tickets.forget(principal_id), "tickets were not forgotten")
        return self._watch.end_all_of(principal_id)

    def now(self) -> float:
        """Unix seconds."""
        return unix_seconds(self.clock.now().decode())


def _store_of(keys: str | Path | KeyStore | None, clock: Clock) -> KeyStore | None:
    """Raises ValueError for a URL that has no keys."""
    if isinstance(keys, str) and "://" in keys:
        return open_keys(keys)
    return KeyFile(keys, clock) if isinstance(keys, str | Path) else keys


def unauthenticated(detail: str, code: str) -> Problem:
    """Problem 401; 503 where it cannot be found out now who asks."""
    if code == "token_keys_unavailable":
        return Problem(503, detail, code="token-keys-unavailable", retry_after=5)
    return Problem(401, detail, code=code.replace("_", "-"))


def _is_of_plain_nginx(request: web.Request) -> bool:
    """Whether a request looks as nginx passes it on that was told nothing but where to: it says neither for whom nor
    under which name. No browser speaks HTTP/1.0."""
    return request.version < HttpVersion11 and request.headers.get("Connection", "").lower() == "close"


def _bearer(request: web.Request) -> str | None:
    """The token of ``Authorization: Bearer``; None without one. Raises Problem 401 for two of them."""
    given = request.headers.getall("Authorization", [])
    if len(given) > 1:
        raise unauthenticated("the request has two Authorization headers", "unauthenticated")
    kind, _, token = (given[0] if given else "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None
