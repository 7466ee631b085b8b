"""A chat in a process of its own, which a test can kill: ``python -m tests.helpers.chat_server PORT STORE GATE``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from reactor import Context, Engine, Workflow
from reactor_web import Start, add_chat


def talk(gate: Path) -> Workflow:
    """Two tasks speak at once, then wait until the file ``gate`` is there; the first attempt of a killed one stays."""
    flow = Workflow("talk")

    async def say(text: str, ctx: Context) -> str:
        for word in text.split():
            await ctx.chunk(f"{word} ")
            await ctx.committed()
        async with ctx.tool_call("wait", {"for": gate.name}):
            while not gate.exists():
                await asyncio.sleep(0.01)
        await ctx.chunk("done")
        return text

    flow.task(say, name="left")
    flow.task(say, name="right")
    return flow


async def serve(port: int, store: str, gate: Path) -> None:
    flow, app = talk(gate), web.Application()

    def begin(request: web.Request, body: Any) -> Start:
        return Start(flow, {"text": body["messages"][-1]["parts"][0]["text"]})

    add_chat(app, "/api/chat", Engine(store, workflows=[flow]), begin)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("serving", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
