"""What `make demo` runs: it starts a server, starts a run over HTTP, follows it in the terminal, prints its report.

    python examples/demo.py            a census of the standard library
    python examples/demo.py src        a census of the Python source in src

Exits with the code of `reactor watch`: 0 if the run completed.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from pathlib import Path
from queue import Empty, Queue
from types import FrameType
from typing import IO, Any, Final, NoReturn
from urllib.parse import urljoin

REPO: Final = Path(__file__).resolve().parent.parent
LIMIT: Final = 120.0
"""Seconds for the whole demo."""
STOP_LIMIT: Final = 10.0
"""Seconds the server has to stop after SIGTERM."""
READY: Final = re.compile(r"reactor: serving on (http://\S+)")

# The server is on this machine, so a proxy in http_proxy must not be used.
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


class Deadline:
    """The time limit of the demo."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, doing: str) -> float:
        """Seconds left; raises DemoFailed if there are none. `doing` says what took so long."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DemoFailed(f"the time limit of {self.seconds:.0f} s passed while {doing}")
        return left


class Server:
    """A context manager that runs `reactor serve` on a free port, as a child process, and always stops it."""

    def __init__(self, file: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="reactor-demo-")
        store = f"sqlite:///{self._folder.name}/runs.db"
        self.command = [
            sys.executable,
            "-m",
            "reactor_web",
            "serve",
            file,
            "--port",
            "0",
            "--store",
            store,
        ]
        self.lines: deque[str] = deque(maxlen=200)
        """The last lines the server printed."""
        self._url: Queue[str | None] = Queue(1)
        """Gets one item: the URL it serves on, or None if its output ended without one."""

    def __enter__(self) -> "Server":
        self.process = subprocess.Popen(
            self.command,
            cwd=REPO,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C then reaches only the demo, which stops the server properly.
            start_new_session=True,
        )
        assert self.process.stdout is not None
        # Its output is read to the end, because a server blocks when the pipe is full.
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                say(f"the server did not stop within {STOP_LIMIT:.0f} s of SIGTERM: killed")
                self.process.kill()
                self.process.wait()
        self._reader.join(1)

    def wait_until_ready(self, deadline: Deadline) -> str:
        """The URL it serves on."""
        try:
            url = self._url.get(timeout=deadline.left("the server started"))
        except Empty:
            raise DemoFailed(f"the server was not ready within {deadline.seconds:.0f} s{self.printed()}") from None
        if url is not None:
            return url
        try:
            code = self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"the server closed its output before it was ready{self.printed()}") from None
        raise DemoFailed(f"the server ended with exit code {code} before it was ready{self.printed()}")

    def printed(self) -> str:
        return "; it printed:\n" + "\n".join(f"    {line}" for line in self.lines) if self.lines else ""

    def _read(self, output: IO[str]) -> None:
        ready = False
        for line in output:
            self.lines.append(line.rstrip())
            if not ready and (match := READY.search(line)):
                ready = True
                self._url.put(match[1])
        if not ready:
            self._url.put(None)


def request(url: str, deadline: Deadline, body: object = None) -> tuple[Any, str | None]:
    """GET, or POST of `body`: the answered JSON, and the Location."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    try:
        question = urllib.request.Request(url, data, headers)
        with open_url(question, timeout=deadline.left(f"asking {url}")) as answer:
            return json.load(answer), answer.headers["Location"]
    except urllib.error.HTTPError as error:
        with error:
            raise DemoFailed(f"{url} answered {error.code}: {problem(error.read(10_000))}") from None
    except OSError as error:
        raise DemoFailed(f"{url} did not answer: {error}") from None
    except ValueError as error:
        raise DemoFailed(f"{url} did not answer with JSON: {error}") from None


def problem(body: bytes) -> str:
    """The sentence in a body of `application/problem+json`."""
    text = body.decode(errors="replace")
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text.strip()


def watch(url: str, deadline: Deadline) -> int:
    """Runs `reactor watch` in the foreground and returns its exit code."""
    with subprocess.Popen([sys.executable, "-m", "reactor_web", "watch", url], cwd=REPO) as watcher:
        try:
            return watcher.wait(deadline.left("the run was started"))
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"the run did not end within the time limit of {deadline.seconds:.0f} s") from None
        finally:
            if watcher.poll() is None:
                watcher.terminate()
                try:
                    watcher.wait(2)
                except subprocess.TimeoutExpired:
                    watcher.kill()


def demo(root: str | None) -> int:
    deadline = Deadline(LIMIT)
    say("starting: reactor serve examples/census.py --port 0")
    with Server("examples/census.py") as server:
        base = server.wait_until_ready(deadline)
        start = urljoin(base, "/api/v1/workflows/census/runs")
        say(f"POST {start}")
        given = {} if root is None else {"root": str(Path(root).resolve())}
        answer, location = request(start, deadline, {"input": given})
        run = urljoin(base, location or f"/api/v1/runs/{answer['run_id']}")
        say(f"reactor watch {run}")
        code = watch(run, deadline)
        if code == 0:
            report, _ = request(f"{run}/tasks/report/output", deadline)
            print(f"\n{report['text']}\n", flush=True)
            say("done")
        elif server.process.poll() is not None:
            say(f"the server ended with exit code {server.process.returncode} during the run{server.printed()}")
        else:
            say(f"the run did not complete: reactor watch ended with exit code {code}")
    # If a signal ended `watch`, exit with the code a shell would use.
    return code if code >= 0 else 128 - code


def say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)


def stop(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def main() -> int:
    if len(sys.argv) > 2 or any(argument.startswith("-") for argument in sys.argv[1:]):
        print("usage: python examples/demo.py [FOLDER]", file=sys.stderr)
        return 2
    # Raises SystemExit, so that the server is stopped on the way out.
    signal.signal(signal.SIGTERM, stop)
    try:
        return demo(sys.argv[1] if len(sys.argv) == 2 else None)
    except DemoFailed as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
