"""``SyncClient``: the client for scripts and notebooks. Its methods are those of ``Client``, without ``await``."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import update_wrapper
from types import TracebackType
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, Self, TypeVar, cast, overload

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from reactor.definition.task import Task
from reactor.events.event import Event
from reactor.events.state import RunState
from reactor.events.vocabulary import RunStatus
from reactor.runs.positions import START, TreeCursor, TreeEvent
from reactor_web.client.client import Client
from reactor_web.client.errors import ClientClosed
from reactor_web.client.loop_thread import LoopThread
from reactor_web.client.run import RemoteRun
from reactor_web.client.session import RemoteSession

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


class _Blocking(Generic[P, T]):
    """A method that has an async one carried out on the loop, and waits for it. It has the name, the parameters and
    the docstring of the async one, which are written once.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], Any], convert: Callable[[Any, Any], Any]) -> None:
        self._method = method
        self._convert = convert
        update_wrapper(cast("Any", self), method)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, T]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return self._convert(instance, lambda: self._method(instance.remote, *args, **kwargs))

        bound = update_wrapper(cast("Any", call), self._method)
        bound.__wrapped__ = self._method.__get__(instance.remote)
        return bound


def _blocking(method: Callable[Concatenate[Any, P], Awaitable[T]]) -> _Blocking[P, T]:
    return _Blocking(method, lambda holder, begin: holder.loop.wait(begin))


def _giving_run(method: Callable[Concatenate[Any, P], Awaitable[RemoteRun]]) -> _Blocking[P, SyncRun]:
    return _Blocking(method, lambda holder, begin: _sync(holder.client, holder.loop.wait(begin)))


def _giving_session(method: Callable[Concatenate[Any, P], Awaitable[RemoteSession]]) -> _Blocking[P, SyncSession]:
    return _Blocking(method, lambda holder, begin: _sync(holder.client, holder.loop.wait(begin)))


def _ensuring(
    method: Callable[Concatenate[Any, P], Awaitable[tuple[RemoteRun, bool]]],
) -> _Blocking[P, tuple[SyncRun, bool]]:
    def ensured(holder: Any, begin: Callable[[], Awaitable[tuple[RemoteRun, bool]]]) -> tuple[SyncRun, bool]:
        run, is_new = holder.loop.wait(begin)
        return _sync(holder.client, run), is_new

    return _Blocking(method, ensured)


