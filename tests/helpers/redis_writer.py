"""A process that holds a run and appends to it as fast as it can: ``python -m tests.helpers.redis_writer URL RUN``.

It prints the last seq that was acknowledged, after each window, and at the end why it ends.
"""

from __future__ import annotations

import asyncio
import sys

from reactor.logs.redis.url import open_redis
from reactor.testing.log_laws import event, started


async def main(url: str, run_id: str) -> None:
    log = open_redis(url)
    lost = asyncio.Event()
    log.when_lost(lambda run_id, tenant: lost.set())
    await log.open()
    assert await log.acquire(run_id)
    seq = 1
    try:
        while not lost.is_set():
            await log.append(run_id, [started(run_id) if seq == 1 else event(seq, run_id, said="stopped")])
            print(seq, flush=True)
            seq += 1
        print("lost", flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
