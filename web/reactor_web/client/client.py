"""``Client``: the engine of a server, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from reactor.definition.workflow import Workflow
from reactor.errors import UnknownRun
from reactor.requests import make_run_id
from reactor_web.client.asking import Asking, RequestRefused, Token
from reactor_web.client.run import RemoteRun

PREFIX = "/api/v1"


class Client:
    """Starts, finds and controls runs of a server; ``async with Client("http://localhost:8080") as client``.

    - ``url``: of the server, whose routes stand under ``/api/v1``, or with the prefix under which they are mounted.
    - ``token``: sent as ``Authorization: Bearer``; a function, also an ``async`` one, is asked anew after a 401.
    - ``headers``: sent with every request. ``session``: an aiohttp session of your own, which stays open.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        base = url.rstrip("/")
        self.url = base if urlsplit(base).path else base + PREFIX
        self._token = token
        self._headers = headers
        self._session = session
        self._owns = session is None
        self._asking: Asking | None = None

    async def __aenter__(self) -> Client:
        if self._session is None:
            # aiohttp's own bound is 100 connections: as many streams would hold up all commands
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(headers=self._headers, connector=connector)
        self._asking = Asking(self.url, self._session, self._token)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections, unless the session is yours."""
        self._asking = None
        if self._owns and self._session is not None:
            await self._session.close()
            self._session = None

    async def start(
        self,
        workflow: Workflow | str,
        input: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        budget: Mapping[str, Any] | None = None,
    ) -> RemoteRun:
        """Starts a run; returns once its ``run.started`` is in the log of the server.

        It makes the id itself, so a request whose answer was lost is sent again and starts nothing twice.
        """
        name = workflow if isinstance(workflow, str) else workflow.name
        body = {"workflow": name, "input": dict(input or {}), "meta": meta, "budget": budget}
        return await self._put(run_id, body)

    async def start_plan(
        self,
        tasks: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        run_id: str | None = None,
        meta: Mapping[str, Any] | None = None,
        budget: Mapping[str, Any] | None = None,
    ) -> RemoteRun:
        """Starts a run of a plan: tasks as data, over the tools of the server."""
        run_id = run_id or make_run_id()
        body = {"tasks": list(tasks), "name": name, "run_id": run_id, "meta": meta, "budget": budget}
        await self._ask("POST", "/runs", {key: value for key, value in body.items() if value is not None})
        return self.run(run_id)

    async def session(
        self,
        run_id: str | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        budget: Mapping[str, Any] | None = None,
        idle: float | None = None,
    ) -> RemoteRun:
        """Opens a session: a run whose events come from outside (``emit``, ``close``)."""
        return await self._put(run_id, {"session": True, "meta": meta, "budget": budget, "idle": idle})

    def run(self, run_id: str) -> RemoteRun:
        """The handle of a run; asks nothing."""
        return RemoteRun(self._open(), run_id)

    async def get(self, run_id: str) -> RemoteRun:
        """The handle of a run that exists, with its state; raises UnknownRun."""
        run = self.run(run_id)
        try:
            await run.refresh()
        except RequestRefused as refused:
            if refused.status == 404:
                raise UnknownRun.of(run_id) from refused
            raise
        return run

    async def list(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        parent: str | None = None,
        root: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """One page, newest first: ``{runs, cursor}``; the cursor asks for the next page and is None at the end."""
        query = {
            "status": status, "workflow": workflow, "parent": parent, "root": root, "limit": limit, "cursor": cursor,
        }  # fmt: skip
        return await self._open().ask("GET", "/runs", query=query)

    async def workflows(self) -> Any:
        """The definitions of all workflows."""
        return await self._ask("GET", "/workflows")

    async def _put(self, run_id: str | None, body: dict[str, Any]) -> RemoteRun:
        run_id = run_id or make_run_id()
        given = {name: value for name, value in body.items() if value is not None}
        await self._ask("PUT", f"/runs/{quote(run_id, safe='')}", given)
        return self.run(run_id)

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return await self._open().ask(method, path, body)

    def _open(self) -> Asking:
        if self._asking is None:
            raise RuntimeError("the client is not open: async with Client(…) as client")
        return self._asking
