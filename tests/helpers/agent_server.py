"""A server with an agent, in a process of its own: ``python -m tests.helpers.agent_server PORT STORE GATE``.

Its run says a text, waits until the file ``GATE`` is there, asks a question, and returns the answer.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

import reactor_web
from reactor import Context, Engine, Workflow
from tests.helpers.agui import PATH


def slow(gate: str) -> Workflow:
    flow = Workflow("slow")

    @flow.task
    async def speak(message: str, ctx: Context) -> str:
        await ctx.chunk(f"about {message}")
        await ctx.committed()
        while not Path(gate).exists():
            await asyncio.sleep(0.02)
        return message

    @flow.task
    async def ask(speak: str, ctx: Context) -> Any:
        return await ctx.receive("really?", schema=bool, key="sure")

    return flow


def main(port: str, store: str, gate: str) -> None:
    flow, app = slow(gate), web.Application()
    engine = Engine(store, workflows=[flow], grace=0.0)
    reactor_web.add_agent(app, PATH, engine, flow)

    def say(_: str) -> None:
        print("serving", flush=True)  # it listens now

    web.run_app(app, host="127.0.0.1", port=int(port), print=say, access_log=None, shutdown_timeout=5)


if __name__ == "__main__":
    logging.getLogger("reactor").setLevel(logging.ERROR)
    main(*sys.argv[1:])
