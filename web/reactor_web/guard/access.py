"""What each route asks of who asks it, and the middleware that sees to it before a handler runs.

host       a name that is ours, on every request
who        the guard: a key, a token, a ticket, the host's own session
may        the scopes of the route; the run and the workflow that the path names
sees       from here on a handler has the engine as this principal sees it (``engine_of``)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiohttp import web

from reactor.engine import Engine
from reactor.requests import check_tenant
from reactor_web.guard.admission import ADMISSION, TENANT, Admission, author_of, principal_of
from reactor_web.guard.caps import Limited
from reactor_web.guard.guard import Guard, unauthenticated
from reactor_web.guard.hosts import check_host
from reactor_web.guard.limited import answer_limited
from reactor_web.guard.principal import Principal, Scope
from reactor_web.guard.redeeming import redeem
from reactor_web.guard.seen import SEEN, Seen
from reactor_web.http.keys import ENGINE
from reactor_web.http.middleware import only_looks
from reactor_web.http.problems import Problem
from reactor_web.http.read_buffer import release_read_buffer
from reactor_web.http.traceparent import trace_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
H = TypeVar("H", bound=Callable[..., Any])

GUARD: Final = web.AppKey("reactor_guard", Guard)
"""Of an application: who may ask."""
TICKET: Final = "ticket"
_TICKET: Final[Any] = web.RequestKey("reactor_ticket", str) if hasattr(web, "RequestKey") else "reactor_ticket"

_ONCE: Final = ("Content-Type", "Idempotency-Key", "Last-Event-ID", "Origin", "Sec-Fetch-Site")

_OPEN: Final = Guard()
"""Of an application that has said nothing of who may ask."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks of who asks it."""

    scopes: tuple[Scope, ...]
    is_public: bool = False
    """Everybody may: it says nothing of anybody's runs."""
    takes_ticket: bool = False
    """It is a stream, which a ticket opens too."""


_NEEDS: Final[dict[object, Need]] = {}


def needs(*scopes: Scope, ticket: bool = False) -> Callable[[H], H]:
    """Says of a handler which scopes who asks it must have; ``ticket``: or a ticket for its stream."""

    def mark(handler: H) -> H:
        _NEEDS[handler] = Need(scopes, takes_ticket=ticket)
        return handler

    return mark


def public(handler: H) -> H:
    """Says of a handler that everybody may ask it: it says nothing of anybody's runs."""
    _NEEDS[handler] = Need((), is_public=True)
    return handler


def need_of(handler: object) -> Need | None:
    """What a handler was said to need; None where nobody has said it."""
    return _NEEDS.get(handler)


def check_needs(routes: Iterable[web.RouteDef]) -> None:
    """Raises TypeError for a route of which nobody has said who may ask it."""
    for route in routes:
        if route.handler not in _NEEDS:
            raise TypeError(f"{route.method} {route.path} does not say who may ask it: @needs(Scope.READ)")


# --- in and out -------------------------------------------------------------------------------------------------


@only_looks
@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware of the routes: lets in who may ask, or raises Problem."""
    if request.match_info.http_exception is not None:
        return await handler(request)  # there is no such route
    try:
        await let_in(request, _NEEDS[request.match_info.handler], request.app[GUARD], request.app[ENGINE])
        _check_path(request)
        return await handler(request)
    except Limited as limited:
        return answer_limited(request, limited)
    finally:
        let_out(request)


async def let_in(request: web.Request, need: Need, guard: Guard, engine: Engine) -> None:
    """Finds out who asks, and whether they may; raises Problem 400, 401, 403 and 429.

    Afterwards the request has its admission, and what its principal sees.
    """
    release_read_buffer(request.transport)  # now, not with the stream: a large body makes the buffers behind it large
    ticket = take_ticket(request)
    check_host(request)
    _check_once(request)
    if need.is_public:
        return
    if need.takes_ticket:
        await guard.count_connect(request)
    if ticket is None:
        principal = await guard.identify(request)
        admission = guard.admit(request, principal, _tenant_of(request, principal))
    elif not need.takes_ticket:
        raise unauthenticated("a ticket opens streams only", "ticket-invalid")
    else:
        admission = await redeem(request, guard, ticket)
    request[ADMISSION] = admission
    check_scopes(admission.principal, _wanted(request, need))
    request[SEEN] = _see(request, guard, engine, admission)


def let_out(request: web.Request) -> None:
    """The handler is done. A stream that goes on keeps the admission of its request."""
    admission: Admission | None = request.get(ADMISSION)
    if admission is not None and not admission.is_streaming:
        admission.over()


def guard_of(request: web.Request) -> Guard:
    """Who may ask a route of the host's own: the guard of its application, or else nobody but this machine."""
    guard = request.config_dict.get(GUARD)
    return _OPEN if guard is None else guard


