"""``SyncClient``: the same without ``await``, for scripts and notebooks. A thread of its own has the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from reactor.definition.task import Task
from reactor.definition.workflow import Workflow
from reactor.events.event import Event, Message
from reactor.events.state import RunState
from reactor.events.vocabulary import RunStatus
from reactor_web.client.asking import Token
from reactor_web.client.client import Client
from reactor_web.client.run import RemoteRun

T = TypeVar("T")


class SyncClient:
    """``with SyncClient("http://localhost:8080") as client``. Any thread may use it, also one in which a loop runs."""

    def __init__(self, url: str, *, token: Token | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._client = Client(url, token=token, headers=headers)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="reactor-client", daemon=True)

    def __enter__(self) -> SyncClient:
        self._thread.start()
        self.wait(self._client.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections; a loop over a run in another thread ends with an error."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self.wait(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of something that is awaited, on the loop of the client."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C while it waits
            raise

    def start(self, workflow: Workflow | str, input: Mapping[str, Any] | None = None, **options: Any) -> SyncRun:
        """As ``Client.start``."""
        return SyncRun(self, self.wait(self._client.start(workflow, input, **options)))

    def start_plan(self, tasks: Sequence[Mapping[str, Any]], **options: Any) -> SyncRun:
        """As ``Client.start_plan``."""
        return SyncRun(self, self.wait(self._client.start_plan(tasks, **options)))

    def session(self, run_id: str | None = None, **options: Any) -> SyncRun:
        """As ``Client.session``."""
        return SyncRun(self, self.wait(self._client.session(run_id, **options)))

    def run(self, run_id: str) -> SyncRun:
        """The handle of a run; asks nothing."""
        return SyncRun(self, self._client.run(run_id))

    def get(self, run_id: str) -> SyncRun:
        """The handle of a run that exists; raises UnknownRun."""
        return SyncRun(self, self.wait(self._client.get(run_id)))

    def list(self, **filter: Any) -> dict[str, Any]:
        """As ``Client.list``."""
        return self.wait(self._client.list(**filter))

    def workflows(self) -> Any:
        """The definitions of all workflows."""
        return self.wait(self._client.workflows())


class SyncRun:
    """One run on a server: ``for event in run``, ``run.result()``, commands. As RemoteRun, without ``await``."""

    def __init__(self, client: SyncClient, run: RemoteRun) -> None:
        self._client = client
        self._run = run

    @property
    def id(self) -> str:
        return self._run.id

    @property
    def status(self) -> RunStatus:
        return self._run.status

    @property
    def state(self) -> RunState:
        return self._run.state

    def __iter__(self) -> Iterator[Event]:
        """Its events from the first one on, then live; leave the loop when you like."""
        messages = self._run.messages()
        try:
            while (message := self._client.wait(_next(messages))) is not None:
                yield message  # type: ignore[misc]  # a gap comes as a Notice, as in RemoteRun
        finally:
            self._client.wait(messages.aclose())

    def result(self) -> dict[str, Any]:
        """Waits for the end; its outputs, as ``await run``. Raises RunFailed, RunCancelled."""
        return self._client.wait(self._run._outcome())  # pyright: ignore[reportPrivateUsage]  # what await run runs

    def ended(self) -> RunState:
        """Waits for the end of any kind."""
        return self._client.wait(self._run.ended())

    def refresh(self) -> RunState:
        return self._client.wait(self._run.refresh())

    def outputs(self) -> dict[str, Any]:
        return self._client.wait(self._run.outputs())

    def output(self, task_id: str | Task[..., Any]) -> bytes:
        return self._client.wait(self._run.output(task_id))

    def cancel(self, grace: float | None = None, **options: Any) -> None:
        self._client.wait(self._run.cancel(grace, **options))

    def pause(self, *, reason: str | None = None) -> None:
        self._client.wait(self._run.pause(reason=reason))

    def resume(self, *, reason: str | None = None) -> None:
        self._client.wait(self._run.resume(reason=reason))

    def send(self, task: str | Task[..., Any], value: Any, **options: Any) -> None:
        self._client.wait(self._run.send(task, value, **options))

    def retry(self, *, run_id: str | None = None) -> SyncRun:
        return SyncRun(self._client, self._client.wait(self._run.retry(run_id=run_id)))

    def emit(self, type: str, data: Mapping[str, Any] | None = None, **options: Any) -> None:
        self._client.wait(self._run.emit(type, data, **options))

    def close(self, **options: Any) -> None:
        self._client.wait(self._run.close(**options))

    def delete(self) -> None:
        self._client.wait(self._run.delete())

    def __repr__(self) -> str:
        return repr(self._run).replace("RemoteRun", "SyncRun")


async def _next(messages: Any) -> Message | None:
    return await anext(messages, None)
