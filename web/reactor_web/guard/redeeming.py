"""A ticket in the query of a stream, in place of a credential that its client cannot send."""

from __future__ import annotations

import secrets
from typing import Final
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping

from reactor_web.guard.admission import Admission
from reactor_web.guard.background import in_background
from reactor_web.guard.caps import Limited, Take
from reactor_web.guard.guard import Guard, unauthenticated
from reactor_web.guard.principal import Principal, Scope
from reactor_web.guard.tickets import digest_of
from reactor_web.http.keys import OWN_ROUTE

SELECTION: Final = ("workflow", "parent", "runs")
META: Final = "meta."
_IN_USE: Final = Take("ticket-in-use", "", 1, retry_seconds=2)


async def redeem(request: web.Request, guard: Guard, ticket: str) -> Admission:
    """Lets in who has a ticket for this stream; raises Problem 401 for anybody else, Limited while a stream holds it.

    A reconnect says where it goes on, unless it was told nothing that it could say. So does a page.
    """
    if request.method != "GET":
        raise _refused("a ticket opens streams only")
    digest, stream = digest_of(ticket), secrets.token_hex(16)
    again = bool(request.headers.get("Last-Event-ID") or request.query.get("after"))
    record = await guard.tickets.redeem(digest, stream, guard.now(), again=again)
    if record is None:
        if await guard.tickets.held_by(digest) is not None:
            raise Limited(_IN_USE)  # an EventSource that gets a 401 never comes back
        raise _refused("this ticket does not open a stream: it was used, is over, or was never issued")
    principal = Principal(
        record.principal,
        frozenset({str(Scope.READ)}),
        runs=(record.run_id,) if OWN_ROUTE in request else record.runs,  # no id has a sign of a pattern
        workflows=record.workflows,
        tenant=record.tenant,
        expires=record.expires,
    )
    admission = guard.admit(request, principal, record.tenant, expires=record.expires)

    def give_back() -> None:
        back = guard.tickets.give_back(digest, stream, has_cursor=admission.has_cursor)
        in_background(back, "a ticket was not given back")

    admission.when_over(give_back)
    if not await guard.is_good(principal):
        admission.over()
        await guard.tickets.forget(record.principal)
        raise _refused("this ticket does not open a stream: what it was issued for was revoked")
    if not _is_for(request, record.run_id, record.filter):
        admission.over()
        raise _refused("this ticket is for another stream")
    return admission


def _is_for(request: web.Request, run_id: str, filter: str) -> bool:
    if OWN_ROUTE in request:
        return bool(run_id)  # only the route knows where its run id stands: its principal sees no other run
    if run_id:
        return request.match_info.get("id") == run_id
    return "id" not in request.match_info and selection_of(request.query) == filter


def selection_of(query: MultiMapping[str]) -> str:
    """Which runs the stream of all events is asked for, as one text whatever the order of the query."""
    names = sorted({name for name in query if name in SELECTION or name.startswith(META)})
    parts = {name: sorted({part for value in query.getall(name) for part in value.split(",")}) for name in names}
    return urlencode({name: ",".join(values) for name, values in parts.items()})


def _refused(detail: str) -> Exception:
    return unauthenticated(detail, "ticket-invalid")
