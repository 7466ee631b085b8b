"""Every route, asked by everybody: ``who_may`` is the table, and nothing else is answered, changed or shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from reactor import Engine
from reactor_web import create_app
from reactor_web.guard.access import need_of
from reactor_web.openapi.operations import OPERATIONS
from reactor_web.routes.commands import COMMANDS
from tests.helpers.server import API
from tests.web.guard.who_may import (
    ASKS,
    BAD_RUN,
    EVERYBODY,
    NO_TICKET,
    NOBODY,
    OF_ONES_OWN,
    OF_THE_API,
    PAGE,
    SCOPES,
    section,
)
from tests.web.guard.world import MINE, World, own_routes, world

CODES = {
    "none": {"401 unauthenticated"},
    "wrong": {"401 unauthenticated", "401 token-invalid"},
    "expired": {"401 key-expired", "401 token-expired"},
    "revoked": {"401 key-revoked"},
}


@pytest.fixture
async def here() -> AsyncIterator[World]:
    async with world() as here:
        yield here


def _routes(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method, route.resource.canonical.removeprefix(API))
        for route in app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "OPTIONS", "*")
    }


def test_every_route_is_in_the_table() -> None:
    """Those of the API, which the document has, too, and those that the functions for routes of one's own add."""
    engine = Engine()
    of_the_api = _routes(create_app(engine))
    assert of_the_api == {(ask.method, ask.path) for ask in OF_THE_API}
    assert of_the_api == {(operation.method.upper(), operation.path) for operation in OPERATIONS}
    app = web.Application()
    own_routes(app, engine)
    assert _routes(app) == {(ask.method, ask.path) for ask in OF_ONES_OWN}


def test_the_document_and_the_handlers_say_the_same_of_who_may() -> None:
    """Public in the document is what is public, and each handler needs the scopes of the table, or fewer of them."""
    operations = {(operation.method.upper(), operation.path): operation for operation in OPERATIONS}
    for route in create_app(Engine()).router.routes():
        if route.resource is None or route.method in ("HEAD", "OPTIONS", "*"):
            continue
        key = (route.method, route.resource.canonical.removeprefix(API))
        need = need_of(route.handler)
        assert need is not None, key
        assert need.is_public == operations[key].is_public, key
        usual = next(ask for ask in OF_THE_API if (ask.method, ask.path) == key)
        assert tuple(map(str, need.scopes)) == tuple(usual.scopes), key
        assert need.takes_ticket == any(ask.ticket for ask in OF_THE_API if (ask.method, ask.path) == key), key


def test_the_page_has_the_table() -> None:
    """``docs/security.md`` is what ``python -m tests.web.guard.who_may`` writes."""
    if not PAGE.exists():
        pytest.skip("the page is not there yet")
    assert section() in PAGE.read_text()


@pytest.mark.slow
async def test_each_is_answered_what_the_table_says_and_what_is_refused_changes_nothing(here: World) -> None:
    """By key, JWT and the host's own word alike. No event, answer, run or ticket is there after a refusal that was
    not there before. HEAD is refused as GET is."""
    wrong: list[str] = []
    for ask in ASKS:
        refusing, allowing = list[str](), list[str]()
        for who in EVERYBODY[:-1]:
            (allowing if ask.scopes and not _is_refused(ask.answer(who)) else refusing).append(who)
        run_id = await here.target(ask.target)
        await here.settle()
        before = await here.state()
        for who in refusing:
            for number, headers in enumerate(here.credentials[who]):
                for method in ("GET", "HEAD") if ask.method == "GET" and ask.target != "new" else (ask.method,):
                    answer, _ = await here.ask(ask, run_id, headers, method=method)
                    expected = CODES[who] if who in CODES and ask.scopes else {ask.answer(who)}
                    if method == "HEAD":
                        expected = {one.split()[0] for one in expected}
                        answer = answer.split()[0]
                    if answer not in expected:
                        wrong.append(f"{method} {ask.name}, {who} {number}: {answer}, not {expected}")
        if await here.state() != before:
            wrong.append(f"{ask.name}: a refused request has changed something")
        for who in allowing:
            for number, headers in enumerate(here.credentials[who]):
                other = {**headers, "Idempotency-Key": f"{who} {number} {ask.path}"}
                given = other if "Idempotency-Key" in ask.headers else headers
                run_id = await here.target(ask.target)
                answer, _ = await here.ask(ask, run_id, given)
                if "on_disconnect" in ask.query:
                    await (await here.engine.get(run_id, tenant=MINE)).ended()
                if answer != ask.answer(who):
                    wrong.append(f"{ask.name}, {who} {number}: {answer}, not {ask.answer(who)}")
    assert not wrong, "\n".join(wrong)


def _is_refused(answer: str) -> bool:
    return answer == "404" or answer.startswith(("401", "403"))


