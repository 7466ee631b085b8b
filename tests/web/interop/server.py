"""A server for all clients at once: ``python -m tests.web.interop.server PORT STORE ORIGIN``.

Its runs stop at two gates, which are opened by ``POST /gate/{scene}/{name}``. ``POST /cut/{scene}`` breaks off every
connection of a scene, as a network does.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from aiohttp import web

import reactor_web
from reactor import Context, Engine, Workflow
from reactor_web import Start
from reactor_web.streaming.connection import wire
from reactor_web.streaming.streams import STREAMS
from tests.helpers.server import Gates

RETRY_MS = 200
"""What clients are told to wait: less than by default, so that a test need not wait for it."""

ODD = 'é ü \u2028 \u2029 😀 \r\n data: no\n\nid: 9\n\nevent: no\r\r\0 \x7f \\ " <b>'
"""Text that would break a frame which is not written with care."""

BIG = 40_000
"""Characters of the largest event: more than a buffer of nginx, so that it comes in many pieces."""


def interop(gates: Gates) -> Workflow:
    """Tokens up to ``HALF-<attempt>``, more behind the gate ``cut`` up to ``AWAY-<attempt>``, the rest behind ``on``.

    Another task speaks all the time, so that a cut is in the middle of tokens.
    """
    flow = Workflow("interop")

    @flow.task
    async def speak(scene: str, ctx: Context) -> str:
        await _tokens(ctx, "one two three")
        async with ctx.tool_call("search", {"q": ODD}) as call:
            call.result = [ODD]
        await ctx.emit("odd.said", {"text": ODD, "big": "x" * BIG})
        await _tokens(ctx, ODD, f"HALF-{ctx.attempt}")
        await gates[f"{scene}/cut"].wait()
        await ctx.log.info("while they are away", odd=ODD)
        await _tokens(ctx, "four five six", f"AWAY-{ctx.attempt}")
        await gates[f"{scene}/on"].wait()
        await _tokens(ctx, "seven eight nine")
        return ODD

    @flow.task
    async def babble(scene: str, ctx: Context) -> int:
        said = 0
        while not gates[f"{scene}/on"].is_set():
            said += 1
            await _tokens(ctx, f"{said}")
            await asyncio.sleep(0.02)  # as a model does
        return said

    @flow.task
    async def numbers() -> list[int]:
        return [1, 2, 3]

    @flow.task(map={"n": "numbers"})
    async def square(n: int, ctx: Context) -> int:
        await ctx.progress(0.5, ODD)
        return n * n

    @flow.task
    async def total(square: list[int], speak: str) -> str:
        return f"{sum(square)} {speak}"

    return flow


async def _tokens(ctx: Context, *texts: str) -> None:
    """Each word is an event of its own."""
    for text in texts:
        for word in text.split(" "):
            await ctx.chunk(f"{word} ")
            await ctx.committed()


def application(engine: Engine, gates: Gates, origin: str) -> web.Application:
    app = web.Application()
    flow = interop(gates)

    async def begin(request: web.Request, body: Any) -> Start:
        return Start(flow, {"scene": body["scene"]})

    async def open_gate(request: web.Request) -> web.Response:
        gates["{scene}/{name}".format(**request.match_info)].set()
        return web.Response()

    async def cut(request: web.Request) -> web.Response:
        cut = [client for client in app[STREAMS] if client.run_id.startswith(request.match_info["scene"])]
        for client in cut:
            client.abort("error")
        return web.json_response(len(cut))

    reactor_web.mount(app, engine, [flow], cors=[origin])
    reactor_web.add_chat(app, "/api/chat", engine, begin)
    reactor_web.add_agent(app, "/agent", engine, flow)
    app.router.add_post("/gate/{scene}/{name}", open_gate)
    app.router.add_post("/cut/{scene}", cut)
    return app


async def serve(port: int, store: str, origin: str) -> None:
    wire.RETRY_MS = RETRY_MS  # type: ignore[misc]
    app = application(Engine(store, grace=0.0), Gates(), origin)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("serving", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.getLogger("reactor").setLevel(logging.ERROR)
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
