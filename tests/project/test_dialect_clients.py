"""The clients that docs/dialects.md shows do what it says: each runs in Node, against the routes of its section."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import reactor_web
from reactor import Context, Engine, Workflow
from reactor_web import Start
from tests.helpers.node import find_newest_node
from tests.helpers.paths import ROOT
from tests.node.install import is_installed

PAGE = (ROOT / "docs" / "dialects.md").read_text()
SECTIONS = {match[1]: match[2] for match in re.finditer(r"^## `([a-z-]+)`\n(.*?)(?=^## )", PAGE, re.M | re.S)}
ROUTE = re.compile(r"`(add_\w+\(app, .*?\))`", re.DOTALL)
"""A route that a section names in its text."""
SECONDS = 60

PROLOGUE = """\
import { EventSource as Source } from "eventsource";
const [base, variables] = [%s, %s];
Object.assign(globalThis, variables);
const at = (url) => new URL(url, base);
globalThis.EventSource = class extends Source { constructor(url, init) { super(at(url), init); } };
const asked = fetch;
globalThis.fetch = (url, init) => asked(at(url), init);
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {}, getElementById: () => ({}) };
globalThis.window = { fetch, setTimeout, clearTimeout };
const { fetchEventSource } = await import("@microsoft/fetch-event-source");
"""
"""What a page has, and Node does not. The first line must be an import."""

SHOWN: Mapping[str, tuple[str, ...]] = {
    "native": ("say hello", "completed"),
    "execution": ("started say", "say success hello", "1 of 1 in "),
    "agents": ("'writer'", "'completed'"),
    "steps": ("say: Started step 1 of 1", "say: Completed step 1 of 1", "Result: hello"),
    "domain": ("model small null", "WorkflowCompleted { say: 'hello' }"),
    "timeline": ("IN_PROGRESS  ", "SUCCESS writer", "{ say: 'hello' }"),
    "ag-ui": ("A poem about whales.", "{ publish: true }"),
    "ai-sdk": ("text: 'Hello from Reactor'", "state: 'done'"),
}


def code_of(section: str, language: str) -> str:
    """The first block of a section in this language."""
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def application(section: str) -> tuple[web.Application, Engine | None]:
    """What the section shows in Python; where it only names its routes, these and those of ``mount``."""
    if "app = web.Application()" in section and "asyncio.run" not in section:
        names: dict[str, Any] = {"__name__": "shown"}
        exec(code_of(section, "python"), names)
        return names["app"], None
    flow = Workflow("demo")

    @flow.task(meta={"agentName": "writer"})
    async def say(ctx: Context, query: str = "hi") -> str:
        async with ctx.llm_call("small"):
            return "hello"

    def begin(request: web.Request, body: Any) -> Start:
        return Start(flow, {"query": body["query"]}, run_id=body["session_id"])

    engine, app = Engine("memory://", workflows=[flow]), web.Application()
    routes = ['add_stream(app, "/execute/{id}", engine, dialect="execution")'] if "/execute/{id}" in section else []
    known = {name: getattr(reactor_web, name) for name in reactor_web.__all__}
    for route in [*routes, *ROUTE.findall(section)]:
        eval(route, {**known, "app": app, "engine": engine, "begin": begin})
    reactor_web.mount(app, engine)
    return app, engine


@pytest.mark.parametrize("name", SHOWN)
async def test_the_client_of_a_dialect_shows_a_run(name: str, tmp_path: Path) -> None:
    """It prints what happened, and ends by itself."""
    if not is_installed():
        pytest.skip("needs the packages of tests/node: python -m tests.node.install")
    app, engine = application(SECTIONS[name])
    (tmp_path / "node_modules").symlink_to(ROOT / "tests" / "node" / "node_modules")
    async with TestServer(app) as server:
        if engine is not None:
            await (await engine.start("demo", run_id="w-1"))
        base = str(server.make_url("/"))
        client = re.sub(r"http://127\.0\.0\.1:[0-9]+/", base, code_of(SECTIONS[name], "js"))
        variables = json.dumps({"id": "w-1", "agent": "writer", "task": "w-1"})
        page = tmp_path / "page.mjs"
        page.write_text(PROLOGUE % (json.dumps(base), variables) + client)
        command = [find_newest_node(), str(page)]
        printed = await printed_by(command)
    for line in SHOWN[name]:
        assert line in printed, printed


async def printed_by(command: list[str]) -> str:
    """What a command prints; fails where it does not end, or ends with an error."""
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_dialect_that_a_browser_reads_has_a_client() -> None:
    """``cloudevents`` has one in Python, which ``test_docs`` runs."""
    assert set(SHOWN) | {"cloudevents"} == set(SECTIONS)
