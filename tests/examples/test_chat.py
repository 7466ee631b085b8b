"""``examples/chat``: its page in Chromium, to the end of every kind of turn and through everything that breaks."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from examples.chat.app import STORY, TOOLS, Call, Message, Usage, application
from tests.helpers.paths import ROOT
from tests.helpers.tabs import PATIENCE, Browser, Tab
from tests.helpers.wire import Wire, wire_to

NUMBERS = itertools.count(1)
TEXT = "[...document.querySelectorAll('.turn:last-child .text')].map((one) => one.textContent).join('')"
PACE = 0.006
"""Seconds between two tokens: a story takes some, so that what happens in its middle comes before its end."""
FOOT = "document.querySelector('.turn:last-child .foot').textContent"
IS_READY = "document.querySelector('#send') && !document.querySelector('#send').hidden"
ASKS = "document.querySelector('.turn:last-child .question[data-status=open]')"


class Server:
    """The example as a process, which can be killed and started again under the same address."""

    def __init__(self, store: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._store = store
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, str(ROOT / "examples/chat/app.py"), "--port", str(self.port), "--pace", str(PACE)]
        self._process = subprocess.Popen(
            [*command, "--store", f"sqlite:///{self._store}"], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "Running on" in line, line

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None

    async def run(self, run_id: str) -> dict[str, Any]:
        """What the server says of a run."""
        return await self._get(f"/runs/{run_id}", "application/json")

    async def events(self, run_id: str) -> list[dict[str, Any]]:
        return (await self._get(f"/runs/{run_id}/events?limit=10000", "application/json"))["events"]

    async def said(self, run_id: str) -> str:
        """The text of the last attempt, as the log has it."""
        events = await self.events(run_id)
        last = max(event.get("attempt", 0) for event in events)
        return "".join(e["data"]["text"] for e in events if e["type"] == "task.chunk" and e["attempt"] == last)

    async def _get(self, path: str, accept: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/api/v1{path}", headers={"Accept": accept}) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("chat") / "chat.db")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def wire(server: Server) -> AsyncIterator[Wire]:
    async with wire_to(server.port) as wire:
        yield wire


class Page(Tab):
    """A tab with the chat, and what a person does there."""

    def __init__(self, browser: Browser, context: str, name: str, wire: Wire) -> None:
        super().__init__(browser, name)
        self.browser, self.context, self.base = browser, context, f"http://127.0.0.1:{wire.port}"

    async def open(self) -> None:
        await self.browser.do("open", tab=self._name, context=self.context, url=self.base)
        await self.until(IS_READY)

    async def another(self) -> Page:
        """Another tab of the same browser."""
        page = Page(self.browser, self.context, f"{self._name}+", Wire(0))
        page.base = self.base
        await self.browser.do("open", tab=page._name, context=self.context, url=self.base)
        return page

    async def act(self, method: str, *args: Any) -> None:
        await self.browser.do("act", tab=self._name, method=method, args=args)

    async def say(self, text: str) -> None:
        await self.act("fill", "#message", text)
        await self.act("press", "#message", "Enter")

    async def click(self, selector: str) -> None:
        await self.act("click", selector)

    async def ended(self) -> None:
        """Waits until the last turn has ended."""
        await self.until(f"{IS_READY} && document.querySelector('.turn:last-child[aria-busy=false]')")

    async def reads(self, text: str) -> None:
        """Waits until the last turn has this in what it says."""
        await self.until(f"{TEXT}.includes({json.dumps(text)})")

    async def runs(self) -> list[str]:
        return [one["id"] for one in await self.run("JSON.parse(localStorage['reactor.chat'])")]

    async def last_run(self) -> str:
        return (await self.runs())[-1]

    async def set_offline(self, value: bool) -> None:
        await self.browser.do("offline", context=self.context, value=value)

    async def errors(self) -> list[str]:
        return await self.browser.do("errors", tab=self._name)

    async def check_quiet(self, *, cut: bool = False) -> None:
        """It asked nobody else, and wrote no error; a browser itself writes one for each connection that was cut."""
        asked = await self.browser.do("requests", tab=self._name)
        assert all(url.startswith((f"{self.base}/", "data:,")) for url in asked), asked
        errors = [error for error in await self.errors() if not (cut and "net::ERR_" in error)]
        assert errors == []


@pytest.fixture
async def page(browser: Browser, wire: Wire) -> AsyncIterator[Page]:
    name = f"chat-{next(NUMBERS)}"
    page = Page(browser, name, name, wire)
    await page.open()
    yield page
    await browser.do("end", context=name)


async def test_a_turn_with_tokens_a_tool_an_approval_and_its_cost(page: Page, server: Server) -> None:
    """What the page shows is what the server has, and the next turn knows of it."""
    await page.say("Refund order 1042")
    await page.until(ASKS)
    assert await page.run("document.querySelector('#status').textContent") == "live"
    assert "waits for your decision" in await page.run(FOOT)
    await page.click("text=Approve")
    await page.ended()
    state = await server.run(await page.last_run())
    assert await page.run(TEXT) == state["outputs"]["reply"]
    assert state["outputs"]["reply"].endswith("are on their way back to you.")
    order = "[...document.querySelector('.turn .parts').children].map((one) => one.className).join(' ')"
    assert await page.run(order) == "text tool text question tool text"
    tools = "[...document.querySelectorAll('.tool .name, .tool .state')].map((one) => one.textContent.split(' ')[0])"
    assert await page.run(tools) == ["find_order", "done", "refund", "done"]
    assert await page.run("document.querySelector('.question .outcome').textContent") == "✓ approved"
    shown = await page.run("document.querySelector('#total').textContent")
    assert shown == f"${state['cost']:.6f}".rstrip("0")
    assert f"{state['tokens']} tokens" in await page.run(FOOT)

    await page.say("Where is order 1042?")
    await page.ended()
    messages = (await server.run(await page.last_run()))["input"]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == "Refund order 1042"
    await page.check_quiet()


async def test_what_is_denied_is_not_done(page: Page, server: Server) -> None:
    """By keyboard alone: the question is reached with Tab, and the focus is not lost with its buttons."""
    await page.say("Refund order 2000")
    await page.until(ASKS)
    await page.run("document.querySelector('#new').focus()")  # what stands before the conversation
    for _ in range(9):
        await page.act("press", "body", "Tab")
        if await page.run("document.activeElement.textContent") == "Deny":
            break
    await page.act("press", ":focus", "Enter")
    await page.ended()
    assert await page.run("document.activeElement.className") == "question"
    assert (await page.run(TEXT)).endswith("All right, I have not done it.")
    calls = [e["data"]["tool"] for e in await server.events(await page.last_run()) if e["type"] == "tool.call.started"]
    assert calls == ["find_order"]
    await page.check_quiet()


async def test_stop_in_the_middle(page: Page, server: Server) -> None:
    """The run is cancelled, what it has said stays, and the next turn goes well."""
    await page.say("Tell me a story")
    await page.reads("3. Once")
    await page.click("#stop")
    await page.ended()
    run_id = await page.last_run()
    assert (await server.run(run_id))["status"] == "cancelled"
    assert await page.run(TEXT) == await server.said(run_id)
    assert "stopped" in await page.run(FOOT)
    await page.say("Where is order 7?")
    await page.ended()
    await page.check_quiet()


async def test_a_wire_that_is_cut_and_a_browser_that_goes_offline(page: Page, wire: Wire, server: Server) -> None:
    """Not a token is lost, and none is doubled. Each cut comes in the middle of the story, however fast it is told."""
    wire.budgets = [8_000] * 4
    await page.say("Tell me a story")
    async with asyncio.timeout(PATIENCE):
        while not wire.is_down:
            await asyncio.sleep(0.01)
    assert wire.cuts == 4
    await page.until("document.querySelector('#status').textContent === 'reconnecting'")
    await page.set_offline(True)
    wire.is_down = False
    await page.set_offline(False)
    await page.ended()
    assert await page.run(TEXT) == STORY == await server.said(await page.last_run())
    await page.check_quiet(cut=True)


async def test_a_network_that_lets_no_stream_through(page: Page, wire: Wire, server: Server) -> None:
    """The page polls, says so, and shows every token and the question; the answer gets through as well."""
    wire.refuses_streams = True
    await page.say("Refund order 1042")
    # it need not wait for its next attempts
    hurry = "dispatchEvent(new Event('online')) && document.querySelector('#status').textContent === 'polling'"
    await page.until(hurry)
    await page.until(ASKS)
    assert await page.run("document.querySelector('#status').textContent") == "polling"
    await page.click("text=Approve")
    await page.ended()
    state = await server.run(await page.last_run())
    assert await page.run(TEXT) == state["outputs"]["reply"] == await server.said(await page.last_run())


@pytest.mark.slow
async def test_a_server_that_is_killed_in_the_middle(page: Page, server: Server) -> None:
    """While it speaks, and while it waits: the turn begins anew or goes on, and nothing is asked or told twice."""
    await page.say("Tell me a story")
    await page.reads("5. Once")
    server.kill()
    await page.until("document.querySelector('#status').textContent === 'reconnecting'")
    await asyncio.to_thread(server.start)
    await page.ended()
    run_id = await page.last_run()
    assert await page.run(TEXT) == STORY == await server.said(run_id)
    assert (await server.run(run_id))["tasks"]["reply"]["attempt"] == 2

    await page.say("Refund order 1042")
    await page.until(ASKS)
    server.kill()
    await asyncio.to_thread(server.start)
    await page.run("dispatchEvent(new Event('online'))")  # it need not wait for its next attempt
    await page.until(f"{ASKS} && document.querySelector('#status').textContent === 'live'")
    await page.until("document.querySelectorAll('.turn:last-child .tool[data-status=success]').length === 1")
    await page.click("text=Approve")
    await page.ended()
    assert await page.run("document.querySelectorAll('.turn:last-child .question').length") == 1
    assert await page.run(TEXT) == (await server.run(await page.last_run()))["outputs"]["reply"]
    await page.check_quiet(cut=True)


async def test_a_reload_in_the_middle_and_another_tab(page: Page, server: Server) -> None:
    """The conversation is there again, and what still runs goes on in every tab."""
    await page.say("Where is order 1?")
    await page.ended()
    await page.say("Tell me a story")
    await page.reads("3. Once")
    await page.act("reload")
    other = await page.another()
    for one in (page, other):
        await one.ended()
        await one.reads("24. Once")
        assert await one.run(TEXT) == STORY
        mine = "[...document.querySelectorAll('.mine')].map((one) => one.textContent)"
        assert await one.run(mine) == ["Where is order 1?", "Tell me a story"]
    await other.say("Where is order 2?")
    await page.until("document.querySelectorAll('.turn').length === 3")
    await page.ended()
    assert await page.run(TEXT) == await server.said(await page.last_run())
    await other.click("#new")
    await page.until("document.querySelectorAll('.turn').length === 0")
    for one in (page, other):
        # a reload breaks off what is on its way
        await one.check_quiet(cut=True)


async def test_a_message_that_could_not_be_sent_is_sent_once(page: Page, wire: Wire, server: Server) -> None:
    """It stays in the page, also through a reload, and is one run in the end."""
    wire.is_down = True
    wire.cut()
    await page.say("Where is order 3?")
    await page.until(f"document.querySelector('.turn') && {FOOT}.startsWith('Not sent')")
    wire.is_down = False
    await page.act("reload")
    await page.ended()
    assert await page.run(TEXT) == await server.said(await page.last_run())
    assert await page.run("document.querySelectorAll('.turn').length") == 1


async def test_text_is_text_and_fits_on_a_phone(page: Page) -> None:
    """Markup is shown as it was written, and long words break."""
    await page.act("setViewportSize", {"width": 360, "height": 640})
    text = f"<img src=x onerror=alert(1)><b>9</b> {'W' * 300} 1042"
    await page.say(text)
    await page.ended()
    assert await page.run("document.querySelector('.mine').textContent") == text
    assert await page.run("document.querySelector('.turn').querySelectorAll('img, b').length") == 0
    await page.run("document.querySelector('.tool summary').click()")
    for of in ("document.documentElement", "document.querySelector('#scroller')"):
        assert await page.run(f"{of}.scrollWidth <= {of}.clientWidth"), of
    small = "[...document.querySelectorAll('button')].filter((one) => one.offsetParent && one.offsetHeight < 32).length"
    assert await page.run(small) == 0
    await page.check_quiet()


async def test_a_question_is_answered_once_and_a_run_stopped_once(page: Page, server: Server) -> None:
    """In two tabs at the same moment: both show what was decided, it is done once, and nobody is told of an error."""
    await page.say("Refund order 1042")
    await page.until(ASKS)
    other = await page.another()
    await other.until(ASKS)
    press = "[...document.querySelectorAll('.question button')].find((one) => one.textContent === '{}').click()"
    await asyncio.gather(page.run(press.format("Approve")), other.run(press.format("Deny")))
    for one in (page, other):
        await one.ended()
        assert await one.run("document.querySelectorAll('.turn:last-child .question').length") == 1
        assert await one.run("document.querySelector('.turn:last-child .question .problem').textContent") == ""
    outcome = "document.querySelector('.turn:last-child .question .outcome').textContent"
    assert await page.run(outcome) == await other.run(outcome)
    events = await server.events(await page.last_run())
    decided = [event["data"]["value"] for event in events if event["type"] == "task.received"]
    calls = [event["data"]["tool"] for event in events if event["type"] == "tool.call.started"]
    assert calls == ["find_order"] + ["refund"] * decided[0]
    assert await page.run(TEXT) == await server.said(await page.last_run())

    await page.say("Tell me a story")
    await other.reads("2. Once")
    stop = "document.querySelector('#stop').click()"
    await asyncio.gather(page.run(stop), other.run(stop))
    for one in (page, other):
        await one.ended()
        assert "stopped" in await one.run(FOOT)
        assert await one.run("document.querySelector('#problem').textContent") == ""


class Nasty:
    """A model that says and calls what no page should trust. Its tools are ``show``, ``flood`` and ``fall``."""

    name = "nasty-1"
    markup = "<img src=x onerror=alert(1)><script>alert(2)</script> " + "L" * 400

    async def answer(self, messages: Sequence[Message]) -> AsyncGenerator[str | Call | Usage]:
        wish = messages[-1].content
        if messages[-1].role == "user" and wish != "nothing":
            yield self.markup
            yield Call(wish, {"<b>key</b>": self.markup, "long": "x" * 500})
        yield Usage(1, Decimal(0))


@pytest.fixture
async def nasty(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Page]:
    """The page before a model that is nasty."""

    async def show(**arguments: Any) -> str:
        return "<h1>shown</h1>"

    async def flood(**arguments: Any) -> str:
        return "<b>much</b> " * 100_000

    async def fall(**arguments: Any) -> str:
        raise RuntimeError("<i>it fell</i> " + "wrong" * 100)

    for tool in (show, flood, fall):
        monkeypatch.setitem(TOOLS, tool.__name__, tool)
    async with TestServer(application("memory://", Nasty()), host="127.0.0.1") as server:
        name = f"chat-{next(NUMBERS)}"
        page = Page(browser, name, name, Wire(0))
        page.base = str(server.make_url("")).rstrip("/")
        await page.open()
        yield page
        await browser.do("end", context=name)


async def test_what_a_model_and_its_tools_say_is_text(nasty: Page) -> None:
    """Markup in tokens, arguments, results and errors; a result that is huge; an answer that is none. All of it fits
    on a phone."""
    await nasty.act("setViewportSize", {"width": 360, "height": 640})
    last = "document.querySelector('.turn:last-child')"
    for wish, status in (("show", "completed"), ("flood", "completed"), ("fall", "failed"), ("nothing", "completed")):
        await nasty.say(wish)
        await nasty.until(f"{last}.querySelector('.mine').textContent === {wish!r}")
        await nasty.ended()
        assert await nasty.run(f"{last}.dataset.status") == status, await nasty.run(FOOT)
        if wish == "nothing":
            assert "there was no answer" in await nasty.run(FOOT)
            continue
        assert await nasty.run(TEXT) == Nasty.markup
        await nasty.run(f"{last}.querySelector('.tool summary').click()")
        given, result = await nasty.run(f"[...{last}.querySelectorAll('.tool pre')].map((one) => one.textContent)")
        assert json.loads(given) == {"<b>key</b>": Nasty.markup, "long": "x" * 500}
        assert {"show": "<h1>shown</h1>", "flood": "<b>much</b> ", "fall": "<i>it fell</i>"}[wish] in result
        for of in ("document.documentElement", "document.querySelector('#scroller')"):
            assert await nasty.run(f"{of}.scrollWidth <= {of}.clientWidth"), (wish, of)
    assert await nasty.run("document.querySelector('#turns').querySelectorAll('img, script, b, i, h1').length") == 0
    await nasty.check_quiet()


async def test_a_conversation_without_a_message_is_refused(server: Server) -> None:
    """Before it is a run."""
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}/api/v1/runs/empty"
        async with session.put(url, json={"workflow": "chat", "input": {"messages": []}}) as response:
            assert response.status == 422, await response.text()
            assert "messages" in await response.text()


async def test_the_page_allows_nothing_inline_and_nothing_from_elsewhere(server: Server) -> None:
    """Its policy says so, and its files need no more."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}/") as response:
        policy, html = response.headers["Content-Security-Policy"], await response.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=|<style", html)
    folder = ROOT / "examples/chat"
    for name in ("chat.js", "chat.css", "index.html"):
        assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|outerHTML", (folder / name).read_text()), name


def test_patience_is_longer_than_a_story() -> None:
    """What the tests above wait for can come in time."""
    assert len(STORY.split()) * PACE * 4 < PATIENCE
