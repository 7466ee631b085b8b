"""``/stream-tickets``: a short-lived ticket for a stream whose client can send no header, such as EventSource."""

from __future__ import annotations

from typing import Any, Final, cast

from aiohttp import web
from multidict import MultiDict

from reactor.ports.access import TicketRecord
from reactor.requests import check_run_id
from reactor.runs.all_events import check_runs
from reactor_web.guard.access import GUARD, needs
from reactor_web.guard.admission import ADMISSION, Admission
from reactor_web.guard.hosts import guard_change
from reactor_web.guard.principal import Scope
from reactor_web.guard.redeeming import META, SELECTION, selection_of
from reactor_web.guard.seen import Seen, engine_of
from reactor_web.guard.tickets import make_ticket
from reactor_web.http.body import NUMBER, OBJECT, STRING, json_body, json_response
from reactor_web.http.problems import Problem

MAX_TTL: Final = 300
DEFAULT_TTL: Final = 60
"""Seconds within which a ticket is used for the first time."""
MAX_LIFE: Final = 86_400
"""Seconds for which a ticket reconnects where its issuer has no end, or a later one."""


def routes() -> list[web.RouteDef]:
    return [web.post("/stream-tickets", issue_ticket)]


@needs(Scope.READ)
async def issue_ticket(request: web.Request) -> web.Response:
    """A ticket for ``?ticket=`` of one stream: ``{run_id}``, or ``{filter: {runs, workflow, parent, "meta.x"}}`` of
    ``/events``.

    It is used for the first time within ``ttl`` seconds. After that it reconnects, with a cursor and while its stream
    is closed, until the end of the credential that it was issued for.
    """
    guard_change(request)
    body = await json_body(request, {"run_id": STRING, "filter": OBJECT, "ttl": NUMBER})
    run_id, ttl = body.get("run_id", ""), body.get("ttl", DEFAULT_TTL)
    if not 0 < ttl <= MAX_TTL:
        raise Problem(422, f"ttl must be above 0 and at most {MAX_TTL} seconds")
    if ("run_id" in body) == ("filter" in body):
        raise Problem(422, "a ticket is for one run, {run_id}, or for a stream of several, {filter}")
    seen, admission, guard = engine_of(request), _admission(request), request.app[GUARD]
    if "run_id" in body:  # also an empty one, which would be a ticket for the stream of all runs
        seen.check_run(check_run_id(run_id))
    ticket, digest = make_ticket()
    now, principal = guard.now(), admission.principal
    expires = min(now + MAX_LIFE, principal.expires or now + MAX_LIFE)
    await guard.tickets.issue(
        TicketRecord(
            digest=digest,
            principal=principal.id,
            run_id=run_id,
            tenant=admission.tenant,
            redeem_until=min(now + ttl, expires),
            expires=expires,
            runs=principal.runs,
            workflows=principal.workflows,
            filter=_filter(seen, body["filter"]) if "filter" in body else "",
        )
    )
    return json_response({"ticket": ticket, "expires_in": ttl}, 201)


def _admission(request: web.Request) -> Admission:
    admission: Admission = request[ADMISSION]
    return admission


def _filter(seen: Seen, given: dict[str, Any]) -> str:
    """The selection of ``GET /events`` that a filter means, as the request will have it. Raises Problem 422."""
    query: MultiDict[str] = MultiDict()
    for name, value in given.items():
        if name not in SELECTION and not name.startswith(META):
            raise Problem(422, f"the filter has no member {name[:50]!r}; there are {', '.join(SELECTION)} and {META}*")
        is_list = name == "runs" and isinstance(value, list)
        values: list[object] = cast("list[object]", value) if is_list else [value]
        texts = [one for one in values if isinstance(one, str)]
        if len(texts) != len(values):
            raise Problem(422, f"the filter's {name[:50]} must be text")
        query.add(name, ",".join(texts))
    try:
        for run_id in check_runs(query["runs"].split(",")) if "runs" in query else ():
            seen.check_run(run_id)
    except ValueError as error:
        raise Problem(422, f"the filter's runs: {error}") from None
    return selection_of(query)
