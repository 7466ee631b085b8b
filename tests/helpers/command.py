"""The command ``reactor``, and code, in a process of its own.

All of them are forks of an interpreter that has imported the packages before: the import takes longer than most of what
then runs. ``start_reactor`` starts the command as a process that can be killed.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.helpers.paths import PYTHONPATH, ROOT
from tests.helpers.warm import Started, start_python

COMMAND = (sys.executable, "-m", "reactor_web")
SECONDS = 60
"""How long a command may take."""


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": PYTHONPATH, "COLUMNS": "200"}


def reactor(*arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end. ``environment``: what is different in its environment."""
    return _run_there([*map(str, arguments)], None, cwd, environment)


def run_code(code: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a script to its end, as ``python -c`` does."""
    return _run_there([], code, cwd, {})


def _run_there(
    words: list[str], code: str | None, cwd: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        server = _server()
        socket.send_fds(
            server, [json.dumps([words, code, str(cwd), environment]).encode()], [out.fileno(), err.fileno()]
        )
        answer = server.recv(1024)
        assert answer, "the process that runs the commands has ended"
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, int(answer), out.read().decode(), err.read().decode())


@cache
def _server() -> socket.socket:
    """The connection to the process that forks for each command. It ends with this one."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        fd = its.fileno()
        command = [sys.executable, "-m", "tests.helpers.command", str(fd)]
        process = subprocess.Popen(command, pass_fds=[fd], cwd=ROOT, env=_environment(), stdin=subprocess.DEVNULL)
    ours.settimeout(SECONDS + 10)

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def start_reactor(*arguments: object, columns: int = 200) -> Started:
    """Starts the command; the caller ends it. ``columns``: how wide its terminal would be."""
    return start_python("-m", "reactor_web", *arguments, COLUMNS=str(columns))


def start_server(*arguments: object) -> tuple[str, Started]:
    """Starts ``reactor serve`` on a free port: the URL of its API, and the process."""
    process = start_reactor("serve", *arguments, "--port", 0)
    match = re.search(r"serving on (\S+)", process.stdout.readline())
    assert match is not None
    return f"{match[1]}/api/v1", process


def end(process: Started) -> None:
    """Kills a process, if it still runs, and closes its pipes."""
    process.kill()
    process.communicate()


# --- what a command has said ---


def at(done: subprocess.CompletedProcess[str]) -> str:
    """The stdout of a command that was carried out."""
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a command that could not be carried out."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("reactor: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("reactor: ").rstrip("\n")


def on(file: Path) -> tuple[str, str]:
    return "--store", f"sqlite:///{file}"


ON_A_TERMINAL: Final = """
import os, pty, sys
from reactor_web.terminal.cli import main

process, terminal = pty.fork()
if process == 0:
    main()
shown = b""
try:
    while block := os.read(terminal, 4096):
        shown += block
except OSError:  # the other end is closed
    pass
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"""
"""A script that runs the command on a terminal of its own, and prints what that shows."""


# --- the process that forks ---


def _serve(fd: int) -> None:
    """Answers each command line, or script, with its exit code, until nobody is left to ask."""
    from reactor_web.terminal.cli import main  # not where the tests run: they need not import it

    with socket.socket(fileno=fd) as asking:
        while True:
            text, fds, _, _ = socket.recv_fds(asking, 65_536, 2)
            if not text:
                return
            words, code, folder, environment = json.loads(text)
            child = os.fork()
            if child == 0:
                asking.close()
                os.environ.update(environment)
                _run(words, folder, fds, main if code is None else lambda code=code: _execute(code))
            for given in fds:
                os.close(given)
            asking.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def _execute(code: str) -> None:
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(code, "<string>", "exec"), vars(main))


def _run(words: list[str], folder: str, fds: list[int], main: Callable[[], object]) -> None:
    """Runs one command or script in this process, and ends it."""
    signal.alarm(SECONDS)
    os.chdir(folder)
    for given, fd in zip(fds, (1, 2), strict=True):
        os.dup2(given, fd)
        os.close(given)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    sys.argv = ["reactor", *words]
    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
