"""A server that asks who asks: with keys in memory, JWTs of a test's own secret, and a guard that a test can reach."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from reactor import Engine, Workflow
from reactor.ports import KeyRecord, KeyStore
from reactor_web.app import create_app
from reactor_web.guard.guard import Guard
from reactor_web.guard.key_file import KeyFile
from reactor_web.guard.keys import MemoryKeys, make_key
from reactor_web.guard.tokens import JwtSettings
from tests.helpers.issuer import AUDIENCE, SECRET
from tests.helpers.server import CLOSE_SECONDS, Gates, Server, gated_workflow, small_workflow

ALL = ("read", "run", "control", "admin")


class Guarded(Server):
    """The server under test. ``headers`` are those of a key that may do everything."""

    guard: Guard
    keys: KeyStore
    key_id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def principal(self) -> str:
        return f"key:{self.key_id}"

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    async def add_key(self, *scopes: str, **fields: Any) -> tuple[str, str]:
        """(the id of a new key, the key)."""
        key, fields = make_key(), {"tenant": "", "expires": None, **fields}
        await self.keys.add(KeyRecord(key.id, key.digest, "a key", frozenset(scopes), **fields))
        return key.id, key.token

    async def run(self, workflow: str, run_id: str, input: dict[str, Any] | None = None) -> None:
        body = {"workflow": workflow, "input": input or {}}
        status, answer = await self.put(f"/runs/{run_id}", body, **self.headers)
        assert status == 201, answer

    async def ticket(self, token: str | None = None, **body: Any) -> str:
        headers = self.headers if token is None else {"Authorization": f"Bearer {token}"}
        status, answer = await self.post("/stream-tickets", body, **headers)
        assert status == 201, answer
        return str(answer["ticket"])

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str | None]:
        """(status, code of the problem document)."""
        async with self.session.request(method, self.url + path, headers=headers) as response:
            if "problem" not in response.content_type or method == "HEAD":
                return response.status, None
            return response.status, (await response.json(content_type=None)).get("code")


@asynccontextmanager
async def guarded(
    *flows: Workflow,
    engine: Engine | None = None,
    own: Callable[[web.Application, Engine], None] | None = None,
    file: Path | None = None,
    **options: Any,
) -> AsyncGenerator[Guarded]:
    """``own``: adds routes of one's own. ``file``: where its keys are. ``options``: those of ``Guard``.

    The server has the gated workflow and the small one besides ``flows``.
    """
    keys = MemoryKeys() if file is None else KeyFile(file, options["clock"])
    gates = Gates()
    options.setdefault("jwt", JwtSettings(audience=AUDIENCE, key=SECRET))
    guard = Guard(keys=keys, **options)
    engine = engine or Engine("memory://", grace=0.0)
    app = create_app(engine, [*flows, gated_workflow(gates), small_workflow()], guard=guard)
    if own is not None:
        own(app, engine)
    listening = TestServer(app, host="127.0.0.1")
    if file is not None:
        await keys.add(KeyRecord("first", bytes(32), "so that there is a file", frozenset(["read"]), "", None))
    await listening.start_server(shutdown_timeout=CLOSE_SECONDS)
    async with TestClient(listening) as client:
        server = Guarded.of(client, engine, app)
        assert isinstance(server, Guarded)
        server.guard, server.keys, server.gates = guard, keys, gates
        server.key_id, server.token = await server.add_key(*ALL)
        yield server
        gates.open()
