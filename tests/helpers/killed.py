"""One life of a process in the kill test: ``python -m tests.helpers.killed STORE RUN_ID JOURNAL``."""

from __future__ import annotations

import asyncio
import logging
import sys

from reactor import Engine
from reactor.errors import UnknownRun
from tests.helpers.workflows import killed


async def main(store: str, run_id: str, journal: str) -> None:
    async with Engine(store, workflows=[killed]) as engine:
        try:
            run = await engine.get(run_id)
        except UnknownRun:
            run = await engine.start(killed, {"journal": journal}, run_id=run_id)
        print("begun", flush=True)
        await run
        print("done", flush=True)


if __name__ == "__main__":
    logging.getLogger("reactor").setLevel(logging.ERROR)
    asyncio.run(main(*sys.argv[1:]))
