"""What is done after a request is over, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from reactor.logger import get_logger

logger = get_logger("reactor.web")

_doing: Final[set[asyncio.Task[None]]] = set()
"""The loop itself holds tasks by weak references only."""


def in_background(job: Coroutine[Any, Any, object], failed: str) -> None:
    """Does a job of a store. ``failed``: what the log says of it where it cannot be done."""

    async def do() -> None:
        try:
            await job
        except Exception as error:
            logger.error("something is left undone after a request", what=failed, exc_info=error)

    task = asyncio.get_running_loop().create_task(do())
    _doing.add(task)
    task.add_done_callback(_doing.discard)
