"""``reactor serve --reload``: real processes, real edits of files, real connections."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import aiohttp
import pytest

from reactor_web.client.client import Client
from tests.helpers.command import end, reactor, run_code, start_server
from tests.helpers.warm import Started

SECONDS = 60

FLOW = """
import asyncio
import os
from pathlib import Path

import reload_words
from reactor import Workflow

flow = Workflow("flow")


@flow.task
async def word() -> str:
    return f"{reload_words.WORD} {os.getpid()}"


@flow.task
async def gate(word: str, folder: str = "") -> str:
    while folder and not Path(folder, "open").exists():
        await asyncio.sleep(0.01)
    return word
"""


class Project:
    """A project that is served with ``--reload``. ``url``: of its API."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        self.words = folder / "reload_words.py"
        self.flow = folder / "flow.py"
        self.flow.write_text(FLOW)
        self.words.write_text("WORD = 'first'\n")
        self.url, self.process = start_server(self.flow, "--reload", *arguments)
        self._read_rest()
        self.log: list[str] = []
        self.came = threading.Condition()
        self.reading = threading.Thread(target=self._read)
        self.reading.start()

    def read_line(self) -> str:
        return self.process.stdout.readline()

    def _read(self) -> None:
        for line in self.process.stderr:
            with self.came:
                self.log.append(line)
                self.came.notify_all()

    def wait_for(self, sentence: str, count: int = 1) -> None:
        """Waits until the log has that many lines with this sentence."""
        with self.came:
            assert self.came.wait_for(lambda: self.count(sentence) >= count, SECONDS), "".join(self.log)

    def count(self, sentence: str) -> int:
        return sum(sentence in line for line in self.log)

    def wait_until_served(self) -> None:
        """The server that was started again accepts connections."""
        assert f"serving on {self.url.removesuffix('/api/v1')}\n" in self.read_line()
        self._read_rest()

    def _read_rest(self) -> None:
        """What a server says of itself behind where it serves."""
        while "look at the runs" not in self.read_line():
            assert self.process.poll() is None, "the watcher has ended"

    def output(self, **input: str) -> str:
        """What a run that is started now puts out."""
        return self.state(self.start(**input), "completed")["outputs"]["gate"]

    def start(self, **input: str) -> str:
        body = json.dumps({"input": input}).encode()
        request = Request(f"{self.url}/workflows/flow/runs", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)["run_id"]

    def state(self, run: str, status: str) -> dict[str, dict[str, str]]:
        """The state of a run once it has this status."""
        deadline = time.monotonic() + SECONDS
        while True:
            with urlopen(f"{self.url}/runs/{run}", timeout=SECONDS) as answer:
                found = json.load(answer)
            if found["status"] == status:
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.01)

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
            self.reading.join()
            end(self.process)


@contextmanager
def served(folder: Path, *arguments: object) -> Iterator[Project]:
    project = Project(folder, *arguments)
    try:
        yield project
    finally:
        project.close()


AGAIN = "the server starts again, a file has changed"


@pytest.mark.slow
def test_a_change_of_what_the_workflow_imports_starts_the_server_again(tmp_path: Path) -> None:
    """Within a second, with texts of one length; a file that nobody imports changes nothing."""
    with served(tmp_path, "--store", "memory://") as project:
        word, pid = project.output().split()
        assert word == "first"
        for number, text in enumerate(("other", "third"), 1):
            (tmp_path / "unused.py").write_text(f"{number} +")
            (tmp_path / "notes.txt").write_text(text)
            project.words.write_text(f"WORD = {text!r}\n")
            project.wait_until_served()
            word, other_pid = project.output().split()
            assert (word, other_pid != pid) == (text, True)
            pid = other_pid
        project.flow.write_text(FLOW.replace('f"{reload_words.WORD} {os.getpid()}"', '"in the file itself"'))
        project.wait_until_served()
        assert project.output() == "in the file itself"
        project.wait_for(AGAIN, 3)
        assert [re.sub(r".*files=\S*/", "", line) for line in project.log if AGAIN in line] == [
            "reload_words.py\n", "reload_words.py\n", "flow.py\n",
        ]  # fmt: skip
        assert project.count("the runs in memory are gone: --store sqlite:///reactor.db keeps them") == 3


