"""A server with little patience: ``python -m tests.helpers.impatient FILE`` prints its port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

import reactor_web
from reactor import Context, Engine, Workflow
from reactor_web import bounds
from reactor_web.streaming import streams

SECONDS = 1.5
"""What everybody has: the log for an append, a client for a write, a request for its body."""

talk, flood, later = Workflow("talk"), Workflow("flood"), Workflow("later")


@talk.task
async def say(ctx: Context) -> int:
    """Has nearly always an append under way."""
    for number in range(150):
        await ctx.emit("number.said", {"number": number})
        await ctx.committed()
        await asyncio.sleep(0.01)
    return 150


@flood.task
async def pour(ctx: Context) -> None:
    for _ in range(600):
        await ctx.emit("much.said", {"text": "x" * 20_000})


@later.task
async def once() -> str:
    return "here"


async def main() -> None:
    bounds.BODY_SECONDS = SECONDS  # type: ignore[misc]
    streams.SEND_TIMEOUT_SECONDS = SECONDS  # type: ignore[misc]
    engine = Engine(f"sqlite:///{Path(sys.argv[1])}", append_timeout=SECONDS, grace=0)
    runner = web.AppRunner(reactor_web.create_app(engine, [talk, flood, later]))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