def _iterating(method: Callable[Concatenate[Any, P], AsyncIterator[T]]) -> _Blocking[P, Iterator[T]]:
    def iterated(holder: Any, begin: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
        yield from holder.loop.iterate(begin)  # a generator of its own, which keeps the client

    return _Blocking(method, iterated)


class SyncRun:
    """One run of a server, with the methods of ``RemoteRun``, without ``await``, on any thread.

    ``for event in run`` gives its events; ``run.wait()`` is what ``await run`` is: its outputs, or RunFailed,
    RunCancelled. Observables call their subscribers on the thread of the client.
    """

    def __init__(self, client: SyncClient, remote: RemoteRun) -> None:
        self.client = client
        self.loop = client.loop
        self.remote = remote
        """The handle behind this one, for code on the loop."""

    @property
    def id(self) -> str:
        return self.remote.id

    @property
    def url(self) -> str:
        """Of the run, as ``reactor watch`` takes it."""
        return self.remote.url

    @property
    def status(self) -> RunStatus:
        """``pending running paused cancelling completed failed cancelled``: the newest that this handle was told."""
        return self.remote.status

    @property
    def state(self) -> RunState:
        """What this handle has seen so far: a copy, which no other thread changes. ``refresh()`` asks the server."""
        try:
            return self.loop.call(lambda: self.remote.state.copy())
        except ClientClosed:
            return self.remote.state.copy()  # nothing changes it any more

    def wait(self) -> dict[str, Any]:
        """Waits for the end: the outputs of a completed run. Raises RunFailed, RunCancelled, UnknownRun, …"""
        return self.loop.wait(lambda: self.remote)

    def __await__(self) -> NoReturn:
        raise TypeError(f"run {self.id} belongs to a SyncClient: write run.wait(); await is for the runs of a Client")

    def __aiter__(self) -> NoReturn:
        raise TypeError(f"run {self.id} belongs to a SyncClient: write for event in run, without async")

    def __iter__(self) -> Iterator[Event]:
        yield from self.loop.iterate(self.remote.__aiter__)

    @property
    def events(self) -> Observable[Event]:
        """Its events from the first one on, then live."""
        return _on_loop(self.loop, lambda: self.remote.events)

    def events_after(self, cursor: int) -> Observable[Event]:
        """The events with ``seq > cursor``, then live."""
        events = self.remote.events_after(cursor)
        return _on_loop(self.loop, lambda: events)

    @property
    def live(self) -> Observable[Event]:
        """Its events from now on."""
        return _on_loop(self.loop, lambda: self.remote.live)

    def task_events(self, task_id: str | Task[..., Any]) -> Observable[Event]:
        """The events of one task; completes when the task has ended."""
        events = self.remote.task_events(task_id)
        return _on_loop(self.loop, lambda: events)

    def ended(self) -> RunState:
        """Waits for the terminal event of any kind; returns the state. Raises as that of ``RemoteRun``."""
        return self.loop.wait(self.remote.ended).copy()

    def refresh(self) -> RunState:
        """Asks for the state as it is now, and returns it. Raises UnknownRun."""
        return self.loop.wait(self.remote.refresh).copy()

    state_at = _blocking(RemoteRun.state_at)
    outputs = _blocking(RemoteRun.outputs)
    shown_outputs = _blocking(RemoteRun.shown_outputs)
    output = _blocking(RemoteRun.output)
    beginning = _blocking(RemoteRun.beginning)
    cancel = _blocking(RemoteRun.cancel)
    request_cancel = _blocking(RemoteRun.request_cancel)
    pause = _blocking(RemoteRun.pause)
    resume = _blocking(RemoteRun.resume)
    send = _blocking(RemoteRun.send)
    emit = _blocking(RemoteRun.emit)
    emit_all = _blocking(RemoteRun.emit_all)
    retry = _giving_run(RemoteRun.retry)
    delete = _blocking(RemoteRun.delete)

    def __repr__(self) -> str:
        return repr(self.remote).replace("Remote", "Sync", 1)


class SyncSession(SyncRun):
    """A session of a server, with the methods of ``RemoteSession``, without ``await``."""

    close = _blocking(RemoteSession.close)


class SyncClient:
    """A client for scripts and notebooks: the methods of ``Client``, without ``await``, on any number of threads.

        with SyncClient("http://127.0.0.1:8080") as client:
            run = client.start("report", {"topic": "tea"})
            for event in run:
                print(event)
            outputs = run.wait()

    It has an event loop of its own in a thread, so it works where a loop runs already, which stands still while a
    method waits: in an async function take ``Client``. The options and errors are those of ``Client``. ``close()``, or
    the end of ``with``, raises ClientClosed in its loops and in what waits; without either it ends with the process.
    """

    def __init__(self, url: str, **options: Any) -> None:
        if "session" in options:
            raise TypeError("a SyncClient has a loop of its own, and a session belongs to another: leave out session=")
        self.remote = Client(url, **options)
        """The client behind this one, for code on the loop."""
        self.loop = LoopThread()
        self._finalizer = weakref.finalize(self, self.loop.stop, self.remote.close)

    @property
    def url(self) -> str:
        """Of the routes: ``http://127.0.0.1:8080/api/v1``."""
        return self.remote.url

    @property
    def client(self) -> SyncClient:
        return self

    def __enter__(self) -> Self:
        return self

    async def __aenter__(self) -> NoReturn:
        raise TypeError("a SyncClient is for code without await: write with SyncClient(...), or async with Client(...)")

    async def __aexit__(self, *_: object) -> None: ...  # without it ``async with`` does not ask for the one above

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the client; the runs go on."""
        self._finalizer()

    start = _giving_run(Client.start)
    start_plan = _giving_run(Client.start_plan)
    ensure = _ensuring(Client.ensure)
    session = _giving_session(Client.session)
    get = _giving_run(Client.get)
    cancel = _giving_run(Client.cancel)
    retry = _giving_run(Client.retry)
    delete = _blocking(Client.delete)
    list = _blocking(Client.list)
    runs = _iterating(Client.runs)
    questions = _blocking(Client.questions)
    durations = _blocking(Client.durations)
    workflows = _blocking(Client.workflows)
    tools = _blocking(Client.tools)
    all_events = _iterating(Client.all_events)
    schedule = _blocking(Client.schedule)
    schedules = _blocking(Client.schedules)
    get_schedule = _blocking(Client.get_schedule)
    pause_schedule = _blocking(Client.pause_schedule)
    resume_schedule = _blocking(Client.resume_schedule)
    trigger_schedule = _giving_run(Client.trigger_schedule)
    remove_schedule = _blocking(Client.remove_schedule)

    def run(self, run_id: str, *, await_run: float | None = None) -> SyncRun:
        """The handle on a run, without a request."""
        return SyncRun(self, self.remote.run(run_id, await_run=await_run))

    def tree_events(self, run_id: str, after: TreeCursor | str | int = START) -> Iterator[TreeEvent]:
        """The events of a run and of all runs below it. Raises UnknownRun."""
        events = self.loop.wait(lambda: self.remote.tree_events(run_id, after))
        yield from self.loop.iterate(lambda: events)

    def __repr__(self) -> str:
        return f"<SyncClient of {self.url}>"


def _sync(client: SyncClient, run: RemoteRun) -> Any:
    return SyncSession(client, run) if isinstance(run, RemoteSession) else SyncRun(client, run)


def _on_loop(loop: LoopThread, source: Callable[[], Observable[Event]]) -> Observable[Event]:
    """The same Observable, for subscribers of other threads: they are called on the thread of the loop."""

    def subscribe(observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        subscription = loop.call(lambda: source().subscribe(observer, scheduler=scheduler))
        return Disposable(subscription.dispose)  # which may be called on any thread

    return Observable(subscribe)
