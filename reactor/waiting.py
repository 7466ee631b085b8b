"""Awaitables for ``ctx.emit``: one that is always ready, and one that many can share."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Generator
from typing import Any


class Ready:
    """An awaitable that is done. There is one instance, ``READY``: an ``emit`` that need not wait allocates nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield  # pragma: no cover  # makes this function a generator, which ends at once


READY = Ready()


class Shared:
    """Awaits a future that others await too: if one of them is cancelled, the future and the others are not."""

    __slots__ = ("_future",)

    def __init__(self, future: Future[None]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        mine: Future[None] = self._future.get_loop().create_future()

        def wake(_: Future[None]) -> None:
            if not mine.done():
                mine.set_result(None)

        self._future.add_done_callback(wake)
        try:
            yield from mine
        finally:
            self._future.remove_done_callback(wake)
