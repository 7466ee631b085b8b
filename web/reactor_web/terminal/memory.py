"""Gives memory back to the system after many streams have closed.

The allocator of glibc keeps what is freed below something that is still in use: 500 clients that read nothing had been
given 100 MB, and the process kept all of it although nothing used it any more. ``malloc_trim(3)`` returns it.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import Callable, Sized
from typing import Final

LOOK_SECONDS: Final = 1.0
FEWER: Final = 100
"""So many streams fewer than there were are a reason to give memory back: it takes some 20 ms of a thread."""
SETTLE_SECONDS: Final = 3.0
"""What is closed is freed some turns later."""


async def give_memory_back(
    streams: Sized, trim: Callable[[], object] | None, *, look: float = LOOK_SECONDS, settle: float = SETTLE_SECONDS
) -> None:
    """Calls ``trim`` in a thread whenever there are many fewer streams than there were; never ends.

    With None, there is nothing to do.
    """
    most = 0
    while trim is not None:
        await asyncio.sleep(look)
        most = max(most, len(streams))
        if most - len(streams) >= FEWER:
            await asyncio.sleep(settle)
            await asyncio.to_thread(trim)
            most = len(streams)


def trimmer() -> Callable[[], object] | None:
    """``malloc_trim`` of glibc; None where the C library has none."""
    if sys.platform != "linux":
        return None
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return lambda: malloc_trim(ctypes.c_size_t(0))
