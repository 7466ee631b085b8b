"""A server with the dashboard and workflows that wait for the test, and what a person does in a tab of it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import BaseModel, Field

from reactor import Context, Engine, Retry, Run, Workflow
from reactor_web import Guard, create_app
from tests.helpers.server import API, CLOSE_SECONDS, Gates
from tests.helpers.tabs import Browser, Tab

_NUMBERS = itertools.count(1)
EVIL = "<img src=x onerror=window.pwned=1>"
"""What a page that makes HTML of data would run."""


class Review(BaseModel):
    """An answer that is a form of several fields."""

    publish: bool
    rating: int = Field(default=3, ge=1, le=5)
    channel: Literal["web", "print"] = "web"


def workflows(gates: Gates) -> list[Workflow]:
    """``steps``: behind its gate, mapped, one that is tried twice; ``asks``; ``fails``; ``evil``."""
    steps, asks, fails, evil = Workflow("steps"), Workflow("asks"), Workflow("fails"), Workflow("evil")

    @steps.task
    async def begin(ctx: Context, count: int = 3) -> list[int]:
        await ctx.log.info("it begins", count=count)
        await ctx.chunk("once upon ")
        await gates["begin"].wait()
        await ctx.chunk("a time")
        return list(range(count))

    @steps.task(map="begin", retry=Retry(attempts=2, delay=0.01))
    async def measure(begin: int, ctx: Context) -> int:
        await ctx.spend(cost=0.5, tokens=10)
        if begin == 1 and ctx.attempt == 1:
            raise ConnectionError("the line broke")
        return begin

    @steps.task
    async def total(measure: list[int]) -> int:
        await gates["total"].wait()
        return sum(measure)

    @asks.task
    async def approve(ctx: Context) -> dict[str, Any]:
        answer = await ctx.receive("Publish it?", schema=Review)
        return answer.model_dump()

    @fails.task
    async def load() -> int:
        return 3

    @fails.task
    async def broken(load: int) -> int:
        if not gates["mended"].is_set():
            raise ValueError(f"{load} rows are not numbers")
        return load

    @evil.task
    async def speak(ctx: Context) -> dict[str, Any]:
        await ctx.log.error(f"{EVIL} javascript:alert(1) https://example.org/a?b=1 \x1b[31mred\x1b[0m", field=EVIL)
        await ctx.progress(0.5, EVIL)
        await ctx.chunk(EVIL)
        await ctx.receive(EVIL, schema={"type": "string", "title": EVIL, "description": EVIL})
        return {EVIL: EVIL}

    return [steps, asks, fails, evil]


class Page(Tab):
    """A tab with the dashboard."""

    async def text(self, selector: str) -> str:
        return await self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    async def texts(self, selector: str) -> list[str]:
        return await self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.innerText)")

    async def until_text(self, selector: str, text: str) -> None:
        """Waits until an element has this text in it."""
        found = f"[...document.querySelectorAll({json.dumps(selector)})]"
        try:
            await self.until(f"{found}.some((one) => one.innerText.includes({json.dumps(text)}))")
        except TimeoutError:
            seen = await self.run("location.hash + ' ' + document.body.innerText.slice(0, 600)")
            raise AssertionError(f"{selector} has no {text!r}; the page is {seen!r}") from None

    async def act(self, method: str, *args: Any) -> None:
        """As a person does: ``click``, ``fill``, ``press`` …"""
        await self._browser.do("act", tab=self._name, method=method, args=args)

    async def click(self, selector: str) -> None:
        await self.act("click", selector)

    async def go(self, place: str) -> None:
        await self.run(f"location.hash = {json.dumps(place)}")

    async def errors(self) -> list[str]:
        """What the page wrote to its console as an error, such as what its policy has refused."""
        return await self._browser.do("errors", tab=self._name)

    async def requests(self) -> list[str]:
        return await self._browser.do("requests", tab=self._name)


@dataclass
class Site:
    """The server, and its browser."""

    url: str
    engine: Engine
    gates: Gates
    browser: Browser
    contexts: list[str] = field(default_factory=list[str])

    @property
    def api(self) -> str:
        return f"{self.url}{API}"

    async def start(self, workflow: str, run_id: str, **given: Any) -> Run:
        return await self.engine.start(workflow, given, run_id=run_id)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def open(self, place: str = "#/runs", *, port: int | None = None) -> Page:
        """A tab in a browser of its own; ``port``: that of a wire to the server."""
        name = f"dashboard-{next(_NUMBERS)}"
        self.contexts.append(name)
        url = f"http://127.0.0.1:{port or self.port}/{place}"
        await self.browser.do("open", tab=name, context=name, url=url)
        page = Page(self.browser, name)
        await page.until("document.querySelector('main')?.children.length")
        return page


@asynccontextmanager
async def dashboard_site(
    browser: Browser, *, guard: Guard | None = None, more: Sequence[Workflow] = (), dashboard: bool | str = True
) -> AsyncGenerator[Site]:
    gates, engine = Gates(), Engine("memory://", grace=0.0)
    app: web.Application = create_app(engine, [*workflows(gates), *more], guard=guard, dashboard=dashboard)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=CLOSE_SECONDS)
    site = Site(str(server.make_url("")).rstrip("/"), engine, gates, browser)
    try:
        yield site
    finally:
        gates.open()
        try:
            for context in dict.fromkeys(site.contexts):
                await browser.do("end", context=context)
        finally:
            await server.close()


async def asked(run: Run) -> None:
    """Waits until the run asks."""
    async with asyncio.timeout(20):
        async for event in run:
            if event.type == "task.waiting":
                return
