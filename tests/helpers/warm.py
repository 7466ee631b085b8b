"""Processes of Python that begin without its imports: forks of an interpreter that has imported the packages before.

A process that is started so is one of its own: it has its pid, is killed as any other, and ends as an interpreter does,
with its threads and its ``atexit``. Only the second or so that the imports take is not waited for. The forking process
has no threads and no loop.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO

from tests.helpers.paths import PYTHONPATH, ROOT

SECONDS = 60
"""How long the forking process may take to answer."""


class Started:
    """A process that was started so, with the methods of ``subprocess.Popen`` that tests use. Its texts are UTF-8."""

    def __init__(
        self, words: Sequence[object], folder: Path, environment: dict[str, str], new_session: bool, quiet: bool
    ) -> None:
        self.args = [*map(str, words)]
        self.returncode: int | None = None
        (out, its_out), (err, its_err), (self._status, its_status) = os.pipe(), os.pipe(), os.pipe()
        if quiet:
            os.close(its_err)
            its_err = os.open(os.devnull, os.O_WRONLY)
        asked = json.dumps([self.args, str(folder), environment, new_session]).encode()
        socket.send_fds(_forking(), [asked], [its_out, its_err, its_status])
        for fd in (its_out, its_err, its_status):
            os.close(fd)
        self.stdout: IO[str] = os.fdopen(out)
        self.stderr: IO[str] = os.fdopen(err)
        self._told = b""
        while b"\n" not in self._told:
            self._told += self._read_status()
        pid, _, self._told = self._told.partition(b"\n")
        self.pid = int(pid)

    def _read_status(self) -> bytes:
        text = os.read(self._status, 100)
        assert text, "the process that forks has ended"
        return text

    def poll(self) -> int | None:
        """The exit code, as ``Popen`` has it; None while it runs."""
        return self._end_within(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        code = self._end_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def _end_within(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            ended = select.poll()
            ended.register(self._status, select.POLLIN)
            if ended.poll(None if timeout is None else timeout * 1000):
                self.returncode = int(self._read_status())
                os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Does nothing once the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ends just now
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Reads what it writes to the end, and waits for it. Raises subprocess.TimeoutExpired."""
        until = None if timeout is None else time.monotonic() + timeout
        read: dict[IO[str], list[bytes]] = {pipe: [] for pipe in (self.stdout, self.stderr) if not pipe.closed}
        with selectors.DefaultSelector() as ready:
            for pipe in read:
                ready.register(pipe, selectors.EVENT_READ)
            while ready.get_map():
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
                for key, _ in ready.select(left):
                    pipe: IO[str] = key.fileobj  # type: ignore[assignment]
                    if text := os.read(key.fd, 65_536):
                        read[pipe].append(text)
                    else:
                        ready.unregister(pipe)
        self.wait(None if until is None else max(0.0, until - time.monotonic()))
        self.close_pipes()
        out, err = (b"".join(read.get(pipe, [])).decode() for pipe in (self.stdout, self.stderr))
        look(err)
        return out, err

    def close_pipes(self) -> None:
        self.stdout.close()
        self.stderr.close()

    def __enter__(self) -> Started:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close_pipes()
        self.wait()


def start_python(
    *words: object, cwd: Path = ROOT, new_session: bool = False, quiet: bool = False, **environment: str
) -> Started:
    """Starts a process as ``python WORDS`` does; ``words`` are ``-m``, a module and its arguments, or a script and its
    arguments.

    - ``new_session``: it leads a group of processes, which can be killed at once.
    - ``quiet``: nobody reads its standard error, which goes nowhere.
    - ``environment``: what is different in its environment.
    """
    return Started(words, cwd, environment, new_session, quiet)


def look(text: str) -> None:
    """Raises AssertionError where what a process has written, such as its log, has a secret."""
    from tests.helpers.planted import WATCH  # not in the process that forks, where nothing is watched

    WATCH.look(text, "what a process writes")
    WATCH.check()


@cache
def _forking() -> socket.socket:
    """The connection to the process that forks. It ends with this one."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        fd = its.fileno()
        command = [sys.executable, "-m", "tests.helpers.warm", str(fd)]
        environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
        process = subprocess.Popen(command, pass_fds=[fd], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
    ours.settimeout(SECONDS)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# --- the process that forks ---


def _serve(fd: int) -> list[str] | None:
    """Starts what is asked for, until nobody is left to ask. In a process that was started: its words."""
    import reactor_web.terminal.cli  # noqa: F401  # not where the tests run: they need not import it

    keepers: set[int] = set()
    with socket.socket(fileno=fd) as asking:
        while True:
            text, fds, _, _ = socket.recv_fds(asking, 65_536, 3)
            keepers -= {pid for pid in keepers if os.waitpid(pid, os.WNOHANG)[0]}
            if not text:
                return None
            keeper = os.fork()
            if keeper == 0:
                asking.detach()
                os.close(fd)
                words, folder, environment, new_session = json.loads(text)
                _keep(fds)
                os.chdir(folder)
                os.environ.update(environment)
                if new_session:
                    os.setsid()
                return words
            keepers.add(keeper)
            for given in fds:
                os.close(given)


def _keep(fds: list[int]) -> None:
    """Forks once more: the one process goes on as the one that was asked for, the other tells its pid and its end."""
    out, err, status = fds
    child = os.fork()
    if child:
        os.close(out)
        os.close(err)
        os.write(status, b"%d\n" % child)
        os.write(status, b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    os.close(status)
    for given, fd in ((out, 1), (err, 2)):
        os.dup2(given, fd)
        os.close(given)


def _run(words: list[str]) -> None:
    """What ``python WORDS`` does."""
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    if (asked := _serve(int(sys.argv[1]))) is not None:
        _run(asked)
