"""A site with pages in React that use the hooks of the client, and what drives them: in Chromium and in Node."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import reactor_web
from reactor import Context, Engine, Workflow
from reactor_web import add_state, add_stream
from tests.helpers.chromium import find_chromium
from tests.helpers.newsroom import newsroom
from tests.helpers.node import node_script
from tests.helpers.paths import ROOT
from tests.helpers.runs import PATIENCE
from tests.helpers.server import API, CLOSE_SECONDS, Gates, Server, gated_workflow, small_workflow

NODE = ROOT / "tests/node"

Json = Any


# --- the server -------------------------------------------------------------------------------------------------


class Meddling:
    """Refuses requests for streams, holds them back, and cuts streams."""

    def __init__(self) -> None:
        self.refuses = 0
        """The status that they are answered with; 0: they are not refused."""
        self.asked: list[str] = []
        """What streams were asked for, with their queries."""
        self.others: list[str] = []
        """All other requests."""
        self.held: asyncio.Event | None = None
        """They wait for it."""
        self._transports: list[asyncio.BaseTransport] = []

    @property
    def meddle(self) -> Any:
        @web.middleware
        async def meddle(request: web.Request, handler: Any) -> web.StreamResponse:
            if "text/event-stream" not in request.headers.get("Accept", ""):
                self.others.append(f"{request.method} {request.path_qs}")
                return await handler(request)
            self.asked.append(request.path_qs)
            if self.refuses:
                return web.json_response({"detail": "not now"}, status=self.refuses)
            if self.held is not None:
                await self.held.wait()
            assert request.transport is not None
            self._transports.append(request.transport)
            return await handler(request)

        return meddle

    def cut(self) -> None:
        """Breaks all connections that carry a stream."""
        for transport in self._transports:
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        self._transports.clear()


@dataclass
class Site:
    """A server with the pages, and what happens to its streams."""

    server: Server
    gates: Gates
    streams: Meddling

    @property
    def url(self) -> str:
        """Of the API."""
        return self.server.url

    @property
    def base(self) -> str:
        return self.url.removesuffix(API)

    @property
    def open_streams(self) -> int:
        return len(self.server.streams)


def chatty_workflow(gates: Gates) -> Workflow:
    """``write`` says two words, asks whether to go on, and is done; ``burst`` emits 3,000 events behind its gate."""
    flow = Workflow("chatty")

    @flow.task
    async def write(ctx: Context) -> str:
        await ctx.chunk("once ")
        await ctx.chunk("upon")
        go_on = await ctx.receive("go on?", schema=bool, key="go")
        await ctx.log.info("was answered", go_on=go_on)
        return "a" * 40_000

    @flow.task
    async def burst(ctx: Context) -> int:
        await gates["burst"].wait()
        for number in range(3_000):
            await ctx.emit("tick", {"number": number})
            if number % 10 == 0:
                await ctx.log.info(f"line {number}")
        return number

    return flow


@asynccontextmanager
async def react_site() -> AsyncGenerator[Site]:
    """The site, listening. Its workflows are gated, small, newsroom and chatty."""
    gates, engine = Gates(), Engine("memory://", grace=0.0)
    app = reactor_web.create_app(
        engine, [gated_workflow(gates), small_workflow(), newsroom(gates), chatty_workflow(gates)]
    )
    add_stream(app, "/api/workflows/{id}/stream", engine, dialect="agents", await_run=60)
    add_state(app, "/api/workflows/{id}", engine, dialect="agents")
    app.router.add_get("/page/{file:.*}", page_file)
    meddling = Meddling()
    app.middlewares.append(meddling.meddle)
    listening = TestServer(app, host="127.0.0.1")
    await listening.start_server(shutdown_timeout=CLOSE_SECONDS)
    async with TestClient(listening) as client:
        yield Site(Server.of(client, engine, app), gates, meddling)


# --- the page ---------------------------------------------------------------------------------------------------

_REACT = {
    "19": {
        "react": "react/cjs/react.development.js",
        "react/jsx-runtime": "react/cjs/react-jsx-runtime.development.js",
        "react-dom": "react-dom/cjs/react-dom.development.js",
        "react-dom/client": "react-dom/cjs/react-dom-client.development.js",
        "scheduler": "scheduler/cjs/scheduler.development.js",
    },
    "18": {
        "react": "react18/cjs/react.development.js",
        "react/jsx-runtime": "react18/cjs/react-jsx-runtime.development.js",
        "react-dom": "react-dom18/cjs/react-dom.development.js",
        "react-dom/client": "react-dom18/client.js",
        "scheduler": "react-dom18/node_modules/scheduler/cjs/scheduler.development.js",
    },
}  # fmt: skip

_PAGE = """<!doctype html><meta charset="utf-8"><title>page</title>
<script type="importmap">{"imports": {"react": "/page/react.mjs?%(version)s"}}</script>
<div id="root"></div>
<script type="module">
  import * as React from "react";
  import { require } from "/page/commonjs.mjs?%(version)s";
  import * as hooks from "/api/v1/client/react.js";
  import { counted, createPage } from "/page/react_page.mjs";
  const { createRoot, hydrateRoot } = require("react-dom/client");
  const place = document.getElementById("root");
  let frames = 0;
  const frame = window.requestAnimationFrame.bind(window);
  frame(function count() {
    frames += 1;
    frame(count);
  });
  const host = {
    create: () => createRoot(place),
    hydrate: (html, element) => {
      place.innerHTML = html;
      return hydrateRoot(place, element);
    },
    turn: () => new Promise((resolve) => setTimeout(resolve)),
  };
  const left = counted(window);
  const text = () => place.textContent;
  window.page = Object.assign(createPage(React, hooks, host), { left, text, frames: () => frames });
