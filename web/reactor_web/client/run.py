"""``RemoteRun``: the handle of a run on a server, with the surface of the ``Run`` of the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final, cast
from urllib.parse import quote

import orjson
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from reactor.definition.task import Task, task_id_of
from reactor.errors import LogLost, UnknownTask
from reactor.events.event import Event, Message, Notice
from reactor.events.fold import evolve
from reactor.events.state import ENDED, RunState
from reactor.events.vocabulary import NOTICES, RunStatus
from reactor.runs.outcome import cancelled, failure_of
from reactor_web.client.asking import Asking, RequestRefused
from reactor_web.client.follow import follow_url

HEARTBEAT_SECONDS: Final = 15
_STARTS_ANEW: Final = frozenset({"ahead", "rewound"})


class RemoteRun:
    """One run on a server: follow it, await it, control it. A stream reconnects by its cursor until the run has ended.

    - ``async for event in run``: its events from the first one on, then live; a ``stream.gap`` comes as a Notice.
    - ``run.events``, ``run.events_after(seq)``, ``run.live``, ``run.task_events(task)``: the same as Observables.
    - ``await run``: its outputs; raises RunFailed or RunCancelled.
    - ``run.state``: the fold of what this handle has followed; ``await run.refresh()`` asks the server for it.

    Streams raise StreamRefused and StreamUnavailable, commands RequestRefused and ServerUnavailable.
    """

    def __init__(self, asking: Asking, run_id: str) -> None:
        self.id = run_id
        self.url = f"{asking.base}/runs/{quote(run_id, safe='')}"
        self._asking = asking
        self._path = f"/runs/{quote(run_id, safe='')}"
        self._state = RunState(run_id)

    @property
    def status(self) -> RunStatus:
        """``pending running paused cancelling completed failed cancelled``, as of ``state``."""
        return self._state.status

    @property
    def state(self) -> RunState:
        """The folded state, as far as this handle has followed the run or last refreshed."""
        return self._state

    async def refresh(self) -> RunState:
        """Asks the server for the state as it is now."""
        state = RunState.from_dict(await self.shown())
        if state.seq >= self._state.seq:
            self._state = state
        return self._state

    async def shown(self) -> dict[str, Any]:
        """What ``GET /runs/{id}`` answers: the state, ``input``, ``graph``, ``tree``; after the end ``outputs``."""
        return await self._asking.ask("GET", self._path)

    # --- following -----------------------------------------------------------------------------------------------

    async def messages(self, after: int = 0) -> AsyncGenerator[Message, None]:
        """The events with ``seq > after``, each once and in order, and ``stream.gap`` where some are gone."""
        url = f"{self.url}/events?dialect=native&throttle=0&heartbeat={HEARTBEAT_SECONDS}"
        frames = follow_url(
            url,
            after=after,
            session=self._asking.session,
            heartbeat=HEARTBEAT_SECONDS,
            authorize=self._asking.headers,
        )
        async with aclosing(frames):
            async for frame in frames:
                if frame.event not in NOTICES:
                    event = Event.from_json(frame.data.encode())
                    self._fold(event)
                    yield event
                elif frame.event == "run.state":
                    self._take(orjson.loads(frame.data)["data"])
                elif frame.event == "stream.gap":
                    notice = orjson.loads(frame.data)
                    if notice["data"]["reason"] in _STARTS_ANEW:
                        self._state = RunState(self.id)
                    yield Notice("stream.gap", self.id, notice["time"], notice["data"])

    def _fold(self, event: Event) -> None:
        if event.seq == self._state.seq + 1:
            evolve(self._state, event)

    def _take(self, data: dict[str, Any]) -> None:
        """A state that stands in for events that are gone; one in several parts is put together."""
        state = RunState.from_dict(data)
        if data.get("part", 1) > 1:
            self._state.tasks.update(state.tasks)
            self._state.count_progress()
        elif state.seq >= self._state.seq:
            self._state = state

    async def __aiter__(self) -> AsyncIterator[Event]:
        async with aclosing(self.messages()) as messages:
            async for message in messages:
                yield cast(Event, message)

    @property
    def events(self) -> Observable[Event]:
        """Cold Observable of its events from the first one on. Subscribe on a running loop."""
        return self.events_after(0)

    def events_after(self, cursor: int) -> Observable[Event]:
        """The events with ``seq > cursor``, then live; completes with the run."""
        return _observable(lambda: self.messages(cursor))

    @property
    def live(self) -> Observable[Event]:
        """Its events from the moment of subscription on."""
        return _observable(self._from_now)

    def task_events(self, task_id: str | Task[..., Any]) -> Observable[Event]:
        """The events of one task; completes when the task has ended. An unknown name is on_error(UnknownTask)."""
        return _observable(lambda: self._of_task(task_id_of(task_id)))

    async def _from_now(self) -> AsyncGenerator[Message, None]:
        seq = (await self.shown())["seq"]
        async with aclosing(self.messages(seq)) as messages:
            async for message in messages:
                yield message

    async def _of_task(self, task_id: str) -> AsyncGenerator[Message, None]:
        state = RunState(self.id)
        async with aclosing(self.messages()) as messages:
            async for message in messages:
                if not isinstance(message, Event):
                    yield message
                    continue
                evolve(state, message)
                if message.type == "run.started" and task_id.partition("[")[0] not in state.tasks:
                    raise UnknownTask(f"run {self.id} has no task {task_id!r}", run_id=self.id, task_id=task_id)
                if message.task_id == task_id:
                    yield message
                if task_id in state.tasks and state.tasks[task_id].status in ENDED:
                    return

    # --- the outcome ---------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        return self._outcome().__await__()

    async def ended(self) -> RunState:
        """Waits for the terminal event of any kind."""
        if not self._state.has_ended:
            async with aclosing(self.messages(self._state.seq)) as messages:
                async for _ in messages:
                    pass
        return self._state if self._state.has_ended else await self.refresh()

    async def _outcome(self) -> dict[str, Any]:
        state = await self.ended()
        if state.status == "completed":
            return await self.outputs()
        if state.status == "failed":
            errors = {id: task.error for id, task in state.tasks.items() if task.error is not None}
            raise failure_of(self.id, state.error or {}, errors)
        if state.status == "cancelled":
            raise cancelled(self.id, state.reason)
        raise LogLost(f"run {self.id} is {state.status}, and its stream has ended", run_id=self.id)

    async def outputs(self) -> dict[str, Any]:
        """``{task: output}`` as plain JSON; empty until the run completes."""
        return (await self.shown()).get("outputs", {})

    async def output(self, task_id: str | Task[..., Any]) -> bytes:
        """The JSON of a task's output, however large. Raises UnknownTask where there is none yet."""
        task_id = task_id_of(task_id)
        try:
            return await self._asking.raw("GET", f"{self._path}/tasks/{quote(task_id, safe='')}/output")
        except RequestRefused as refused:
            if refused.status != 404:
                raise
            raise UnknownTask(str(refused), run_id=self.id, task_id=task_id) from refused

    # --- commands; each returns once its event is in the log -----------------------------------------------------

    async def cancel(
        self, grace: float | None = None, *, task: str | Task[..., Any] | None = None, reason: str | None = None
    ) -> None:
        """Cancels the run, or one task, and waits for its end."""
        await self.request_cancel(grace, task=task, reason=reason)
        if task is None:
            await self.ended()
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        subscription = self.task_events(task).subscribe(
            on_error=lambda error: None if done.done() else done.set_exception(error),
            on_completed=lambda: None if done.done() else done.set_result(None),
        )
        try:
            await done
        finally:
            subscription.dispose()

    async def request_cancel(
        self, grace: float | None = None, *, task: str | Task[..., Any] | None = None, reason: str | None = None
    ) -> None:
        """Asks for a cancel, and does not wait for the end."""
        named = None if task is None else task_id_of(task)
        await self._command("cancel", {"grace": grace, "task": named, "reason": reason})

    async def pause(self, *, reason: str | None = None) -> None:
        """Starts no new bodies."""
        await self._command("pause", {"reason": reason})

    async def resume(self, *, reason: str | None = None) -> None:
        """Goes on after a pause."""
        await self._command("resume", {"reason": reason})

    async def send(
        self, task: str | Task[..., Any], value: Any, *, key: str | None = None, run: str | None = None
    ) -> None:
        """Answers a question of a task, or of a task of the child run ``run``, with a JSON value."""
        body: dict[str, Any] = {"task": task_id_of(task), "key": key, "run": run}
        sent = {name: member for name, member in body.items() if member is not None}
        await self._asking.ask("POST", f"{self._path}/input", {**sent, "value": value})

    async def retry(self, *, run_id: str | None = None) -> RemoteRun:
        """A new run that takes over what completed."""
        answer = await self._command("retry", {"run_id": run_id})
        return RemoteRun(self._asking, answer["run_id"])

    async def emit(
        self, type: str, data: Mapping[str, Any] | None = None, *, task: str | None = None, key: str | None = None
    ) -> None:
        """Says something in the open run. ``key``: an idempotency key."""
        await self.emit_all([{"type": type, "data": data or {}, **({} if task is None else {"task": task})}], key=key)

    async def emit_all(self, events: Sequence[Mapping[str, Any]], *, key: str | None = None) -> list[int]:
        """Emits events ``{type, data?, task?}``, all or none; returns their seqs."""
        return (await self._asking.ask("POST", f"{self._path}/events", list(events), key=key))["seqs"]

    async def close(self, *, status: str = "completed", outputs: Mapping[str, Any] | None = None) -> None:
        """Ends a session."""
        await self._command("close", {"status": status, "outputs": outputs})

    async def delete(self) -> None:
        """Removes a run that has ended."""
        await self._asking.ask("DELETE", self._path)

    async def _command(self, name: str, body: dict[str, Any]) -> Any:
        given = {member: value for member, value in body.items() if value is not None}
        return await self._asking.ask("POST", f"{self._path}/{name}", given)

    def __repr__(self) -> str:
        return f"<RemoteRun {self.id} at {self._asking.base}, {self.status} at {self._state.seq}>"


_running: set[asyncio.Task[None]] = set()
"""What feeds the subscribers; the loop itself holds tasks only weakly."""


def _observable(messages: Callable[[], AsyncGenerator[Message, None]]) -> Observable[Event]:
    """A cold Observable: each subscriber has a stream of its own, which its ``dispose`` closes."""

    def subscribe(observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        task = asyncio.get_running_loop().create_task(_feed(observer, messages()))
        _running.add(task)
        task.add_done_callback(_running.discard)
        return Disposable(partial(_cancel, task))

    return Observable(subscribe)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


async def _feed(observer: abc.ObserverBase[Event], messages: AsyncGenerator[Message, None]) -> None:
    async with aclosing(messages):
        try:
            async for message in messages:
                observer.on_next(cast(Event, message))
        except Exception as error:
            observer.on_error(error)
        else:
            observer.on_completed()
