"""The Observables of a run on a server. Each subscription has a connection of its own, which its end closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from reactor.events.event import Event, Message
from reactor.events.state import RunState
from reactor.operators.attached import operator_of
from reactor.operators.guarded import guarded
from reactor.stream.follow import log_error_of
from reactor.stream.task_events import Selecting
from reactor_web.client.connection import Connection

Messages: TypeAlias = Callable[[], AsyncGenerator[Message, None]]
"""Begins a stream."""


class RemoteEvents(Observable[Event]):
    """What a stream says, for any number of subscribers, each of which has it from its beginning.

    Subscribe on the loop of the client. Nothing is delivered inside ``subscribe``. Where the stream cannot be followed
    its error is that of the subscriber. One that raises is detached and logged; one that blocks the loop for more than
    100 ms is logged, and the second time detached. When the client closes, ClientClosed is the error of those that
    have not had everything.
    """

    def __init__(self, run_id: str, connection: Connection, messages: Messages) -> None:
        super().__init__()
        self._connection = connection
        self._messages = messages
        pushed: Observable[Event] = Observable(self._push)
        self._events = self.select(pushed).pipe(guarded(log_error_of(run_id), run_id=run_id))

    def select(self, pushed: Observable[Event]) -> Observable[Event]:
        """What of the stream is given to subscribers."""
        return pushed

    def _subscribe_core(
        self, observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._events.subscribe(observer, scheduler=scheduler)

    def _push(
        self, observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        pushing = _Pushing(self._connection, self._messages, observer)
        return Disposable(pushing.stop)


class RemoteTaskEvents(RemoteEvents):
    """The events of one task, until it has ended; ``state_of``: the state of the run, which its stream folds."""

    def __init__(
        self, run_id: str, connection: Connection, messages: Messages, task_id: str, state_of: Callable[[], RunState]
    ) -> None:
        self.task_id = task_id
        self._state_of = state_of
        super().__init__(run_id, connection, messages)

    def select(self, pushed: Observable[Event]) -> Observable[Event]:
        return pushed.pipe(operator_of(lambda sink: Selecting(sink, self._state_of, self.task_id)))


class _Pushing:
    """One subscription: a task that reads a stream and calls an observer."""

    def __init__(self, connection: Connection, messages: Messages, observer: abc.ObserverBase[Event]) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages = messages
        self._observer = observer
        self._is_stopped = False
        self._task = connection.keep(self._run())

    def stop(self) -> None:
        """Closes the connection; may be called on any thread."""
        self._is_stopped = True
        if self._loop.is_closed():
            return
        try:
            is_ours = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_ours = False
        if is_ours:
            self._task.cancel()
        else:
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _run(self) -> None:
        observer = cast("Any", self._observer)  # a Notice stands among the events, see ``RemoteRun.events``
        try:
            async with aclosing(self._messages()) as messages:
                async for message in messages:
                    observer.on_next(message)
                    if self._is_stopped:
                        return
        except Exception as error:
            observer.on_error(error)
            return
        observer.on_completed()
