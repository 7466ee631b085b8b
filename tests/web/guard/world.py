"""A server with all routes, runs of two tenants, everybody who may ask, and a log that counts what is asked of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Context, Engine, Run, Workflow, tool
from reactor.logs.memory import MemoryLog
from reactor.ports.access import KeyRecord
from reactor.testing import LogAround
from reactor_web import Caps, Guard, JwtSettings, Principal
from reactor_web.dashboard import add_dashboard
from reactor_web.guard.keys import MemoryKeys, NewKey, make_key
from tests.helpers import issuer
from tests.helpers.server import API, CLOSE_SECONDS, small_workflow
from tests.web.guard.who_may import SCOPES, Ask

MINE, THEIRS = "acme", "globex"
HOST: Final = "X-Who"
"""The header by which the host of this server knows who asks."""
CALLS: Final = ("append", "read", "base", "blob", "committed", "whole", "of_runs", "record", "records", "unfinished",
    "delete", "recall", "remember", "checkpoint", "keep_checkpoint", "answer", "keep_answer",
)  # fmt: skip
CHANGES: Final = ("append", "delete", "remember", "keep_checkpoint", "keep_answer")


class CountingLog(LogAround):
    """Counts what is asked of it: ``calls``."""

    def __init__(self) -> None:
        super().__init__(MemoryLog())
        self.calls: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> Any:
        if name in CALLS:
            object.__getattribute__(self, "calls")[name] += 1
        return object.__getattribute__(self, name)

    async def dump(self) -> dict[str, list[bytes]]:
        """Everything that all runs of all tenants have in the log, without being counted."""
        found: dict[str, list[bytes]] = {}
        for tenant in ("", MINE, THEIRS):
            page = await self.inner.records(status=None, workflow=None, before=None, limit=10_000, tenant=tenant)
            for record in page:
                events = await self.inner.read(record.run_id, 0, 10_000, tenant=tenant)
                found[f"{tenant}/{record.run_id}"] = [event.json for event in events]
        return found


PEOPLE: Final[Mapping[str, dict[str, Any]]] = {
    **{scope: {"scopes": frozenset({scope})} for scope in SCOPES},
    "all": {},
    "foreign": {"tenant": THEIRS},
    "other runs": {"runs": ("other-*",)},
    "other workflows": {"workflows": ("other-*",)},
    "every tenant": {"tenant": None},
    "top": {"runs": ("some-top",)},
    "some": {"runs": ("some-*",), "workflows": ("asking", "small", "nested", "plan", "session")},
}
"""Everybody whose credential says who they are: where they differ from who may do everything in the tenant."""


def principal(name: str) -> Principal:
    given: dict[str, Any] = {"scopes": frozenset(SCOPES), "tenant": MINE, **PEOPLE[name]}
    return Principal(id=f"host:{name}", **given)


# --- workflows --------------------------------------------------------------------------------------------------

asking = Workflow("asking")


@asking.task
async def ask(ctx: Context) -> Any:
    return await ctx.receive()


nested = Workflow("nested")


@nested.task
async def below(ctx: Context) -> Any:
    return await ctx.run(asking, {})


@tool(name="world.upper")
def upper(text: str) -> str:
    """In capitals."""
    return text.upper()


# --- the server -------------------------------------------------------------------------------------------------


@dataclass
class World:
    """The server, and what is needed to ask it as somebody."""

    url: str
    engine: Engine
    log: CountingLog
    session: aiohttp.ClientSession
    guard: Guard
    credentials: dict[str, list[dict[str, str]]]
    """By who: headers that say so, one for each kind of credential."""
    made: int = 0
    codes: set[str] = field(default_factory=set[str])

    # --- targets ---

    async def target(self, kind: str, tenant: str = MINE) -> str:
        """The id of a new run of the tenant, which waits or has ended."""
        self.made += 1
        run_id = f"run-{self.made:04}"
        if kind in ("", "new", "no schedule"):
            return run_id
        if kind == "schedule":
            return (await self.engine.schedule("small", "0 7 29 2 *", name=run_id, tenant=tenant)).name
        of = self.engine.tenant(tenant)
        if kind == "session":
            return (await of.session(run_id)).id
        run = await of.start(asking, {}, run_id=run_id, meta={"chat": run_id} if kind == "chat" else None)
        await self.asked(run)
        if kind == "ended":
            await run.send("ask", 7)
            await run.ended()
        elif kind == "paused":
            await run.pause()
        return run_id

    async def asked(self, run: Run) -> None:
        """Waits until the run asks."""
        async for event in run:
            if event.type == "task.waiting":
                return

    async def settle(self) -> None:
        """Waits for the end of all runs that wait for nobody."""
        for tenant in ("", MINE, THEIRS):
            for run in self.engine.running(tenant=tenant):
                if run.state.workflow in ("small", "plan"):
                    await run.ended()

    # --- asking ---

    def path(self, ask: Ask, run_id: str) -> str:
        names = {
            "name": "small",
            "file": "reactor.js",
            "code": "key-expired",
            "task": "ask",
            "id": run_id,
            "schedule": run_id,
            "asset": "app.js",
        }
        return ("" if ask.path.startswith("/own") else API) + ask.path.format(**names)

    async def ask(
        self, ask: Ask, run_id: str, headers: Mapping[str, str] = {}, query: str = "", method: str = ""
    ) -> tuple[str, bytes]:
        """The status and code that a request is answered, and the body where that is a problem document."""
        given = query if not ask.query else f"{ask.query}&{query.removeprefix('?')}".rstrip("&")
        options: dict[str, Any] = {} if ask.body is None else {"json": ask.body(run_id)}
        url = self.url + self.path(ask, run_id) + given
        async with asyncio.timeout(20), self.session.request(
            method or ask.method, url, headers={**ask.headers, **headers}, **options
        ) as response:  # fmt: skip
            body = b""
            if response.content_type == "application/problem+json":
                body = await response.read()
            elif response.status != 101 and "event-stream" not in response.content_type:
                await response.read()
            code = json.loads(body).get("code", "") if body else ""
            response.close()
        return f"{response.status} {code}".strip(), body

    async def ticket(self, run_id: str, tenant: str = "all") -> str:
        """A ticket for a run, or for the stream of all."""
        body: dict[str, Any] = {"run_id": run_id} if run_id else {"filter": {}}
        headers = self.credentials[tenant][0]
        async with self.session.post(f"{self.url}{API}/stream-tickets", json=body, headers=headers) as response:
            assert response.status == 201, await response.text()
            return str((await response.json())["ticket"])

    async def state(self) -> Any:
        """What a refused request must not change."""
        changes = {name: self.log.calls[name] for name in CHANGES}
        return await self.log.dump(), changes, self.engine.open_runs, len(self.guard.tickets)  # type: ignore[arg-type]


def _key(store: list[KeyRecord], name: str, **members: Any) -> NewKey:
    made = make_key()
    given: dict[str, Any] = {"scopes": frozenset(SCOPES), "tenant": MINE, "expires": None, **members}
    store.append(KeyRecord(id=made.id, digest=made.digest, name=name, **given))
    return made


def _token(secret: str = issuer.SECRET, **claims: Any) -> str:
    named = {"sub": "ann", "aud": issuer.AUDIENCE, "exp": time.time() + 3_600, "scope": " ".join(SCOPES), "org": MINE}
    named |= {"runs": ["*"], "workflows": ["*"]}
    return issuer.token({**named, **claims}, key=secret)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _credentials(store: list[KeyRecord]) -> dict[str, list[dict[str, str]]]:
    """Each by its key, by a JWT, and by what the host says."""
    found: dict[str, list[dict[str, str]]] = {}
    for name, members in PEOPLE.items():
        claims: dict[str, Any] = {}
        for member, value in members.items():
            claims |= {"org": value} if member == "tenant" else {}
            claims |= {"scope": " ".join(value)} if member == "scopes" else {}
            claims |= {member: list(value)} if member in ("runs", "workflows") else {}
        found[name] = [_bearer(_key(store, name, **members).token), _bearer(_token(**claims)), {HOST: name}]
    del found["every tenant"][1]  # of a JWT only the host can say that
    known, expired = _key(store, "known"), _key(store, "expired", expires="2020-01-01T00:00:00Z")
    revoked = _key(store, "revoked", revoked=True)
    other = make_key()
    return {
        "none": [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}],
        "wrong": [
            _bearer(other.token),
            _bearer(f"rk_{known.id}_{other.token.rpartition('_')[2]}"),
            _bearer(_token("another-secret-that-is-long-enough-for-hmac-with-sha-256-and-512")),
            _bearer("opaque"),
            {HOST: "nobody"},
        ],
        "expired": [_bearer(expired.token), _bearer(_token(exp=time.time() - 3_600))],
        "revoked": [_bearer(revoked.token)],
        **found,
    }


def own_routes(app: web.Application, engine: Engine) -> None:
    """One of each kind."""
    reactor_web.add_stream(app, "/own/{id}/stream", engine)
    reactor_web.add_stream(app, "/own/{id}/started", engine, start=lambda request: reactor_web.Start("small"))
    reactor_web.add_start(app, "/own/start", engine, lambda request, body: reactor_web.Start("small"))
    reactor_web.add_start(
        app, "/own/created", engine, lambda request, body: reactor_web.Start("small"), answer="created"
    )
    reactor_web.add_state(app, "/own/{id}/state", engine)
    reactor_web.add_chat(app, "/own/chat", engine, lambda request, body: reactor_web.Start("small"))
    reactor_web.add_agent(app, "/own/agent", engine, asking)
    add_dashboard(app, engine, "/own/pages", API)


@asynccontextmanager
async def world(allowed_hosts: Sequence[str] = ()) -> AsyncGenerator[World]:
    """The server, while it runs."""
    log = CountingLog()
    engine = Engine(log, grace=0.0, tools=[upper])
    store: list[KeyRecord] = []
    credentials = _credentials(store)
    guard = Guard(
        keys=MemoryKeys(store),
        jwt=JwtSettings(
            audience=issuer.AUDIENCE, key=issuer.SECRET, algorithms=["HS256"],
            tenant_claim="org", runs_claim="runs", workflows_claim="workflows",
        ),
        authorize=lambda request: principal(request.headers[HOST]) if request.headers.get(HOST) in PEOPLE else None,
        caps=Caps(connects_per_second=None, starts_per_second_per_principal=None, emits_per_second=None),
    )  # fmt: skip
    app = web.Application(middlewares=[reactor_web.problems])
    reactor_web.mount(app, engine, [small_workflow(), asking, nested], guard=guard, allowed_hosts=allowed_hosts)
    own_routes(app, engine)
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server(shutdown_timeout=CLOSE_SECONDS)
    async with TestClient(listening) as client:
        yield World(str(client.make_url("")).rstrip("/"), engine, log, client.session, guard, credentials)
