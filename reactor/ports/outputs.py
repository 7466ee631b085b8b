"""The port for outputs that runs keep for each other: ``cache=`` of a task."""

from __future__ import annotations

from asyncio import Future
from typing import Protocol, runtime_checkable


@runtime_checkable
class OutputStore(Protocol):
    """Keeps outputs by a key for a time. It may forget any of them: then a body runs once more."""

    async def recall(self, key: str, now: float) -> bytes | None:
        """The output last stored under ``key``, if its time (``until``) is not over. ``now`` is in Unix seconds."""
        ...

    def remember(self, key: str, value: bytes, until: float) -> Future[None]:
        """Stores an output for other runs; ``until`` in Unix seconds. Drops the oldest beyond ``CACHED_OUTPUTS``."""
        ...
