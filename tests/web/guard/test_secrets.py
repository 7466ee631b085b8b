"""Secrets come out nowhere: not in log lines of any level and library, events, refusals, tracebacks or values that are
printed. The whole suite is watched for them (``tests.helpers.planted``); here is shown that the watch sees them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import BaseModel, SecretStr

from reactor import Context, Engine, Workflow
from reactor.clock import SystemClock
from reactor.logger import get_logger
from reactor.ports import KeyRecord, TicketRecord
from reactor_web.guard.guard import Guard
from reactor_web.guard.keys import Keys, MemoryKeys, make_key
from reactor_web.guard.principal import Principal, Unauthenticated
from reactor_web.guard.tickets import digest_of, make_ticket
from reactor_web.guard.tokens import Jwts, JwtSettings
from reactor_web.own import add_stream
from tests.helpers.guarded import Guarded, guarded
from tests.helpers.issuer import AUDIENCE, SECRET, token
from tests.helpers.planted import WATCH, planted
from tests.helpers.server import Serve
from tests.helpers.warm import look, start_python

KEY = make_key().token
TICKET = make_ticket()[0]
JWT = token({"sub": "ann", "aud": AUDIENCE, "exp": 4_000_000_000})
SECRETS = {"key": KEY, "ticket": TICKET, "jwt": JWT, "planted": planted("cookie"), "key of jwts": SECRET}


def raised(secret: str) -> Exception:
    try:
        raise RuntimeError(f"no such session: {secret}")
    except RuntimeError as error:
        return error


LINES: dict[str, Callable[[str], object]] = {
    "a field": lambda secret: get_logger().warning("a sentence", token=secret),
    "a sentence": lambda secret: get_logger().error(f"not known: {secret}."),
    "a traceback": lambda secret: get_logger().error("it broke", exc_info=raised(secret)),
    "another library": lambda secret: logging.getLogger("asyncio").error("broken: %s", {"headers": secret}),
    "an access log": lambda secret: logging.getLogger("aiohttp.access").warning(
        f'"GET /events?ticket={secret} HTTP/1"'
    ),
}


# --- the watch sees them --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("kind", SECRETS)
def test_the_watch_finds_a_secret_in_a_log_line(kind: str, line: str) -> None:
    """Whatever kind of secret, wherever in the line."""
    with WATCH.collecting() as found:
        LINES[line](SECRETS[kind])
        assert found
        assert all(SECRETS[kind] in one and "a log line" in one for one in found)


@pytest.mark.parametrize("kind", SECRETS)
async def test_the_watch_finds_a_secret_in_an_event_and_a_refusal(serve: Serve, kind: str, tmp_path: Path) -> None:
    """In an event of any log, in a problem document, and in what a process writes."""
    flow = Workflow("leaks")

    @flow.task
    async def says(ctx: Context, text: str) -> None:
        await ctx.emit("said", {"text": text})

    server = await serve(Engine(f"sqlite:///{tmp_path / 'runs.db'}"), flow)
    with WATCH.collecting() as found:
        answer = await server.start("leaks", {"text": SECRETS[kind]}, run_id="r1")
        await (await server.engine.get(answer["run_id"])).ended()
        assert any("event" in one and "r1" in one for one in found)
        found.clear()
        await server.post("/runs/r1/emit", {"type": SECRETS[kind]})
        await server.get(f"/workflows/{SECRETS[kind][:200]}")
        assert any("problem document" in one for one in found)
        found.clear()
        with pytest.raises(AssertionError, match="what a process writes has a secret"):
            look(f"INFO {SECRETS[kind]}")


def test_what_is_no_secret_is_not_found() -> None:
    """Ids, sentences that speak of them, and the code around them in a traceback."""
    with WATCH.collecting() as found:
        for text in ("Bearer {token}", "rk_<id>_<secret>", f"key:{KEY.split('_')[1]}", "rt_", "eyJ", "start_time"):
            get_logger().warning("a sentence", said=text)
        assert found == []


def test_a_test_in_which_a_secret_comes_out_fails(request: pytest.FixtureRequest) -> None:
    """Every test is looked at when it ends; what it is blamed for is not the fault of the next one."""
    assert "no_secret_comes_out" in request.fixturenames
    get_logger().warning("a sentence", value=planted("x"))
    with pytest.raises(AssertionError, match="a log line has a secret"):
        WATCH.check()
    WATCH.check()


# --- they do not come out -------------------------------------------------------------------------------------------


class Login(BaseModel):
    password: SecretStr


def signing_in() -> Workflow:
    flow = Workflow("login")

    @flow.task
    async def sign_in(login: Login, ctx: Context) -> str:
        assert login.password.get_secret_value().startswith(planted(""))
        await ctx.log(f"signs in with {login!r} and {login.password}")
        if "fails" in login.password.get_secret_value():
            raise RuntimeError(f"refused: {login}")
        return "in"

    return flow


@contextmanager
def everything_is_logged() -> Iterator[dict[str, list[str]]]:
    """Every line of every library, debug lines included, and the access log of aiohttp."""
    loggers = [logging.getLogger(name) for name in ("", "reactor", "aiohttp.access", "aiohttp.server", "asyncio")]
    levels = [logger.level for logger in loggers]
    lines = Counting()
    loggers[0].addHandler(lines)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield lines.lines
    finally:
        loggers[0].removeHandler(lines)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class Counting(logging.Handler):
    """The lines that were written, by logger."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.setdefault(record.name, []).append(record.getMessage())