</script>
"""


@cache
def _commonjs(version: str) -> str:
    """The modules of React, which are CommonJS, as one ES module that exports their ``require``."""
    texts = {name: (NODE / "node_modules" / path).read_text() for name, path in _REACT[version].items()}
    modules = [f'"{name}": (module, exports, require, process) => {{\n{text}\n}}' for name, text in texts.items()]
    return (
        f"const modules = {{{','.join(modules)}}};\nconst made = {{}};\n"
        "export function require(name) {\n"
        "  if (made[name]) return made[name].exports;\n"
        "  const module = (made[name] = { exports: {} });\n"
        '  modules[name](module, module.exports, require, { env: { NODE_ENV: "development" } });\n'
        "  return module.exports;\n}\n"
    )


_NAMES = (
    "Fragment StrictMode createElement memo useCallback useEffect useInsertionEffect useMemo useRef useState "
    "useSyncExternalStore"
)


async def page_file(request: web.Request) -> web.Response:
    """The page of a version of React (``/page/19``), and its modules."""
    name, version = request.match_info["file"], request.query_string
    if name in _REACT:
        return web.Response(text=_PAGE % {"version": name}, content_type="text/html")
    if name == "commonjs.mjs":
        text = _commonjs(version)
    elif name == "react.mjs":
        text = f'import {{ require }} from "./commonjs.mjs?{version}";\n'
        text += f'export const {{ {", ".join(_NAMES.split())} }} = require("react");\n'
    elif name == "jsx.mjs":
        text = f'import {{ require }} from "./commonjs.mjs?{version}";\n'
        text += 'export const { Fragment, jsx, jsxs } = require("react/jsx-runtime");\n'
    else:
        text = (NODE / "react_page.mjs").read_text()
    return web.Response(text=text, content_type="text/javascript")


class Page:
    """A page that is driven by calls of its functions (``react_page.mjs``)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def ask(self, **message: Json) -> Json:
        """What it answers; raises what went wrong there."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._lock, asyncio.timeout(PATIENCE):
            stdin.write(json.dumps(message).encode() + b"\n")
            answer = await stdout.readline()
        assert answer, "the page has ended"
        found = json.loads(answer)
        if isinstance(found, dict) and "failed" in found:
            raise AssertionError(found["failed"])
        return found

    async def call(self, name: str, *args: Json) -> Json:
        return await self.ask(call=name, args=args)

    async def open(self, url: str) -> None:
        """A page anew, which shows nothing yet."""
        await self.ask(open=url)

    async def until(self, name: str, test: str) -> Json:
        """What the component shows once this expression over ``shown`` and ``heard`` is true."""
        return await self.call("until", name, test)

    async def run(self, code: str) -> Json:
        """The value of this expression over ``shows``, ``heard`` and ``renders``, by the names of components."""
        return await self.call("run", code)

    async def check_clean(self) -> None:
        """Nothing of the client is left in the page, and React has not complained."""
        assert await self.call("left") == {"timers": 0, "listeners": []}
        assert await self.call("complaints") == []


@asynccontextmanager
async def driven(*command: str) -> AsyncGenerator[Page]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 24)
    try:
        yield Page(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


def in_chromium() -> list[str]:
    """The command of pages in a browser."""
    return [*node_script("react_browser.mjs"), find_chromium()]


def in_node() -> list[str]:
    """The command of pages in Node, without a browser."""
    node, *script = node_script("react_node.mjs", newest=True)
    return [node, "--expose-gc", *script]


def component(name: str, hook: str, *args: Json) -> dict[str, Json]:
    return {"name": name, "hook": hook, "args": args}
