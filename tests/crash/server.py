"""One life of the server: ``python -m tests.crash.server STORE PORT APPEND_TIMEOUT``; its environment: ``oracle``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from aiohttp import web

from reactor import Engine
from reactor.events.event import Window
from reactor_web.guard.guard import Guard
from reactor_web.guard.principal import SCOPES, Principal
from reactor_web.terminal.serve import serve
from tests.crash import flows
from tests.crash.oracle import SLOW, EndAt

TENANT = "X-Tenant"
"""The header that says whose runs are asked for."""


class EndAtWindow(EndAt):
    """Kills this process when the n-th window is in the log, and nobody has seen it yet."""

    def window_appended(self, window: Window, seconds: float) -> None:
        self.count()


SLOW_SECONDS = 0.05


def slow_down(log: Any) -> None:
    """A log whose disk is slow: what is said before it is in the log is said long before, and is found out."""
    append = log.append

    def later(*arguments: Any, **options: Any) -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def answer(appended: asyncio.Future[int]) -> None:
            if not done.done():
                error = appended.exception()
                done.set_result(appended.result()) if error is None else done.set_exception(error)

        loop.call_later(SLOW_SECONDS, lambda: append(*arguments, **options).add_done_callback(answer))
        return done

    log.append = later


def who(request: web.Request) -> Principal:
    return Principal("crash", SCOPES, tenant=request.headers.get(TENANT, ""))


async def main(store: str, port: str, append_timeout: str) -> None:
    engine = Engine(store, append_timeout=float(append_timeout), listeners=[EndAtWindow("window")], grace=0.2)
    if os.environ.get(SLOW):
        slow_down(engine.log)
    await serve(
        engine, flows.ALL, "127.0.0.1", int(port), guard=Guard(authorize=who),
        ready=lambda url: print(url, flush=True),
    )  # fmt: skip


if __name__ == "__main__":
    logging.getLogger("reactor").setLevel(logging.CRITICAL)
    asyncio.run(main(*sys.argv[1:]))