async def authorize(request: web.Request) -> Principal | None:
    if "breaks" in request.cookies:
        raise RuntimeError("the store of the sessions is away")
    return Principal("ann", frozenset({"read", "run"})) if "session" in request.cookies else None


async def breaks(request: web.Request) -> str:
    raise ValueError("a bug of the host")


def own(app: web.Application, engine: Engine) -> None:
    add_stream(app, "/mine/{id}", engine)
    add_stream(app, "/broken/{id}", engine, id_from=breaks)


@pytest.fixture
def seen() -> Iterator[dict[str, list[str]]]:
    """The lines of each logger. A server must be started after it: a connection knows from its beginning whether
    somebody reads the access log."""
    with everything_is_logged() as lines:
        yield lines


@pytest.fixture
async def server(seen: dict[str, list[str]]) -> AsyncIterator[Guarded]:
    async with guarded(signing_in(), own=own, authorize=authorize) as server:
        await server.run("gated", "r1")
        yield server


async def test_no_secret_of_a_request_comes_out(server: Guarded, seen: dict[str, list[str]]) -> None:
    """Right, wrong and broken ones, in every place that a request has, at routes that there are and that there are not,
    with every line of every library: the log has lines about them, and no secret."""
    ticket = await server.ticket(run_id="r1")
    bearers = [server.token, make_key().token, JWT, JWT[:-3], f"rk_{server.key_id}_{TICKET[3:]}", TICKET]
    root = server.url.removesuffix("/api/v1")
    for path in ("/runs", "/runs/r1", "/runs/none", "/events", "/nowhere", "/workflows", "/problems"):
        for bearer in bearers:
            await server.ask(f"{path}?ticket={ticket}", Accept="application/json")
            await server.ask(f"{path}?ticket={TICKET}", Host="evil.example")
            await server.ask(f"{path}?ticket={ticket}", "OPTIONS")
            await server.ask(f"{path}?ticket={ticket}", "PATCH", Accept="image/png")
            await server.ask(path, Authorization=f"Bearer {bearer}", Accept="application/json")
    for cookie in (f"session={planted('cookie')}", f"breaks={planted('cookie')}"):
        await server.ask("/runs", Cookie=cookie)
        await server.ask("/runs/r1/events", Cookie=cookie, Accept="application/json")
    for path in ("/mine/r1", "/broken/r1"):
        for headers in (server.headers, {"Cookie": f"session={planted('cookie')}"}):
            async with server.session.get(f"{root}{path}", headers=headers):
                pass
        async with server.session.get(f"{root}{path}?ticket={ticket}") as answer:
            await answer.content.readany()
    async with server.session.ws_connect(f"{server.url}/runs/r1/ws?ticket={await server.ticket(run_id='r1')}") as ws:
        await ws.send_json({"id": 1, "command": planted("command")[:8], "reason": "x"})
        await ws.receive()
    server.guard.revoke(server.principal)
    assert len(seen["aiohttp.access"]) > 100
    assert any("bug in a handler" in line for line in seen["reactor.web"])
    assert any("stream opened" in line for line in seen["reactor.web"])
    assert not any("ticket=" in line for line in seen["aiohttp.access"])


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/runs.db"])
async def test_no_secret_input_comes_out(store: str, tmp_path: Path) -> None:
    """A SecretStr reaches its body, and no event, state, answer, log line or error; also not where the body fails."""
    with everything_is_logged():
        async with guarded(signing_in(), engine=Engine(store.format(tmp_path))) as server:
            for run_id in ("fails", "works"):
                await server.run("login", run_id, {"login": {"password": planted(run_id)}})
                await (await server.engine.get(run_id)).ended()
            for path in ("/runs/fails", "/runs/works", "/runs/fails/events", "/events"):
                headers = server.headers | {"Accept": "application/json"}
                async with server.session.get(server.url + path, headers=headers) as answer:
                    WATCH.look(await answer.text(), path)
            status, answer = await server.put(
                "/runs/bad", {"workflow": "login", "input": {"login": {"password": [planted("bad")]}}}, **server.headers
            )
            assert status == 422