async def test_a_ticket_opens_its_stream_and_nothing_else(here: World) -> None:
    """Every other route, method and run is 401, and changes nothing; also with a ticket for the stream of all."""
    wrong: list[str] = []
    for ask in ASKS:
        if not ask.scopes:
            continue
        run_id, other = await here.target(ask.target), await here.target("open")
        fitting = run_id if ask.target else ""
        tickets = [await here.ticket(one) for one in (fitting, other, "" if fitting else other, fitting)]
        before = await here.state()
        asked = [
            (tickets[1], ask.method, NO_TICKET),
            (tickets[2], ask.method, NO_TICKET),
            ("rt_x", ask.method, NO_TICKET),
        ]
        asked += [(tickets[0], "HEAD", "401")] if ask.method == "GET" else []
        asked += [] if ask.ticket else [(tickets[3], ask.method, ask.answer("ticket"))]
        for ticket, method, expected in asked:
            answer, _ = await here.ask(ask, run_id, query=f"?ticket={ticket}", method=method)
            # a host alone knows which run its stream is of: it may say that it is another, or that this is no reading
            of_host = (BAD_RUN, "403 forbidden-scope") if ask.path.startswith("/own/") and "/stream" in ask.path else ()
            if answer not in (expected, *of_host):
                wrong.append(f"{method} {ask.name}, ticket {tickets.index(ticket)}: {answer}, not {expected}")
        if await here.state() != before:
            wrong.append(f"{ask.name}: a refused ticket has changed something")
        if ask.ticket:
            answer, _ = await here.ask(ask, run_id, query=f"?ticket={tickets[3]}")
            if answer != ask.answer("ticket"):
                wrong.append(f"{ask.name}, its ticket: {answer}, not {ask.answer('ticket')}")
    assert not wrong, "\n".join(wrong)


async def test_a_run_of_another_tenant_is_a_run_that_is_not_there(here: World) -> None:
    """Same status, same body apart from the id, and as many calls of each method of the log: so nobody can tell."""
    theirs = here.credentials["foreign"]
    wrong: list[str] = []
    for ask in ASKS:
        if not ask.target or ask.target == "new" or (ask.body is not None and "ticket" in ask.path):
            continue
        for headers in theirs:
            seen: list[tuple[str, bytes, Counter[str]]] = []
            for run_id in (await here.target(ask.target), await here.target("new")):
                here.log.calls.clear()
                answer, body = await here.ask(ask, run_id, headers)
                seen.append((answer, body.replace(run_id.encode(), b"ID"), +here.log.calls))
            if seen[0] != seen[1] or seen[0][0] != ask.answer("foreign"):
                wrong.append(f"{ask.name}: {seen}")
    assert not wrong, "\n".join(wrong)


async def test_a_run_of_a_hidden_workflow_is_a_run_that_is_not_there(here: World) -> None:
    """The same for who may see some workflows only."""
    wrong: list[str] = []
    for ask in ASKS:
        if not ask.target or ask.target == "new" or (ask.body is not None and "ticket" in ask.path):
            continue
        seen: list[tuple[str, bytes, Counter[str]]] = []
        for run_id in (await here.target(ask.target), await here.target("new")):
            here.log.calls.clear()
            answer, body = await here.ask(ask, run_id, here.credentials["other workflows"][0])
            seen.append((answer, body.replace(run_id.encode(), b"ID"), +here.log.calls))
        if seen[0] != seen[1] or seen[0][0] != ask.answer("other workflows"):
            wrong.append(f"{ask.name}: {seen}")
    assert not wrong, "\n".join(wrong)


async def test_who_has_opened_a_socket_to_read_gives_no_commands(here: World) -> None:
    """Each command is answered ``forbidden-scope`` to who may only read, and to a ticket; nothing changes."""
    run_id = await here.target("open")
    url = f"{here.url}{API}/runs/{run_id}/ws"
    before = None
    for query, headers in (("", here.credentials["read"][0]), (f"?ticket={await here.ticket(run_id)}", {})):
        before = before or await here.state()
        async with here.session.ws_connect(url + query, headers=headers) as socket:
            for command in COMMANDS:
                await socket.send_json({"id": command, "command": command})
                while (reply := await socket.receive_json(timeout=10)).get("reply") != command:
                    pass
                assert "scope" in str(reply), reply
    after = await here.state()
    assert before is not None
    assert after[:3] == before[:3]


def test_the_table_refuses_and_answers() -> None:
    """Somebody is refused by each route that is not public, and nobody but who has not said who they are by all."""
    for ask in ASKS:
        assert not ask.scopes or any(_is_refused(ask.answer(who)) for who in SCOPES)
    for who in EVERYBODY:
        assert all(_is_refused(ask.answer(who)) for ask in ASKS if ask.scopes) == (who in NOBODY)
