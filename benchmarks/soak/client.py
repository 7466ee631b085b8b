"""The program of the clients: ``python -m benchmarks.soak.client``, a plan on stdin, then a line for each round.

Each round is answered with what was done: operations by kind, streams, events, and what was wrong.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from time import monotonic
from typing import Any, Final

import aiohttp
import orjson

from benchmarks.soak.logged import Logged
from benchmarks.soak.operations import OPERATIONS, Clients

GIVES_UP: Final = 180.0
"""Seconds after which an operation is wrong."""


async def round_of(plan: dict[str, Any], seconds: float, number: int) -> dict[str, Any]:
    """Operations for so many seconds, so many at a time, each kind in its turn."""
    done, faults, until = Counter[str](), list[str](), monotonic() + seconds
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        clients = Clients(http, plan["url"], Logged(plan["log"]), f"{plan['name']}-{number}")
        left = iter(_turns(clients, until))

        async def work() -> None:
            for kind in left:
                try:
                    await asyncio.wait_for(OPERATIONS[kind](clients), GIVES_UP)
                except Exception as error:  # it is reported, and the others go on
                    faults.append(f"{kind}: {type(error).__name__}: {error}")
                done[kind] += 1

        await asyncio.gather(*(work() for _ in range(plan["at_once"])))
    return {"done": done, "streams": clients.streams, "events": clients.events, "faults": faults}


def _turns(clients: Clients, until: float) -> Any:
    """Each kind once, in an order of their own; then again."""
    while True:
        kinds = [*OPERATIONS]
        clients.chance.shuffle(kinds)
        for kind in kinds:
            if monotonic() > until:
                return
            yield kind


def main() -> None:
    plan = orjson.loads(sys.stdin.buffer.readline())
    for number, line in enumerate(sys.stdin.buffer):
        result = asyncio.run(round_of(plan, orjson.loads(line), number))
        sys.stdout.buffer.write(orjson.dumps(result) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
