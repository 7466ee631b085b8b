"""A process with a schedule that is killed at a moment: ``python killed.py FILE MOMENT CATCH_UP``.

``before``: the time is stored as pending, and its run has not started; ``after``: it has, and that is not stored.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from reactor import Engine, Workflow
from reactor.schedules.scheduler import Scheduler
from reactor.testing import VirtualClock

flow = Workflow("census")


@flow.task
def work() -> int:
    return 1


def kill_at(moment: str) -> None:
    start = Scheduler.start

    async def killed(self: Scheduler, *args: Any, **options: Any) -> Any:
        if moment == "after":
            await start(self, *args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    Scheduler.start = killed  # type: ignore[method-assign]


async def main(file: str, moment: str, catch_up: Any) -> None:
    kill_at(moment)
    clock = VirtualClock("2026-01-01T06:59:00Z")
    async with Engine(f"sqlite:///{file}", workflows=[flow], clock=clock) as engine:
        await engine.schedule(flow, "0 * * * *", catch_up=catch_up)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
