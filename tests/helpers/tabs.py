"""Tabs of a real browser that a test drives, and a server whose pages follow runs in them."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import threading
from concurrent.futures import Future
from typing import Any

from tests.helpers.chromium import find_chromium
from tests.helpers.node import node_script

PATIENCE = 30.0
"""Seconds in which what a test waits for must have come."""

SCRIPT = """(async () => {
if (IS_ALONE) delete window.SharedWorker;
const { followShared } = await import("/api/v1/client/shared.js");
const { followAll } = await import("/api/v1/client/follow_all.js");
const { follow } = await import("/api/v1/client/reactor.js");
window.followAll = followAll;
window.seen = {};
window.statuses = [];
window.streams = {};
window.start = (run, options = {}, how = followShared) => {
  seen[run] ??= [];
  streams[run] = how(`/api/v1/runs/${run}`, {
    beat: 200,
    onEvent: (event) => seen[run].push(event.seq),
    onStatus: (status, detail) => statuses.push([status, `${detail?.message ?? detail}`]),
    ...options,
  });
};
window.startAlone = (run, options) => start(run, options, follow);
})()"""
"""What a page of a test has: ``start`` follows a run, ``startAlone`` on a connection of its own, and ``seen`` has the
seqs of its events."""


class Browser:
    """One Chromium for the tests of a file. Its methods block: the tests call them by ``Tab``."""

    def __init__(self) -> None:
        command = [*node_script("tabs.mjs"), find_chromium()]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._numbers = itertools.count(1)
        self._answers: dict[int, Future[Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    async def do(self, verb: str, **more: Any) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = Future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"n": number, "verb": verb, **more}) + "\n")
        self._process.stdin.flush()
        return await asyncio.wait_for(asyncio.wrap_future(answer), PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            answer = self._answers.pop(message["n"])
            if "error" in message:
                answer.set_exception(AssertionError(message["error"]))
            else:
                answer.set_result(message.get("value"))
        for answer in self._answers.values():
            answer.set_exception(AssertionError("the browser has ended"))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._reader.join()
        self._process.stdout.close()


class Tab:
    """A tab; what it has seen of a run are the seqs of its events, in the order in which they came."""

    def __init__(self, browser: Browser, name: str) -> None:
        self._browser = browser
        self._name = name

    async def run(self, code: str) -> Any:
        """What a JavaScript expression gives in the page."""
        return await self._browser.do("run", tab=self._name, code=code)

    async def start(self, run: str, options: str = "{}") -> None:
        await self.run(f"start('{run}', {options})")

    async def seen(self, run: str) -> list[int]:
        return await self.run(f"seen['{run}'] ?? []")

    async def until(self, code: str) -> None:
        """Waits until an expression is true in the page."""
        await self._browser.do(
            "run",
            tab=self._name,
            code=f"(async () => {{ while (!({code})) await new Promise((r) => setTimeout(r, 20)) }})()",
        )

    async def until_seen(self, run: str, count: int) -> None:
        await self.until(f"seen['{run}']?.length >= {count}")

    async def close(self) -> None:
        await self._browser.do("close", tab=self._name)

    async def asked(self, part: str) -> int:
        """How many requests of this page have this in their URL; those of a worker are not among them."""
        return sum(part in url for url in await self._browser.do("requests", tab=self._name))

    async def freeze(self) -> None:
        """No task of the page runs until it is shown again; what a test asks of it does."""
        await self.run("document.addEventListener('freeze', () => (window.wasFrozen = true))")
        await self._browser.do("lifecycle", tab=self._name, state="frozen")
        assert await self.run("wasFrozen && document.visibilityState === 'hidden'")

    async def resume(self) -> None:
        await self._browser.do("lifecycle", tab=self._name, state="active")

    async def go_away(self, url: str) -> None:
        """Another page in its place."""
        await self._browser.do("act", tab=self._name, method="goto", args=[url])

    async def go_back(self) -> None:
        await self._browser.do("act", tab=self._name, method="goBack", args=[{"waitUntil": "commit"}])

    async def crash(self) -> None:
        await self._browser.do("crash", tab=self._name)


class Windows:
    """The tabs of one user at one server: a browser of their own."""

    def __init__(self, browser: Browser, base: str, context: str) -> None:
        self._browser = browser
        self._base = base
        self._context = context
        self._count = itertools.count(1)

    async def tab(self, *, worker: bool = True) -> Tab:
        """A page of the server, which loads the client. ``worker``: whether there are SharedWorkers in it."""
        name = f"{self._context}-{next(self._count)}"
        # a page that the browser may keep for the way back: other answers are not to be stored
        url = f"{self._base}/api/v1/client/reactor.js"
        await self._browser.do("open", tab=name, context=self._context, url=url)
        tab = Tab(self._browser, name)
        await tab.run(SCRIPT.replace("IS_ALONE", json.dumps(not worker)))
        return tab

    async def set_offline(self, value: bool) -> None:
        await self._browser.do("offline", context=self._context, value=value)

    async def close(self) -> None:
        await self._browser.do("end", context=self._context)
