"""What waits for the server, so that closing the client ends it in whatever phase it is."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

from reactor_web.client.errors import ClientClosed

CLOSED: Final = "the client is closed: nothing is asked or followed any more; make a new one"


class UnderWay:
    """All that waits now. ``with under_way.wait():`` around an await makes it one of them."""

    def __init__(self) -> None:
        self.is_closed = False
        self._waits: set[_Wait] = set()

    def check(self) -> None:
        """Raises ClientClosed once it is closed."""
        if self.is_closed:
            raise ClientClosed(CLOSED)

    def wait(self) -> _Wait:
        """Raises ClientClosed, also out of the middle of what is awaited inside of it."""
        return _Wait(self, self._waits)

    def close(self) -> None:
        """Ends what waits, but for who calls this."""
        self.is_closed = True
        for wait in list(self._waits):
            wait.end()


class _Wait:
    """Cancels its task and takes the cancel back again, as ``asyncio.timeout`` does."""

    def __init__(self, under_way: UnderWay, waits: set[_Wait]) -> None:
        self._under_way = under_way
        self._waits = waits
        self._task: asyncio.Task[object] | None = None
        self._cancels = 0
        self._is_ended = False

    def __enter__(self) -> None:
        self._under_way.check()
        self._task = asyncio.current_task()
        if self._task is not None:
            self._cancels = self._task.cancelling()
            self._waits.add(self)

    def end(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._is_ended = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waits.discard(self)
        if not self._is_ended or self._task is None:
            return
        is_ours = self._task.uncancel() <= self._cancels  # else somebody else has cancelled the task, too
        if is_ours and (kind is None or issubclass(kind, asyncio.CancelledError)):
            raise ClientClosed(CLOSED) from None
