"""A node of a cluster as a process of its own, which a test stops and kills: ``python -m tests.helpers.nodes``."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from reactor import Context, Engine, Workflow
from reactor.errors import ReactorError
from tests.helpers.warm import Started, start_python

ITEMS = 40


def _note(name: str, *words: object) -> None:
    """Appends a line to a file of the test, in one write."""
    with Path(os.environ["NODE_FOLDER"], name).open("ab", buffering=0) as file:
        file.write(" ".join(map(str, words)).encode() + b"\n")


def _noted(folder: Path, name: str) -> list[list[str]]:
    path = folder / name
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


counting = Workflow("counting")
"""Many short bodies, one after the other; each says that it begins, and where."""


@counting.task
async def items() -> list[int]:
    return list(range(ITEMS))


@counting.task(map="items", concurrency=1)
async def count(items: int) -> int:
    _note("began", items, os.getpid())
    await asyncio.sleep(0.05)
    return items


asking = Workflow("asking")
"""Waits for an answer, and ends with it."""


@asking.task
async def ask(ctx: Context) -> str:
    return await ctx.receive("the end?", schema={"type": "string"})


@asking.task
async def last(ask: str) -> str:
    _note("began", "last", os.getpid())
    return ask


family = Workflow("family")
"""Its child run asks."""


@family.task
async def child(ctx: Context) -> Any:
    return await ctx.run("asking", {})


choosing = Workflow("choosing")
"""Asks two questions at once."""


@choosing.task
async def choose(ctx: Context) -> list[str]:
    return list(await asyncio.gather(ctx.receive("left?", key="left"), ctx.receive("right?", key="right")))


def beat(ctx: Context) -> None:
    """A body in a process, which says again and again that it lives."""
    while not Path(os.environ["NODE_FOLDER"], "enough").exists():
        _note("beats", os.getpid(), time.monotonic())
        time.sleep(0.02)


beating = Workflow("beating")
beating.task(executor="process")(beat)

FLOWS = [counting, asking, family, choosing, beating]


async def main(url: str, *starts: str) -> None:
    """Starts the runs that are named ``workflow:id``, then does what it finds in the file ``do`` until it is ended."""
    async with Engine(url, workflows=FLOWS, grace=0) as engine:
        for start in starts:
            workflow, _, run_id = start.partition(":")
            await engine.start(workflow, run_id=run_id)
        folder = Path(os.environ["NODE_FOLDER"])
        _note("ready", os.getpid())
        while not (folder / "leave").exists():
            asked = folder / f"do.{os.getpid()}"
            if asked.exists():
                told = await _do(engine, *orjson.loads(asked.read_bytes()))
                asked.unlink()
                _note("told", orjson.dumps(told).decode())
            await asyncio.sleep(0.01)


async def _do(engine: Engine, run_id: str, method: str, *arguments: Any) -> Any:
    try:
        if method == "start":
            await engine.start(*arguments, run_id=run_id)
            return None
        return await getattr(await engine.get(run_id), method)(*arguments)
    except ReactorError as error:
        return type(error).__name__


class Node:
    """One that a test has started. Its process is killed at the end of the test."""

    def __init__(self, folder: Path, url: str, *starts: str) -> None:
        self.folder = folder
        self.process: Started = start_python(
            "-m", "tests.helpers.nodes", url, *starts, quiet=True, NODE_FOLDER=str(folder)
        )
        self.pid = self.process.pid

    async def ready(self) -> Node:
        while [str(self.pid)] not in _noted(self.folder, "ready"):
            assert self.process.poll() is None, "the node has ended"
            await asyncio.sleep(0.01)
        return self

    def send(self, signal: int) -> None:
        self.process.send_signal(signal)

    def do(self, run_id: str, method: str, *arguments: Any) -> None:
        """Has it call a method of a run, or ``start`` one; ``told`` has the answer then."""
        asked = self.folder / f"new.{self.pid}"
        asked.write_bytes(orjson.dumps([run_id, method, *arguments]))
        asked.rename(self.folder / f"do.{self.pid}")

    def told(self) -> list[Any]:
        return [orjson.loads(" ".join(words)) for words in _noted(self.folder, "told")]


def began(folder: Path) -> list[tuple[str, int]]:
    """What began, and in which process, in that order."""
    return [(what, int(pid)) for what, pid in _noted(folder, "began")]


def beats(folder: Path) -> list[tuple[int, float]]:
    """Which process said that it lives, and when, on the monotonic clock."""
    return [(int(pid), float(at)) for pid, at in _noted(folder, "beats")]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
