"""An event loop in a thread of its own, and what waits for it from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar, cast

from reactor_web.client.errors import ClientClosed
from reactor_web.client.under_way import CLOSED

T = TypeVar("T")

_END: Final = object()
_LOOK_SECONDS: Final = 0.5
"""How long a thread that waits may sleep. A signal that comes just before it falls asleep does not wake it, as Python
looks for signals between two instructions: then the Ctrl-C is seen when it wakes by itself."""


class LoopThread:
    """The loop of a ``SyncClient``. Its thread is a daemon: it keeps no process alive."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="reactor client", daemon=True)
        self._lock = threading.RLock()  # a collection may call ``stop`` or ``forget`` inside of either
        self._is_stopped = False
        self._iterated: set[AsyncIterator[Any]] = set()
        """Those that somebody is in the middle of. Loop thread only."""
        self._failure: BaseException | None = None
        """What the last thing that it carried out has raised."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def wait(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Calls ``begin`` on the loop and returns what it gives when awaited; raises what it raises.

        Where the waiting thread is interrupted (Ctrl-C), what was begun is cancelled. Raises ClientClosed once the loop
        is stopped, and RuntimeError on the thread of the loop, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a SyncClient cannot wait on its own thread, where subscribers of its runs are called")
        future = self._submit(_awaited(begin))
        try:
            return _result(future)
        except concurrent.futures.CancelledError:
            raise ClientClosed(CLOSED) from None
        except BaseException:
            future.cancel()  # does nothing where it has ended
            raise

    def iterate(self, begin: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
        """The items of an async iterator, each when it is asked for. Raises ClientClosed once the loop is stopped."""
        held: list[AsyncIterator[T]] = []

        async def following() -> T | object:
            if not held:
                held.append(begin())
                self._iterated.add(held[0])
            return await anext(held[0], _END)

        try:
            while (item := self.wait(following)) is not _END:
                yield cast("T", item)
        finally:
            if held:
                self.forget(self._close(held[0]))

    def forget(self, work: Coroutine[Any, Any, None]) -> None:
        """Carries something out on the loop, and waits for nothing: a generator may be collected on any thread."""
        if sys.is_finalizing():  # the thread of the loop stands still by now, and would never begin it
            work.close()
            return
        try:
            self._submit(work)
        except ClientClosed:
            work.close()

    async def _close(self, iterator: AsyncIterator[Any]) -> None:
        self._iterated.discard(iterator)
        if isinstance(iterator, AsyncGenerator):
            try:
                await cast("AsyncGenerator[Any, None]", iterator).aclose()
            except RuntimeError:
                pass  # a cancelled step is still running in it, and closes it

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop, from any thread."""
        if threading.current_thread() is self._thread:
            return function()

        async def called() -> T:
            return function()

        return self.wait(called)

    def _submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        with self._lock:
            if self._is_stopped:
                work.close()
                raise ClientClosed(CLOSED)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, last: Callable[[], Awaitable[object]]) -> None:
        """Carries ``last`` out, cancels what is still under way, and ends the thread. Again: does nothing."""
        with self._lock:
            if self._is_stopped:
                return
            self._is_stopped = True
            asyncio.run_coroutine_threadsafe(self._end(last), self._loop)
        if threading.current_thread() is not self._thread:  # else a collection happened to call this there
            self._thread.join()
            if self._failure is not None:
                raise self._failure

    async def _end(self, last: Callable[[], Awaitable[object]]) -> None:
        try:
            await last()
        except Exception as error:
            self._failure = error  # for who stops it: its future is not done before the loop has stopped
        finally:
            await asyncio.sleep(0)  # iterators that end by it end by themselves
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for iterator in list(self._iterated):  # before those inside of it, which a shutdown closes at the same time
                await self._close(iterator)
            await self._loop.shutdown_asyncgens()
            await self._loop.shutdown_default_executor()
            self._loop.stop()


def _result(future: concurrent.futures.Future[T]) -> T:
    """Waits for it, and wakes now and then."""
    while True:
        try:
            return future.result(_LOOK_SECONDS)
        except TimeoutError:  # of this wait, or what it has ended with
            if future.done():
                return future.result()


async def _awaited(begin: Callable[[], Awaitable[T]]) -> T:
    return await begin()
