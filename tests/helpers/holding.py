"""An engine whose bodies hold the interpreter in their process: ``python -m tests.helpers.holding STORE ORACLE HOW``.

Each body appends lines to the oracle: its process id, and what it does. Its second line comes after the C call.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import sys
from collections.abc import Callable

from reactor import Engine, Workflow
from reactor.errors import UnknownRun


def say(oracle: str, word: str) -> None:
    """Appends a line, and has it on the disk."""
    fd = os.open(oracle, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{os.getpid()} {word}\n".encode())
    os.fsync(fd)
    os.close(fd)


def in_c() -> None:
    ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the interpreter's lock


def in_re() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")  # for ever, with the lock


HOW: dict[str, Callable[[], None]] = {"c": in_c, "re": in_re}
holding = Workflow("holding")


@holding.task(executor="process")
def hold(oracle: str, how: str) -> None:
    say(oracle, "begins")
    HOW[how]()
    say(oracle, "goes on")


async def main(store: str, oracle: str, how: str) -> None:
    async with Engine(store, workflows=[holding]) as engine:
        try:
            run = await engine.get("r")
        except UnknownRun:
            run = await engine.start(holding, {"oracle": oracle, "how": how}, run_id="r")
        await run


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