REFUSED: dict[str, Callable[[Guard], Awaitable[object]]] = {
    "a key": lambda guard: guard.keys.authenticate(KEY),  # type: ignore[union-attr]
    "half a key": lambda guard: guard.keys.authenticate(KEY[:-1]),  # type: ignore[union-attr]
    "a token": lambda guard: guard.jwts.authenticate(JWT[:-1]),  # type: ignore[union-attr]
    "no token": lambda guard: guard.jwts.authenticate(f"{TICKET}.a.b"),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_does_not_repeat_what_it_refuses(what: str) -> None:
    """Neither its sentence nor its representation."""
    guard = Guard(keys=MemoryKeys(), jwt=JwtSettings(audience=AUDIENCE, key=SECRET))
    with pytest.raises(Unauthenticated) as refused:
        await REFUSED[what](guard)
    WATCH.look(f"{refused.value!r} {refused.value} {refused.value.__cause__!r} {vars(refused.value)}", "a refusal")


def test_values_that_know_secrets_do_not_show_them() -> None:
    """Printed in a traceback or by a debugger they have ids alone."""
    key, settings = make_key(), JwtSettings(audience=AUDIENCE, key=SECRET)
    record = KeyRecord(key.id, key.digest, "ci", frozenset({"read"}), "", None)
    ticket = TicketRecord(digest_of(TICKET), "key:a", "r1", "", 1.0, 2.0)
    keys = MemoryKeys([record])
    guard = Guard(keys=keys, jwt=settings)
    for value in (key, settings, record, ticket, keys, Keys(keys), Jwts(settings, SystemClock()), guard):
        for text in (repr(value), str(value), repr([value])):
            WATCH.look(text, type(value).__name__)
            assert str(key.digest)[2:-1] not in text
            assert str(ticket.digest)[2:-1] not in text


async def test_a_key_is_compared_once_and_whole_whatever_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good, revoked, expired, wrong, unknown or broken: one comparison of 32 bytes in constant time."""
    compared: list[tuple[int, int]] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append((len(ours), len(theirs)))
        return compare_digest(ours, theirs)

    monkeypatch.setattr("hmac.compare_digest", compare)
    made = {name: make_key() for name in ("good", "revoked", "expired")}
    ends = {"good": None, "revoked": None, "expired": "2020-01-01T00:00:00Z"}
    keys = Keys(MemoryKeys(
        KeyRecord(key.id, key.digest, name, frozenset({"read"}), "", ends[name], revoked=name == "revoked")
        for name, key in made.items()
    ))  # fmt: skip
    asked = [*(key.token for key in made.values()), f"rk_{made['good'].id}_{'0' * 43}", KEY, KEY[:-1], "rk_", "é", ""]
    results = await asyncio.gather(*map(keys.authenticate, asked), return_exceptions=True)
    assert [isinstance(result, Principal) for result in results] == [True] + [False] * (len(asked) - 1)
    assert compared == [(32, 32)] * len(asked)


@pytest.mark.parametrize("flags", [[], ["--jwt-audience", "a", "--jwks", "/tmp/none.json"], ["--jwt-audience", "a"]])
def test_the_secret_of_the_environment_is_not_told(flags: list[str]) -> None:
    """Where the command refuses it, or what stands beside it."""
    secret = planted("x") if flags != ["--jwt-audience", "a"] else planted("")[:8]
    with start_python(
        "-m", "reactor_web", "serve", "tests/helpers/tokens.py", *flags, REACTOR_JWT_SECRET=secret
    ) as process:
        err = process.stderr.read()
    assert err.startswith("error") or "JWT" in err, err
    assert secret not in err
    look(err)
