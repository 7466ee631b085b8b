"""``kill -9`` of an engine whose bodies run in processes, or have forked: nothing of it is in its successor's way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from reactor.errors import LogUnavailable
from reactor.logs.sqlite.log import SqliteLog
from tests.helpers.command import end
from tests.helpers.holding import HOW
from tests.helpers.runs import PATIENCE
from tests.helpers.warm import Started, start_python


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def lines_of(oracle: Path) -> list[tuple[int, str]]:
    """What the bodies have said: the process id, and the words."""
    text = oracle.read_text() if oracle.exists() else ""
    return [(int(pid), word) for pid, _, word in (line.partition(" ") for line in text.splitlines())]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


def start(folder: Path, how: str) -> Started:
    store, oracle = f"sqlite:///{folder / 'runs.db'}", folder / "oracle"
    return start_python("-m", "tests.helpers.holding", store, oracle, how, quiet=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
@pytest.mark.parametrize("how", HOW)
def test_no_body_of_a_killed_engine_goes_on_beside_its_successor(how: str, tmp_path: Path) -> None:
    """Not even one that holds the interpreter: it is dead when the next engine's body begins, and wrote no more."""
    oracle = tmp_path / "oracle"
    process = start(tmp_path, how)
    try:
        wait_for(lambda: len(lines_of(oracle)) >= 1)
        ((old, _), *_) = lines_of(oracle)
        process.send_signal(signal.SIGKILL)
        process.wait()
        said = lines_of(oracle)
        successor = start(tmp_path, how)
        try:
            wait_for(lambda: len(lines_of(oracle)) > len(said))
            assert not is_alive(old)
            assert [line for line in lines_of(oracle)[len(said) :] if line[0] == old] == []
        finally:
            for pid, _ in lines_of(oracle):  # else the pipes of their engines stay open
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            end(successor)
    finally:
        end(process)


FORKS = """
import asyncio, os, subprocess, sys, time
from multiprocessing import get_context
from reactor import Engine, Workflow

flow = Workflow("forks")


@flow.task
def fork(how: str) -> int:
    if how == "fork":
        child = os.fork()
        if child == 0:
            time.sleep(600)
        return child
    if how == "multiprocessing":
        process = get_context("fork").Process(target=time.sleep, args=(600,))
        process.start()
        return process.pid
    if how == "close_fds":
        return subprocess.Popen(["sleep", "600"], close_fds=False).pid
    free = os.open("/dev/null", os.O_RDONLY)
    return subprocess.Popen(["sleep", "600"], pass_fds=[free]).pid


async def main():
    async with Engine(sys.argv[1], workflows=[flow]) as engine:
        print((await (await engine.start(flow, {"how": sys.argv[2]})))["fork"], flush=True)
        await asyncio.sleep(600)


asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["fork", "multiprocessing", "close_fds", "pass_fds"])
async def test_a_child_of_a_body_does_not_keep_the_log_of_a_killed_engine(how: str, tmp_path: Path) -> None:
    """The successor opens it while the child lives; and while the owner lives, the child's birth lets nobody in."""
    (tmp_path / "forks.py").write_text(FORKS)
    store = tmp_path / "runs.db"
    process = start_python(tmp_path / "forks.py", f"sqlite:///{store}", how, quiet=True)
    child = 0
    try:
        child = int(process.stdout.readline())
        with pytest.raises(LogUnavailable, match=f"in use by process {process.pid}"):
            await SqliteLog(store).open()
        store.with_name("runs.db.lock").unlink()
        with pytest.raises(LogUnavailable, match="in use by another process"):
            await SqliteLog(store).open()
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)
        log = SqliteLog(store)
        await log.open()
        await log.close()
        assert is_alive(child)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
        end(process)
