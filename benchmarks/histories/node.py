"""One life of a node: ``python -m benchmarks.histories.node URL HOST PORT NAMESPACE``; its environment: ``flows``.

It is what ``reactor serve`` is, with followers in its own process, which note in a file what they are shown.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import json
import logging
import os
import sys
import time
import zlib
from pathlib import Path

from aiohttp import web

from benchmarks.histories import flows
from reactor import Engine
from reactor.errors import ReactorError
from reactor_web.guard.guard import Guard
from reactor_web.guard.principal import SCOPES, Principal
from reactor_web.terminal.serve import serve

LOOKS_EVERY = 0.25
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""


def enter(namespace: str) -> None:
    """Moves this process, which has no threads yet, into a network namespace."""
    with Path(namespace).open() as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), f"{namespace} cannot be entered")


class Inside:
    """Followers in the process: of each second run that it hears of, from its first event on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._here = os.environ[flows.HERE]
        path = Path(os.environ[flows.FOLDER], f"inside.{self._here}")
        self._file = path.open("ab", buffering=0)
        self._following: dict[str, asyncio.Task[None]] = {}

    async def follow_all(self) -> None:
        while True:
            await asyncio.sleep(LOOKS_EVERY)
            try:
                records = await self._engine.list(limit=200)
            except ReactorError:
                continue  # it has not begun, or Redis is away
            for record in records:
                if record.run_id not in self._following and zlib.crc32(f"{self._here}{record.run_id}".encode()) % 2:
                    self._following[record.run_id] = asyncio.ensure_future(self._follow(record.run_id))

    async def _follow(self, run_id: str) -> None:
        """To its end. Whoever is thrown out begins anew, as somebody else."""
        for number in itertools.count():
            try:
                run = await self._engine.get(run_id)
                async for event in run:
                    self._note(run_id, number, event.json.decode())
                if (await run.ended()).has_ended:  # else the engine is drained
                    self._note(run_id, number, None)
                    return
            except ReactorError:
                pass
            await asyncio.sleep(LOOKS_EVERY)

    def _note(self, run_id: str, number: int, event: str | None) -> None:
        """None: the end."""
        self._file.write(json.dumps([time.monotonic(), run_id, number, event]).encode() + b"\n")


def who(request: web.Request) -> Principal:
    return Principal("history", SCOPES, tenant="")


async def main(url: str, host: str, port: str) -> None:
    engine = Engine(url, grace=0.2)
    following = asyncio.ensure_future(Inside(engine).follow_all())
    await serve(
        engine, flows.ALL, host, int(port), guard=Guard(authorize=who), allowed_hosts=[host],
        ready=lambda url: flows.append("ready", os.environ[flows.HERE]),
    )  # fmt: skip
    following.cancel()


if __name__ == "__main__":
    *words, namespace = sys.argv[1:]
    with Path(os.environ[flows.FOLDER], f"says.{os.environ[flows.HERE]}").open("ab") as says:
        for descriptor in (1, 2):
            os.dup2(says.fileno(), descriptor)
    if namespace:
        enter(namespace)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(main(*words))
