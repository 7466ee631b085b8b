"""``RemoteRun``: the handle on one run of a server, with the surface of ``reactor.Run``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import quote

from reactor.bounds import CANCEL_GRACE_SECONDS
from reactor.definition.task import Task, task_id_of
from reactor.errors import LogLost, NotAwaited, RunEnded
from reactor.events.event import Event, Message
from reactor.events.read_only import RunStateView
from reactor.events.state import ENDED, RunState
from reactor.events.vocabulary import RunStatus
from reactor.requests import (
    check_cursor,
    check_grace,
    check_key,
    check_reason,
    check_run_id,
    check_value,
    make_run_id,
    whole_number_problem,
)
from reactor.runs.outcome import cancelled, failure_of
from reactor.stream.task_events import check_task
from reactor.waiting import methods_must_be_awaited
from reactor_web.client.answer import Answered
from reactor_web.client.errors import ServerUnavailable
from reactor_web.client.followed import Followed
from reactor_web.client.observables import RemoteEvents, RemoteTaskEvents
from reactor_web.client.saying import Saying

R = TypeVar("R", bound="RemoteRun")


@methods_must_be_awaited("run")
class RemoteRun(Saying):
    """One run of a server: follow it, await it, control it (``cancel``, ``pause``, ``resume``, ``send``), and say
    something in it (``emit``, ``emit_all``).

    - ``run.events``: Observable of its events, from the first one on, then live. Completes with the run.
    - ``run.live``: the same from now on. ``run.task_events("measure")``: one task, until it has ended.
    - ``async for event in run``: its events as an async iterator.
    - ``await run``: its outputs, ``{task: output}`` of the completed tasks that no other task depends on. Raises
      RunFailed, RunCancelled, UnknownRun, ServerUnavailable or ClientClosed.

    Each stream goes on across lost connections and restarts of the server: every event comes once and in order. Where
    the server no longer has some of them, the Notice ``stream.gap`` stands in their place, as in process; its reason
    ``ahead`` or ``rewound`` says that the log lost its tail, and that the run is told anew from its first event on.

    A handle belongs to the loop of its client. Commands raise the errors of ``reactor.errors`` that they raise in
    process, and RequestRefused and ServerUnavailable.
    """

    def __init__(self, followed: Followed) -> None:
        self._followed = followed

    @property
    def id(self) -> str:
        return self._followed.run_id

    @property
    def url(self) -> str:
        """Of the run, as ``reactor watch`` takes it."""
        return self._followed.connection.url(self._followed.path)

    @property
    def status(self) -> RunStatus:
        """``pending running paused cancelling completed failed cancelled``: the newest that this handle was told."""
        return self._followed.status

    @property
    def state(self) -> RunState:
        """The fold of what this handle has seen, read-only: current while it is followed, awaited or subscribed to.

        It asks the server for nothing. ``await run.refresh()`` brings it up to date; before the first event, and
        without that, it is empty but for what the answer to the start said. ``events_after`` folds from a later
        cursor only what follows the state without a hole.
        """
        return RunStateView(self._followed.state)

    async def refresh(self) -> RunState:
        """Asks for the state as it is now, and returns it. Raises UnknownRun."""
        await self._followed.fetch()
        return self.state

    async def state_at(self, seq: int) -> RunState:
        """The state after the event ``seq``, as the server folds it from the log.

        Raises ValueError for what is no seq, UnknownSeq where there is no such event yet, or none any more.
        """
        if (problem := whole_number_problem(seq, 1)) is not None:
            raise ValueError(f"the seq of a state {problem}")
        answer = await self._followed.ask("GET", query={"at": str(seq)})
        try:
            return RunState.from_dict(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise answer.refused("what is not the state of this run") from error

    # --- follow ---

    @property
    def events(self) -> RemoteEvents:
        """Its events from the first one on, then live. Where the log was trimmed, a Notice ``stream.gap`` comes
        first, whose seq is None; it is the one element that is no Event.
        """
        return self.events_after(0)

    def events_after(self, cursor: int) -> RemoteEvents:
        """The events with ``seq > cursor``, then live."""
        after = check_cursor(cursor)
        return RemoteEvents(self.id, self._followed.connection, lambda: self._followed.messages(after))

    @property
    def live(self) -> RemoteEvents:
        """Its events from the moment on at which the server opens the stream, without what came before."""
        return RemoteEvents(self.id, self._followed.connection, lambda: self._followed.messages(snapshot=True))

    def task_events(self, task_id: str | Task[..., Any]) -> RemoteTaskEvents:
        """The events of one task (``measure``, ``measure[3]``); completes when the task has ended.

        UnknownTask is the error of the subscriber where the run has no such task: only the server knows its tasks.
        """
        wanted = task_id_of(task_id)
        return RemoteTaskEvents(
            self.id, self._followed.connection, lambda: self._of_task(wanted), wanted, lambda: self._followed.state
        )

    async def _of_task(self, task_id: str) -> AsyncGenerator[Message, None]:
        body = await self._followed.fetch()  # so that the state is never behind what is passed
        kinds = {task["id"]: task.get("kind") for task in body.get("graph", ())}
        state = self._followed.state

        def is_plain(name: str) -> bool:
            return kinds[name] != "map" if name in kinds else name in state.tasks and state.tasks[name].status in ENDED

        check_task(self.id, task_id, state, kinds or state.tasks, is_plain)
        async with aclosing(self._followed.messages()) as messages:
            async for message in messages:
                yield message

    def __getitem__(self, task: str | int) -> NoReturn:
        if isinstance(task, int):  # a plain ``for`` asks for 0, 1, 2 …
            raise NotAwaited(
                f"run {self.id} gives its events one by one with async for: write async for event in run; "
                "its outputs are await run"
            )
        raise NotAwaited(f"run {self.id} gives its outputs when it is awaited: write (await run)[{task!r}]")

    async def __aiter__(self) -> AsyncIterator[Event]:
        async with aclosing(self._followed.messages()) as messages:
            async for message in messages:
                yield cast(Event, message)  # see ``events``

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        return self._outcome().__await__()

    async def ended(self) -> RunState:
        """Waits for the terminal event of any kind.

        Raises LogLost where the server does not go on with the run, UnknownRun, ServerUnavailable, ClientClosed.
        """
        run = self._followed
        while not run.state.has_ended:
            before = run.state.seq
            async with aclosing(run.messages(before, snapshot=not before)) as messages:
                async for _ in messages:
                    pass
            if not run.state.has_ended:
                await run.fetch()
            if run.is_left:
                raise LogLost(f"run {self.id} is {self.status} and the server does not go on with it", run_id=self.id)
            if not run.state.has_ended and run.state.seq == before:
                raise ServerUnavailable(self.url, f"the stream has ended, and the run is {self.status}")
        return self.state

    async def _outcome(self) -> dict[str, Any]:
        state = await self.ended()
        if state.status == "failed":
            errors = {id: task.error for id, task in state.tasks.items() if task.error is not None}
            raise failure_of(self.id, state.error or {}, errors)
        if state.status == "cancelled":
            raise cancelled(self.id, state.reason)
        return await self.shown_outputs()

    # --- read ---

    async def outputs(self) -> dict[str, Any]:
        """``{task: output}`` of the completed tasks that no other task depends on; empty until the run completes.

        They are plain JSON, as the server shows them: models as objects, sets as lists.
        """
        return await self.shown_outputs()

    async def shown_outputs(self) -> dict[str, Any]:
        """The same as ``outputs``."""
        return (await self._followed.fetch()).get("outputs", {})

    async def beginning(self) -> dict[str, Any]:
        """``data`` of ``run.started`` with the parts stored beside it. Empty where the log no longer has it."""
        run = self._followed
        page = await run.ask("GET", "/events", query={"after": "0", "limit": "1"})
        first: dict[str, Any] = page["events"][0] if page["events"] else {}
        if first.get("type") != "run.started":
            return {}
        data: dict[str, Any] = first["data"]
        if data.keys() >= {"input", "tasks"}:
            return data
        body = await run.fetch()
        return {**data, "input": body["input"], "tasks": body["graph"]}

    async def output(self, task_id: str | Task[..., Any]) -> bytes:
        """The JSON of a task's output, however large. Raises UnknownTask where there is none yet."""
        run = self._followed
        path = f"{run.path}/tasks/{quote(task_id_of(task_id), safe='')}/output"
        return (await run.connection.ask("GET", path)).body

    # --- commands; each returns once its event is in the log ---

    async def cancel(
        self,
        grace: float = CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
    ) -> None:
        """Cancels the run and waits for its end. A body that has not stopped after ``grace`` seconds is abandoned.

        ``task``: cancels only this one (``measure``, ``measure[3]``); what depends on it is skipped, the rest goes on.
        Raises RunEnded where the run had ended before; UnknownTask or TaskEnded for the task.
        """
        await self.request_cancel(grace, task=task, reason=reason)
        if task is None:
            await self.ended()
        else:
            await self._task_ended(task_id_of(task))

    async def _task_ended(self, task_id: str) -> None:
        state = await self.refresh()
        if state.tasks[task_id].status in ENDED:
            return
        async with aclosing(self._followed.messages(state.seq)) as messages:
            async for _ in messages:
                if state.tasks[task_id].status in ENDED:
                    return

    async def request_cancel(
        self,
        grace: float = CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
    ) -> int | None:
        """Asks for a cancel. Returns once ``run.cancelling`` (for one task: ``task.cancelling``) is in the log.

        This and the commands below return the seq of the event that records them; None where there was nothing to do.
        """
        check_grace(grace)
        check_reason(reason, None)
        body: dict[str, Any] = {"grace": grace, "reason": reason}
        if task is not None:
            body["task"] = task_id_of(task)
        answer = await self._followed.connection.answer("POST", f"{self._followed.path}/cancel", body=body)
        error = answer.error
        if error is None:
            return self._done(answer.json)
        if not (answer.was_lost and isinstance(error, RunEnded) and error.status == "cancelled"):
            raise error  # else the cancel whose answer got lost was ours
        return None

    async def pause(self, *, reason: str = "requested") -> int | None:
        """Starts no new bodies. Those that run finish, or wait at their ``ctx.checkpoint()``. Survives a restart.

        Raises RunEnded, or RunEnding while it is being cancelled.
        """
        check_reason(reason, None)
        return await self._command("pause", {"reason": reason})

    async def resume(self, *, reason: str = "requested") -> int | None:
        """Goes on after a pause. Raises RunEnded, or RunEnding while the run is being cancelled."""
        check_reason(reason, None)
        return await self._command("resume", {"reason": reason})

    async def send(
        self, task: str | Task[..., Any], value: Any, *, key: str | None = None, run: str | None = None
    ) -> int | None:
        """Answers a question of a task, which waits in ``ctx.receive`` or will, with a JSON value.

        - ``task``: its id, ``ask`` or ``ask[3]``, or the Task itself.
        - ``key``: of the question, as its ``task.waiting`` says. Without one the value is for the open question, or for
          the first one where the task has not asked yet.
        - ``run``: the id of a run below this one, whose task it is.

        Raises WrongQuestion where the question is answered already, or several are open and ``key`` is missing;
        InvalidValue where the value does not fit; UnknownTask, UnknownRun, TaskEnded, MailboxFull, EventTooLarge,
        RunEnded.
        """
        check_key(key)
        body: dict[str, Any] = {"task": task_id_of(task), "value": check_value(value)}
        if key is not None:
            body["key"] = key
        if run is not None:
            body["run"] = check_run_id(run)
        answer = await self._followed.ask("POST", "/input", body=body)
        return self._done(answer) if answer["run_id"] == self.id else answer.get("recorded")

    async def retry(self: R, *, new_run_id: str | None = None, from_task: str | Task[..., Any] | None = None) -> R:
        """Starts a new run with the input of this one, which has ended, and reuses the outputs of what completed.

        ``from_task``: this task, and what depends on it, runs again though it has completed. Raises UnknownTask where
        there is none of this name, RunOpen where this run has not ended, WorkflowChanged where the server does not
        know its graph, RunExists.
        """
        run_id = make_run_id() if new_run_id is None else check_run_id(new_run_id)
        begin = {} if from_task is None else {"from": task_id_of(from_task)}
        answer = await self._followed.ask("POST", "/retry", body={"run_id": run_id, **begin})
        followed = Followed(answer["run_id"], self._followed.connection)
        followed.tell(answer)
        return type(self)(followed)

    async def delete(self) -> None:
        """Removes the run, which has ended, and all that is stored of it. Raises UnknownRun; RunOpen."""
        await self._followed.delete()

    async def _command(self, name: str, body: dict[str, Any]) -> int | None:
        return self._done(await self._followed.ask("POST", f"/{name}", body=body))

    def _done(self, answer: Answered) -> int | None:
        self._followed.tell(answer)
        return answer.get("recorded")  # a server of an earlier version does not say it

    def __repr__(self) -> str:
        return f"<RemoteRun {self.id} of {self.state.workflow}, {self.status} at {self.state.seq}>"
