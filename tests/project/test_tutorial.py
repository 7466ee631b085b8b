"""``docs/tutorial.md``: who does what it says, in an empty folder, sees what it says."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.tabs import Browser, Tab

TUTORIAL = (ROOT / "docs/tutorial.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STATUS = "document.querySelector('#status').textContent"
SHOWN = "[...document.querySelectorAll('#chat p')].map((one) => one.textContent.trim()).join('\\n')"


class Block(NamedTuple):
    """``language title`` of a fence, and what stands in it."""

    language: str
    title: str
    text: str


class Reader:
    """Goes through the tutorial from top to bottom, in a folder of its own and on a port that is free."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._blocks = [Block(*found) for found in BLOCK.findall(TUTORIAL.replace("8080", str(self.port)))]
        self._server: subprocess.Popen[str] | None = None
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "web")])}

    def next(self, language: str, title: str = "") -> str:
        """The next block, which must be of this kind."""
        block = self._blocks.pop(0)
        assert block[:2] == (language, title), block
        return block.text

    def write(self, name: str, language: str) -> None:
        """Makes the file that the next block is."""
        (self.folder / name).write_text(self.next(language, name))

    def commands(self) -> tuple[list[str], str]:
        """The commands of the next block, and what is said to be printed."""
        lines = self.next("console").splitlines()
        return [line[2:] for line in lines if line.startswith("$ ")], "".join(
            f"{line}\n" for line in lines if not line.startswith("$ ")
        )

    def run(self, command: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            self._words(command), cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(self, command: str, ready: str) -> str:
        """Starts a server, and returns the line that says that it is ready."""
        self._server = subprocess.Popen(
            self._words(command), cwd=self.folder, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert ready in line, line
        return line

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C, or something harder."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.communicate(timeout=30)
            self._server = None

    def _words(self, command: str) -> list[str]:
        words = shlex.split(command)
        programs = {
            "python": [sys.executable],
            "reactor": [sys.executable, "-m", "reactor_web"],
            "curl": ["curl", "-sS"],
        }
        return [*programs[words[0]], *words[1:]] + (["--port", str(self.port)] if words[0] == "reactor" else [])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


class Page(Tab):
    """The page of the tutorial, and what its reader does there."""

    def __init__(self, browser: Browser, reader: Reader) -> None:
        super().__init__(browser, "tutorial")
        self.browser, self.url = browser, f"http://localhost:{reader.port}"

    async def open(self) -> None:
        await self.browser.do("open", tab="tutorial", context="tutorial", url=self.url)

    async def act(self, method: str, *args: object) -> None:
        await self.browser.do("act", tab="tutorial", method=method, args=args)

    async def send(self, text: str) -> None:
        await self.act("fill", "#message", text)
        await self.act("press", "#message", "Enter")
        await self.until(f"{STATUS} === 'live'")

    async def choose(self, name: str) -> None:
        await self.act("click", f"text={name}")

    async def reads(self, text: str) -> None:
        await self.until(f"({SHOWN}).includes({text!r})")

    async def ends(self, how: str = "ended") -> str:
        """What it reads at the end of the run."""
        await self.until(f"{STATUS} === {how!r}")
        return await self.run(SHOWN)


@pytest.mark.slow
async def test_the_tutorial_is_true(browser: Browser, tmp_path: Path) -> None:
    """Every file and command of it, in its order, and what it says that one sees."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl, which is not here")
    reader = Reader(tmp_path)
    try:
        await asyncio.to_thread(install_and_watch, reader)
        page = Page(browser, reader)
        await word_by_word(reader, page)
        await approve_and_stop(reader, page)
        await kill(reader, page)
        errors = await browser.do("errors", tab="tutorial")
        assert [error for error in errors if "net::ERR_" not in error] == []
        assert all(url.startswith(f"{page.url}/") for url in await browser.do("requests", tab="tutorial")), (
            "it asks somebody else"
        )
    finally:
        reader.stop(signal.SIGKILL)
    assert not reader._blocks, "the tutorial goes on where this test ends"


def install_and_watch(reader: Reader) -> None:
    """Steps 1 to 3."""
    install, _ = reader.commands()
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    assert install == ["python -m venv .venv", ". .venv/bin/activate", f"pip install {name}"]
    reader.write("hello.py", "python")
    (command,), printed = reader.commands()
    assert reader.run(command) == printed
    (command,), printed = reader.commands()
    assert reader.serve(command, "serving on").strip() == printed.strip()
    (command,), printed = reader.commands()
    shown = reader.run(command)
    assert "".join(f"{line}\n" for line in shown.splitlines() if line.startswith("event:")) == printed
    assert [int(id) for id in re.findall(r"^id: (\d+)$", shown, re.MULTILINE)][:6] == [1, 2, 3, 4, 5, 6]
    reader.stop()


async def word_by_word(reader: Reader, page: Page) -> None:
    """Step 4."""
    reader.write("chat.py", "python")
    reader.write("app.py", "python")
    reader.write("page.html", "html")
    assert len((reader.folder / "page.html").read_text().splitlines()) <= 10
    (command,), _ = reader.commands()
    await asyncio.to_thread(reader.serve, command, "Running on")
    await page.open()
    answer = "document.querySelector('#answer').textContent"
    await page.until(f"{answer}.startsWith('You ')")
    assert not (await page.run(answer)).endswith("that. "), "it came all at once"
    await page.until(f"{answer}.trim() === {reader.next('text').strip()!r}")
    await asyncio.to_thread(reader.stop)


async def approve_and_stop(reader: Reader, page: Page) -> None:
    """Steps 5 and 6."""
    reader.write("chat.py", "python")
    reader.write("page.html", "html")
    (command,), _ = reader.commands()
    await asyncio.to_thread(reader.serve, command, "Running on")
    await page.act("reload")
    await page.send("old.txt")
    asked = reader.next("text").strip()
    await page.until(f"({SHOWN}) === {asked!r}")
    await page.choose("Deny")
    assert (await page.ends()).endswith("\nThen I leave it alone.")

    await page.send("old.txt")
    await page.choose("Approve")
    await page.reads("Step 2")
    await page.act("reload")
    await page.reads("Step 4")
    await page.choose("Stop")
    shown = await page.ends("stopped")
    assert "Step 1: block 1 is overwritten." in shown
    assert "It is gone." not in shown
    commands, _ = reader.commands()
    listed = await asyncio.to_thread(reader.run, commands[0])
    assert '"cancelled"' in listed
    run_id = re.findall(r'"run_id":\s*"([^"]+)"', listed)[0]
    assert "run has ended" in (again := await asyncio.to_thread(reader.run, commands[1].replace("RUN_ID", run_id))) or (
        run_id in again
    )


async def kill(reader: Reader, page: Page) -> None:
    """Step 7."""
    await page.send("old.txt")
    await page.choose("Approve")
    await page.reads("Step 3")
    reader.stop(signal.SIGQUIT)
    await page.until(f"{STATUS}.startsWith('reconnecting: ')")
    (command,), _ = reader.commands()
    await asyncio.to_thread(reader.serve, command, "Running on")
    assert await page.ends() == reader.next("text").strip()