@pytest.mark.slow
def test_streams_go_on_and_nobody_is_refused_while_the_server_starts_again(tmp_path: Path) -> None:
    """A client follows a run over two restarts: each event once. Others connect all the time."""

    async def follow(project: Project) -> tuple[list[int], list[str], int, int]:
        refused, answered, is_over = 0, 0, False

        async def ask() -> None:
            nonlocal refused, answered
            while not is_over:
                try:
                    async with (
                        aiohttp.ClientSession() as session,
                        session.get(f"{project.url}/healthz", timeout=aiohttp.ClientTimeout(SECONDS)) as answer,
                    ):
                        answered += answer.status == 200
                except aiohttp.ClientConnectorError:
                    refused += 1
                except aiohttp.ClientError:
                    pass  # it was accepted by a server that ended then: that is asked again
                await asyncio.sleep(0.005)

        asking = asyncio.create_task(ask())
        run_id = await asyncio.to_thread(project.start, folder=str(tmp_path))
        events = []
        async with Client(project.url) as client:
            async for event in client.run(run_id):
                events.append(event)
                if event.type == "task.started" and event.task == "gate":
                    if event.attempt < 3:
                        project.words.write_text(f"WORD = 'word {event.attempt}'\n")
                        await asyncio.to_thread(project.wait_until_served)
                    else:
                        (tmp_path / "open").touch()
        is_over = True
        await asking
        return [event.seq for event in events], [event.type for event in events], refused, answered

    with served(tmp_path, "--store", f"sqlite:///{tmp_path}/runs.db") as project:
        seqs, types, refused, answered = asyncio.run(follow(project))
        assert seqs == list(range(1, len(seqs) + 1))
        assert types.count("run.resumed") == 2
        assert types[-1] == "run.completed"
        assert refused == 0
        assert answered > 10
        assert project.count("the runs in memory are gone") == 0


@pytest.mark.slow
def test_a_syntax_error_is_shown_once_and_the_next_change_serves_again(tmp_path: Path) -> None:
    """So is a module that is missing, and comes. Clients wait meanwhile."""
    with served(tmp_path, "--store", "memory://") as project:
        project.words.write_text("WORD = (\n")
        project.wait_for("a file cannot be loaded; the server starts when it has changed")
        project.wait_for("reload_words.py, line 1: ")
        assert project.process.poll() is None
        project.words.write_text("from reload_more import WORD\n")
        project.wait_for("there is no module 'reload_more'")
        (tmp_path / "reload_more.py").write_text("WORD = 'mended'\n")
        project.wait_until_served()
        assert project.output().split()[0] == "mended"
        assert project.count("SyntaxError") == 1
        assert project.count("ModuleNotFoundError") == 1
        (tmp_path / "reload_more.py").write_text("WORD = 'changed'\n")  # it is known now
        project.wait_until_served()
        assert project.output().split()[0] == "changed"


def test_a_server_that_dies_is_started_by_the_next_change(tmp_path: Path) -> None:
    """The watcher says with which code it has ended; the port is still held."""
    with served(tmp_path, "--store", "memory://") as project:
        os.kill(int(project.output().split()[1]), signal.SIGKILL)
        project.wait_for("the server has ended; it starts when a file has changed code=-9")
        project.words.write_text("WORD = 'again'\n")
        project.wait_until_served()
        assert project.output().split()[0] == "again"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_watcher_and_its_server(tmp_path: Path, number: signal.Signals) -> None:
    """In order: exit code 0, and nobody listens any more."""
    with served(tmp_path, "--store", "memory://") as project:
        pid = int(project.output().split()[1])
        project.process.send_signal(number)
        assert project.process.wait(SECONDS) == 0
        assert is_gone(pid)
        with pytest.raises(URLError, match="refused"):
            urlopen(f"{project.url}/healthz", timeout=5)
        assert project.count("Traceback") == 0


def test_a_server_ends_when_its_watcher_is_killed(tmp_path: Path) -> None:
    """Nothing is left that holds the port."""
    with served(tmp_path, "--store", "memory://") as project:
        pid = int(project.output().split()[1])
        project.process.kill()
        project.process.wait(SECONDS)
        deadline = time.monotonic() + SECONDS
        while not is_gone(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process has ended. It may be waited for by nobody: then it is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[Started]:
    (tmp_path / "one.py").write_text(
        "from reactor import Workflow\nflow = Workflow('one')\nflow.task(lambda: 1, name='a')\n"
    )
    _, process = start_server(tmp_path / "one.py", "--store", f"sqlite:///{tmp_path}/runs.db")
    yield process
    end(process)


@pytest.mark.slow
def test_what_no_edit_mends_ends_the_watcher(tmp_path: Path, other_server: Started) -> None:
    """One sentence and exit code 2: a wrong flag, an address that is taken, a log that is in use."""
    store = f"sqlite:///{tmp_path}/runs.db"
    for arguments, sentence in (
        (["--host", "0.0.0.0"], "--host 0.0.0.0 is reachable from other machines"),
        (["--host", "256.1.1.1", "--insecure"], "choose another --host"),
        (["--store", store], "--store: "),
    ):
        done = reactor("serve", tmp_path / "one.py", "--reload", "--port", "0", *arguments, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_without_watchfiles_it_says_what_to_install() -> None:
    """The extra is not among what is always installed."""
    done = run_code(
        "import sys\nsys.modules['watchfiles'] = None\nsys.argv = ['reactor', 'serve', 'x.py', '--reload']\n"
        "from reactor_web.terminal.cli import main\nmain()"
    )
    assert done.returncode == 2
    assert done.stderr == (
        "reactor: --reload needs watchfiles, which is not installed: pip install 'reactor-dag[reload]'\n"
    )