def _see(request: web.Request, guard: Guard, engine: Engine, admission: Admission) -> Seen:
    principal, tenant = admission.principal, engine.tenant(admission.tenant)

    def starting() -> AbstractAsyncContextManager[None]:
        return guard.starting(principal, tenant, engine)

    async def allow_emit(events: int) -> None:
        await guard.count_emit(principal, tenant.name, events)

    return Seen(tenant, principal, author_of(request), starting, allow_emit, trace_of(request))


# --- what is checked --------------------------------------------------------------------------------------------


def _check_once(request: web.Request) -> None:
    """Raises Problem 400 for a header that says one thing and is there twice: a proxy may have read the other one."""
    for name in _ONCE:
        if len(request.headers.getall(name, ())) > 1:
            raise Problem(400, f"the request has two {name} headers")


def check_scopes(principal: Principal, scopes: Iterable[Scope]) -> None:
    """Raises Problem 403 where a scope is missing."""
    for scope in scopes:
        if not principal.may(scope):
            detail = f"this needs the scope {scope!s}, which this credential does not have"
            raise Problem(403, detail, code="forbidden-scope")


def _wanted(request: web.Request, need: Need) -> list[Scope]:
    """The scopes that a request needs: those of its route, and of what it asks for besides."""
    wanted = list(need.scopes)
    if request.query.get("on_disconnect") == "cancel":
        wanted.append(Scope.CONTROL)
    return wanted


def check_shows(request: web.Request) -> None:
    """For a start that is answered with what happens in the run: raises Problem 403 for who may only start it."""
    check_scopes(principal_of(request), (Scope.READ,))


def _check_path(request: web.Request) -> None:
    """Raises Problem 403 for a run or a workflow of the path that is not for this principal."""
    seen: Seen | None = request.get(SEEN)
    if seen is None:
        return
    run_id, workflow = request.match_info.get("id"), request.match_info.get("name")
    if run_id is not None:
        seen.check_run(run_id)
    if workflow is not None:
        seen.check_workflow(workflow)


def _tenant_of(request: web.Request, principal: Principal) -> str:
    """The tenant of a principal; one of all tenants names it in the query. Raises Problem 400."""
    if principal.tenant is not None:
        return principal.tenant
    name = request.query.get(TENANT, "")
    if TENANT in request.query:
        _hide(request, TENANT)
    try:
        return check_tenant(name)
    except ValueError as error:
        raise Problem(400, f"tenant: {error}") from None


def take_ticket(request: web.Request) -> str | None:
    """The ticket of a request. From then on its query has none, so whoever logs that has none either."""
    if TICKET in request.query:
        request[_TICKET] = request.query[TICKET]
        _hide(request, TICKET)
    return request.get(_TICKET)


def _hide(request: web.Request, name: str) -> None:
    """Takes a parameter out of the query, for what reads it and does not know it."""
    # there is no public way: a clone of a request loses its route
    request._rel_url = request._rel_url.without_query_params(name)  # pyright: ignore[reportPrivateUsage]
    for known in ("query", "query_string", "path_qs", "url"):
        request._cache.pop(known, None)  # pyright: ignore[reportPrivateUsage]
