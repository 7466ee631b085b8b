"""HTML, JSX, Node and curl of ``docs/clients.md`` run as they stand there, against a server with its workflow."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from reactor import Context, Engine, Workflow
from reactor_web import create_app
from reactor_web.routes.client import client_files
from tests.helpers.command import reactor
from tests.helpers.node import find_node, node_script
from tests.helpers.paths import ROOT
from tests.helpers.react_site import page_file
from tests.helpers.tabs import Browser, Tab
from tests.web.javascript.modules import loaded

DOCUMENT = (ROOT / "docs/clients.md").read_text()
PACKAGE = ROOT / "web/reactor_web/javascript"
SECONDS = 60
PAGE = """<!doctype html><meta charset="utf-8"><div id="root"></div>
<script type="importmap">{"imports": {
  "react": "/page/react.mjs?19", "react/jsx-runtime": "/page/jsx.mjs?19",
  "reactor-client/react": "/api/v1/client/react.js"
}}</script>
<script type="module">
  import { createElement } from "react";
  import { require } from "/page/commonjs.mjs?19";
  import { Run } from "/snippet.js";
  const { createRoot } = require("react-dom/client");
  createRoot(document.getElementById("root")).render(createElement(Run, { id: "r1" }));
</script>
"""


def block(language: str, section: str) -> str:
    """The block in this language in a section: there is one."""
    text = DOCUMENT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


def commands(section: str) -> list[str]:
    """The commands of all console blocks of a section."""
    text = DOCUMENT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.*)$", text, re.MULTILINE)


class Site(NamedTuple):
    base: str
    engine: Engine
    files: dict[str, tuple[str, str]]
    """What is served besides, by path: the media type and the text."""

    @property
    def place(self) -> str:
        return self.base.removeprefix("http://")


def workflows() -> list[Workflow]:
    """``hello`` is that of the document."""
    names: dict[str, Workflow] = {}
    code = DOCUMENT.partition("\n## Python\n")[2].partition("```python\n")[2].partition("async def main")[0]
    exec(code, names)
    asking = Workflow("asking")

    @asking.task
    async def ask(ctx: Context) -> bool:
        return await ctx.receive("Shall I go on?", schema=bool, key="go")

    @asking.task
    async def wait(ask: bool) -> None:
        await asyncio.sleep(3600)

    return [names["flow"], asking]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    files: dict[str, tuple[str, str]] = {}

    async def file(request: web.Request) -> web.Response:
        kind, text = files.get(request.path, ("text/plain", ""))  # an icon, too
        return web.Response(content_type=kind, text=text)

    engine = Engine("memory://", grace=0)
    app = create_app(engine, workflows())
    app.router.add_get("/page/{file:.*}", page_file)
    app.router.add_get("/{file}", file)
    async with TestServer(app, host="127.0.0.1") as server:
        yield Site(str(server.make_url("")).rstrip("/"), engine, files)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


async def opened(browser: Browser, url: str) -> Tab:
    await browser.do("open", tab=url, context="docs", url=url)
    return Tab(browser, url)


async def printed_by(*command: str, given: str = "") -> str:
    done = await asyncio.to_thread(
        subprocess.run, command, input=given, capture_output=True, text=True, timeout=SECONDS,
        env={name: value for name, value in os.environ.items() if name != "TOKEN"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_the_page_follows_a_run_to_its_end(site: Site, browser: Browser) -> None:
    """As it stands in a file; its title is the status."""
    site.files["/page.html"] = "text/html", block("html", "A page")
    tab = await opened(browser, f"{site.base}/page.html")
    await tab.until("document.title === 'ended'")
    shown = await tab.run("JSON.parse(document.querySelector('#out').textContent)")
    assert shown["say"]["status"] == "completed"
    assert await browser.do("errors", tab=tab._name) == []


async def test_the_component_shows_a_run_and_answers_and_stops_it(site: Site, browser: Browser) -> None:
    """Compiled as a bundler would; in a page, a click answers the question and another one stops the run."""
    compiled = await printed_by(*node_script("jsx.mjs"), given=block("jsx", "React"))
    site.files["/snippet.js"] = "text/javascript", compiled
    site.files["/react.html"] = "text/html", PAGE
    await site.engine.start("asking", run_id="r1")
    tab = await opened(browser, f"{site.base}/react.html")
    await tab.until("document.querySelector('h1')?.textContent === 'running live'")
    await tab.until("document.querySelector('p')?.textContent === 'ask: waiting'")
    assert await tab.run("document.querySelector('button').textContent") == "Shall I go on?"
    await tab.run("document.querySelector('button').click()")
    await tab.until("document.querySelectorAll('p')[1]?.textContent === 'wait: running'")
    assert await tab.run("[...document.querySelectorAll('button')].map((one) => one.textContent)") == ["Stop"]
    await tab.run("document.querySelector('button').click()")
    await tab.until("document.querySelector('h1').textContent.trim() === 'cancelled'")


async def test_the_script_runs_in_node_and_prints_what_stands_below_it(site: Site, tmp_path: Path) -> None:
    """With the package under its name, as npm would install it."""
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/reactor-client").symlink_to(PACKAGE)
    script = tmp_path / "script.mjs"
    script.write_text(block("js", "Node").replace("http://localhost:8080", site.base))
    assert await printed_by(find_node(), str(script)) == block("text", "Node")


async def test_curl_starts_shows_and_goes_on(site: Site) -> None:
    """Each command ends by itself; the third one shows what is behind event 2; ``reactor watch`` shows the end."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl, which is not here")
    *curls, watch = commands("curl")
    seqs: list[list[int]] = []
    for command in curls:
        program, *given = shlex.split(command.replace("localhost:8080", site.place))
        assert program == "curl"
        printed = await printed_by("curl", "-sSf", "--max-time", "30", *given)
        seqs.append([int(seq) for seq in re.findall(r"^id: (\d+)$", printed, re.MULTILINE)])
    assert [sorted(set(each)) for each in seqs] == [[], [1, 2, 3, 4], [3, 4]]
    program, *given = shlex.split(watch.replace("localhost:8080", site.place))
    assert program == "reactor"
    done = await asyncio.to_thread(reactor, *given)
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stdout


def test_the_sizes_are_those_that_are_told() -> None:
    """What a page loads, compressed: ``reactor.js`` alone, and what comes with the others on top of it."""
    told = re.findall(r"`(\w+\.js)` (?:is at most )?(\d+) KB", DOCUMENT)
    [core] = re.findall(r"at most (\d+) KB with `reactor.js`", DOCUMENT)
    assert [name for name, _ in told] == ["follow_all.js", "shared.js", "chat.js", "react.js"]
    for name, most in [("reactor.js", core), *told]:
        files = loaded(name) - (loaded("reactor.js") if name != "reactor.js" else set())
        size = sum(len(client_files()[file].compressed) for file in files)
        assert size <= int(most) * 1024, (name, size)
