"""``Run``: the handle on one run, open or ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Any, NoReturn, cast

import orjson

from reactor.bounds import CANCEL_GRACE_SECONDS
from reactor.definition.names import child_task_id, did_you_mean, known_names
from reactor.definition.task import Task, task_id_of
from reactor.errors import LogLost, NotAwaited, RunFailed, UnknownTask
from reactor.events.event import Event
from reactor.events.read_only import RunStateView
from reactor.events.state import ENDED, RunState, TaskState
from reactor.events.vocabulary import RunStatus
from reactor.requests import check_by, check_cursor, check_grace, check_key, check_reason, check_value
from reactor.runs.commands import COMMANDS, command_id
from reactor.runs.emitting import Asks, Emitting
from reactor.runs.execution import Execution
from reactor.runs.moments import Moments
from reactor.runs.outcome import cancelled, failure_of
from reactor.stream.feed import Closed, Feed
from reactor.stream.follow import Follow, RunEvents, closing_error, iterate
from reactor.stream.live import Live
from reactor.stream.task_events import TaskEvents, check_task
from reactor.waiting import methods_must_be_awaited, turn_of

RestoreOutputs = Callable[["Run"], Awaitable[dict[str, Any]]]
"""Gives the outputs of a completed run as they were where it ran, from its log; for a run that is not open here."""


@methods_must_be_awaited("run")
class Run(Emitting, Moments):
    """One run of a workflow: follow it, await it, control it (``cancel``, ``pause``, ``resume``, ``send``), and say
    something in it (``emit``, ``log``, ``spend``).

    - ``run.events``: Observable of its events, from the first one on, then live. Completes with the run.
    - ``run.live``: the same from now on. ``run.task_events("measure")``: one task, until it has ended.
    - ``async for event in run``: its events as an async iterator.
    - ``await run``: its outputs, ``{task: output}`` of the completed tasks that no other task depends on. Raises
      RunFailed, RunCancelled or LogLost.
    """

    def __init__(
        self,
        feed: Feed,
        execution: Execution | None,
        *,
        restore: RestoreOutputs | None = None,
        find: Callable[[str], Execution | None] | None = None,
        ask: Asks | None = None,
    ) -> None:
        """``find``: where to look for the execution of a run that goes on later, in this feed.

        ``ask``: has another process carry out a command, where it executes the run.
        """
        self.feed = feed
        self._ask = ask
        self._known = execution
        self._find = find
        self._restore = restore
        self._restored: dict[str, Any] | None = None

    @property
    def _execution(self) -> Execution | None:
        known = self._known
        if known is not None and not known.journal.has_left:
            return known
        if known is not None:
            self._left = known
        if self._find is not None and self.feed.closed is None:
            found = self._find(self.feed.run_id)
            known = found if found is not None and found.feed is self.feed else None
        self._known = None if known is None or known.journal.has_left else known
        return self._known

    @property
    def id(self) -> str:
        return self.feed.run_id

    @property
    def tenant(self) -> str:
        """Whose run it is; ``""`` where nobody said otherwise."""
        return self.feed.tenant

    @property
    def status(self) -> RunStatus:
        """``pending running paused cancelling completed failed cancelled``, as committed."""
        return self.feed.state.status

    @property
    def state(self) -> RunState:
        """The fold of everything committed so far, always current and read-only. ``copy()`` stays as it is.

        Reading it copies nothing, also where the run has thousands of tasks.
        """
        return RunStateView(self.feed.state)

    @property
    def events(self) -> RunEvents:
        """Its events from the first one on, then live. Where a memory log was trimmed, a Notice ``stream.gap`` comes
        first, whose seq is None; it is the one element that is no Event.
        """
        return self.events_after(0)

    def events_after(self, cursor: int) -> RunEvents:
        """The events with ``seq > cursor``, then live.

        Where a shared log has lost the event with this seq and its number was given anew, a Notice ``stream.gap`` with
        the reason ``rewound`` comes first, and then all events from the first one on.
        """
        return RunEvents(Follow(self.feed, check_cursor(cursor), is_kept=cursor > 0))

    @property
    def live(self) -> Live:
        """The hot Observable of its events: from now on, without what came before."""
        return Live(self.feed)

    def task_events(self, task_id: str | Task[..., Any]) -> TaskEvents:
        """The events of one task (``measure``, ``measure[3]``); completes when the task has ended.

        Raises UnknownTask where the run has no such task.
        """
        task_id = task_id_of(task_id)
        known = self.feed.state.tasks if self._execution is None else self._execution.graph.by_name
        check_task(self.id, task_id, self.feed.state, known, self._is_plain)
        return TaskEvents(self.feed, task_id)

    def __getitem__(self, task: str | int) -> NoReturn:
        if isinstance(task, int):  # a plain ``for`` asks for 0, 1, 2 …
            raise NotAwaited(
                f"run {self.id} gives its events one by one with async for: write async for event in run; "
                "its outputs are await run"
            )
        raise NotAwaited(f"run {self.id} gives its outputs when it is awaited: write (await run)[{task!r}]")

    def _is_plain(self, task: str) -> bool:
        """Whether a task has no children and will have none."""
        if self._execution is not None and task in self._execution.graph.by_name:
            return self._execution.graph.by_name[task].map_source is None
        return task in self.feed.state.tasks and self.feed.state.tasks[task].status in ENDED

    async def __aiter__(self) -> AsyncIterator[Event]:
        turn = turn_of(asyncio.get_running_loop())
        async for window in iterate(self.feed):
            for message in window:
                await turn
                yield cast(Event, message.view())  # see ``events``

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        return self._outcome().__await__()

    async def ended(self) -> RunState:
        """Waits for the terminal event of any kind. Raises LogLost where there will be none in this process."""
        await self.feed.wait_closed()
        error = closing_error(self.feed)
        if error is not None:
            raise error
        return self.state

    async def _outcome(self) -> dict[str, Any]:
        state = await self.ended()
        if state.status == "completed":
            return await self.outputs()
        if state.status == "failed":
            raise self._failure(state)
        if state.status == "cancelled":
            raise cancelled(self.id, state.reason)
        raise LogLost(f"run {self.id} is {state.status} and nobody here goes on with it", run_id=self.id)

    def _failure(self, state: RunState) -> RunFailed:
        errors = {id: task.error for id, task in state.tasks.items() if task.error is not None}
        first = state.error or {}
        failed = failure_of(self.id, first, errors)
        if self._execution is not None and "task_id" in first:
            # the error itself, with its traceback, where the task failed in this process
            failed.__cause__ = self._execution.crew.exception_of(first["task_id"])
        return failed

    async def outputs(self) -> dict[str, Any]:
        """``{task: output}`` of the completed tasks that no other task depends on; empty until the run completes.

        Those of a run that ended before are restored from the log by its workflow, as after a restart. What cannot be
        restored, or where the workflow is not registered here, is as it was shown.
        """
        if self._execution is not None and self.status == "completed":
            actors = self._execution.crew.actors  # the values themselves and not their JSON
            return {
                name: actors[name].output for name in self._execution.graph.leaves if actors[name].encoded is not None
            }
        if self._restore is None or self.status != "completed":
            return await self.shown_outputs()
        if self._restored is None:
            self._restored = await self._restore(self)
        return self._restored

    async def shown_outputs(self) -> dict[str, Any]:
        """The same as plain JSON, as the log, HTTP and the terminal show them: models as objects, sets as lists …"""
        return orjson.loads(await self.outputs_json())

    async def outputs_json(self) -> bytes:
        """The same, as the log has it."""
        event = await self.feed.event(self.feed.last_seq) if self.status == "completed" else None
        if event is None or "outputs" in event.data:
            return b"{}" if event is None else orjson.dumps(event.data["outputs"])
        return await self.feed.blob(event.seq) or b"{}"

    async def beginning(self) -> dict[str, Any]:
        """``data`` of ``run.started`` with the parts stored beside it. Empty where the log no longer has it."""
        started = await self.feed.event(1)
        if started is None or started.type != "run.started":
            return {}
        return {**started.data, **orjson.loads(await self.feed.blob(1) or b"{}")}

    async def output(self, task_id: str | Task[..., Any]) -> bytes:
        """The JSON of a task's output, however large. Raises UnknownTask where there is none yet."""
        task_id = task_id_of(task_id)
        tasks = self.feed.state.tasks
        task = tasks.get(task_id)
        if task is not None and task.status == "completed" and task.count is not None:
            children = (tasks[child_task_id(task_id, index)] for index in range(task.count))
            return b"[%b]" % b",".join(await self._logged_outputs([c for c in children if c.status == "completed"]))
        if task is None or task.status != "completed":
            hint = did_you_mean(task_id, tasks) or f"; its tasks are {known_names(tasks)}"
            what = f"no such task{hint}" if task is None else f"its status is {task.status}, there is no output"
            raise self._no_output(task_id, what)
        (output,) = await self._logged_outputs([task])
        return output

    async def _logged_outputs(self, completed: Sequence[TaskState]) -> list[bytes]:
        """The JSON of the outputs of completed bodies, in their order."""
        found: dict[int, bytes] = {}
        async for event in self.feed.events_at(body.seq for body in completed):
            if event.type == "task.completed":
                is_inline = "output" in event.data
                blob = None if is_inline else await self.feed.blob(event.seq)
                found[event.seq] = orjson.dumps(event.data["output"]) if is_inline else blob or b"null"
        for body in completed:
            if body.seq not in found:
                raise self._no_output(body.id, "the log does not have its output any more")
        return [found[body.seq] for body in completed]

    def _no_output(self, task_id: str, what: str) -> UnknownTask:
        return UnknownTask(f"task {task_id!r} of run {self.id}: {what}", run_id=self.id, task_id=task_id)

    # --- commands; each returns once its event is in the log ---

    async def cancel(
        self,
        grace: float = CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
        by: str | None = None,
    ) -> None:
        """Cancels the run and waits for its end. A body that has not stopped after ``grace`` seconds is abandoned.

        ``task``: cancels only this one (``measure``, ``measure[3]``); what depends on it is skipped, the rest goes on.
        Raises RunEnded where the run had ended before; UnknownTask or TaskEnded for the task.
        """
        await self.request_cancel(grace, task=task, reason=reason, by=by)
        if task is None:
            await self.ended()
        else:
            task = task_id_of(task)
            async for _ in iterate(self.feed, self.feed.last_seq - 1):
                if self.feed.state.tasks[task].status in ENDED:
                    return

    async def request_cancel(
        self,
        grace: float = CANCEL_GRACE_SECONDS,
        *,
        task: str | Task[..., Any] | None = None,
        reason: str = "requested",
        by: str | None = None,
    ) -> int | None:
        """Asks for a cancel. Returns once ``run.cancelling`` (for one task: ``task.cancelling``) is in the log.

        This and the commands below return the seq of the event that records them; None where there was nothing to do.
        """
        check_grace(grace)
        check_reason(reason, by)
        task = None if task is None else task_id_of(task)
        given = {"reason": reason, "by": by, "grace": grace}
        if task is None:
            return await self._carry_out("cancel", given)
        return await self._carry_out("cancel_task", given | {"task": task})

    async def pause(self, *, reason: str = "requested", by: str | None = None) -> int | None:
        """Starts no new bodies. Those that run finish, or wait at their ``ctx.checkpoint()``. Survives a restart.

        Raises RunEnded, or RunEnding while it is being cancelled.
        """
        check_reason(reason, by)
        return await self._carry_out("pause", {"reason": reason, "by": by})

    async def resume(self, *, reason: str = "requested", by: str | None = None) -> int | None:
        """Goes on after a pause. Raises RunEnded, or RunEnding while the run is being cancelled."""
        check_reason(reason, by)
        return await self._carry_out("resume", {"reason": reason, "by": by})

    async def send(
        self, task: str | Task[..., Any], value: Any, *, key: str | None = None, by: str | None = None
    ) -> int | None:
        """Answers a question of a task, which waits in ``ctx.receive`` or will, with a JSON value.

        - ``task``: its id, ``ask`` or ``ask[3]``, or the Task itself.
        - ``key``: of the question, as its ``task.waiting`` says. Without one the value is for the open question, or for
          the first one where the task has not asked yet.
        - ``by``: who sends it, for the log.

        Raises WrongQuestion where the question is answered already, or several are open and ``key`` is missing;
        InvalidValue where the value does not fit; UnknownTask, TaskEnded, MailboxFull, EventTooLarge, RunEnded.
        """
        check_key(key)
        check_by(by)
        plain = check_value(value)
        return await self._carry_out("send", {"task": task_id_of(task), "value": plain, "key": key, "by": by})

    async def _carry_out(self, name: str, given: dict[str, Any]) -> int | None:
        """One of ``COMMANDS``, here or where the run is executed; returns what it returns, once that is in the log."""
        if self._execution is not None and self._execution.is_sealed and not self.feed.closed:
            await self.ended()  # its last event is on its way
        if self._execution is not None and not self.feed.closed:
            execution = self._execution
            seq = await COMMANDS[name](execution, given)
            if await self._upto(execution, execution.journal.last_written):
                return seq
        others = self._elsewhere
        if others is None and self.feed.closed == Closed.END and command_id() is not None:
            others = self._ask  # it may have been carried out before the end
        if others is None:
            raise self._not_open()
        return await others.ask(self.feed, name, given)

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self.state.workflow}, {self.status} at {self.feed.last_seq}>"
