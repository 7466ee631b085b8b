"""Bodies that do not stop when they are told to: ``python -m tests.helpers.stuck KIND HOW`` runs one of them.

It prints how that ended. HOW is ``run`` (``workflow.run()``) or ``engine`` (an engine in the program's own loop).
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from reactor import Context, Engine, Workflow, bounds


async def swallows() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            pass


async def swallows_twice() -> None:
    for _ in range(3):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


async def waits_in_finally() -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        while True:
            try:
                await asyncio.Event().wait()
            finally:
                continue  # noqa: B012


async def shields() -> None:
    while True:
        try:
            await asyncio.shield(asyncio.sleep(3600))
        except asyncio.CancelledError:
            pass


async def checks(ctx: Context) -> None:
    while True:
        try:
            await ctx.checkpoint()
        except BaseException:
            pass


async def waits_for_its_task() -> None:
    await asyncio.create_task(swallows())


def blocks() -> None:
    threading.Event().wait()


def ignores() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass


KINDS: dict[str, Callable[..., Any]] = {
    body.__name__: body
    for body in (swallows, swallows_twice, waits_in_finally, shields, checks, waits_for_its_task, blocks, ignores)
}

flow = Workflow("stuck")


def add(kind: str) -> None:
    flow.task(name="bad", timeout=0.2, executor="process" if kind == "ignores" else None)(KINDS[kind])


async def in_engine() -> None:
    async with Engine(workflows=[flow]) as engine:
        await (await engine.start(flow))


def main(kind: str, how: str) -> None:
    bounds.TIMEOUT_GRACE_SECONDS = 0.2  # type: ignore[misc]
    add(kind)
    try:
        if how == "run":
            flow.run()
        else:
            asyncio.run(in_engine())
    except BaseException as error:
        print(type(error).__name__, flush=True)
    sys.exit(3)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    main(*sys.argv[1:])
else:
    add("swallows")
