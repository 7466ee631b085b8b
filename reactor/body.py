"""One body, from its slots to its end: whatever the code of a user does is an event, never a crash."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

import structlog

from reactor import bounds, drafts
from reactor.actor import Actor, Scope
from reactor.binding import CONTEXT, INPUT, ITEM, MISSING, UPSTREAM, Parameter, adapter_for
from reactor.context import Context
from reactor.errors import ContextClosed, ThreadsExhausted
from reactor.events import Draft, task_head
from reactor.graph import Node
from reactor.past import Output, Past
from reactor.ports import Job
from reactor.slots import Slots
from reactor.values import Encoded, describe_error, encode_output, preview, shown, traceback_of

logger = structlog.get_logger("reactor")

_FATAL: Final = (KeyboardInterrupt, GeneratorExit)
"""Not a body's to keep: recorded as its failure, then raised on."""


class TaskActor(Actor):
    """One body: a task, or one child ``name[i]`` of a mapped task.

    ``item`` is the mapped item; for a map over a map it is ``pair``'s output, the child of the same index upstream.
    """

    def __init__(
        self,
        scope: Scope,
        node: Node,
        upstreams: dict[str, Actor],
        *,
        map_index: int | None = None,
        item: Any = None,
        pair: Actor | None = None,
    ) -> None:
        super().__init__(scope, node, node.name if map_index is None else f"{node.name}[{map_index}]", upstreams)
        self.map_index = map_index
        self.attempt = 0
        self.context: Context | None = None
        self._item = item
        self._pair = pair
        self._head = b""
        self._needed: list[Slots] | None = None
        self._held: list[Slots] = []
        self._job: asyncio.Task[None] | Job | None = None
        self._started_at = 0.0
        self._cancelled_at = 0.0
        self._cancel_reason: str | None = None
        self._has_entered = False
        self.was_abandoned = False

    @property
    def seen_upstreams(self) -> dict[str, Actor]:
        """The upstreams as this body sees them: for a child of a map over a map, its pair in place of the whole."""
        pair, source = self._pair, self.node.map_source
        return self.upstreams if pair is None or source is None else {**self.upstreams, source: pair}

    def restore(self, past: Past) -> None:
        seen = past.tasks.get(self.task_id)
        if seen is not None:
            self.attempt = seen.attempt
        super().restore(past)

    # --- waiting ---

    def wait_for(self, upstreams: Iterable[Actor]) -> None:
        # a child's other upstreams ended before its mapped task fanned out
        super().wait_for(upstreams if self.map_index is None else self._pairs())

    def _pairs(self) -> Sequence[Actor]:
        return (self._pair,) if self._pair is not None else ()

    def begin(self) -> None:
        if self.has_ended:
            return
        if self.scope.cancel_reason is not None:
            self.cancel(self.scope.cancel_reason)
            return
        if self._needed is None:
            blocker = self.blocked_by(self.upstreams.values() if self.map_index is None else self._pairs())
            if blocker is not None:
                self.skip_after(blocker)
                return
            reused = self.scope.reused.get(self.task_id)
            if reused is not None:
                self._end_reused(reused)
                return
            if self.node.task.when is not None and not self._is_wanted(self.node.task.when):
                return
            self._needed = self._slots_needed()
        while self._needed:
            if not self._needed[-1].acquire(self):
                return
            self._held.append(self._needed.pop())
        self._start()

    def granted(self, slots: Slots) -> None:
        if self._needed:
            self._held.append(self._needed.pop())
        self.scope.ready.push(self)
        # the slot may come from another run, whose own queue is the one that is being pumped
        self.scope.loop.call_soon(self.scope.ready.pump)

    def _slots_needed(self) -> list[Slots]:
        # taken from the end, narrowest first: a holder waits only for wider ones, so nobody waits in a circle
        needed: list[Slots] = []
        if not self.node.runs_async:
            needed.append(self.scope.thread_slots)
        own = self.scope.task_slots.get(self.node.name)
        if own is not None:
            needed.append(own)
        return needed

    def _is_wanted(self, condition: Callable[..., Any]) -> bool:
        """Evaluates ``when``; ends the task where it is false or raises."""
        try:
            wanted = condition(**self._bind(self.node.when))
            if inspect.isawaitable(wanted):
                if inspect.iscoroutine(wanted):
                    wanted.close()
                raise TypeError(f"the condition returned {preview(wanted)}; it decides at once, without await")
            is_wanted = bool(wanted)
        except Exception as error:
            self.fail(error)
            return False
        finally:
            self._close_context()  # the condition's; the body gets its own
        if not is_wanted:
            self.reason, self.because = "condition", self.task_id
            self.end("skipped", self.skipped_draft())
        return is_wanted

    def fail(self, error: Exception) -> None:
        if not self.has_ended:
            self._end_failed(error, 0.0)

    # --- running ---

    def _start(self) -> None:
        self.status = "running"
        self.attempt += 1
        self._started_at = self.scope.clock.monotonic()
        scope = self.scope
        data = drafts.started(self.node.executor, scope.next_index(), scope.total_tasks, self._given())
        self.emit(self.draft("task.started", data))
        call = partial(self.node.task.function, **self._bind(self.node.parameters))
        if self.node.runs_async:
            self._job = self.scope.loop.create_task(self._drive(call))
            self.scope.hold(self._job)
        elif self.scope.threads.abandoned >= bounds.ABANDONED_THREADS:
            self._ended_with(
                ThreadsExhausted(
                    f"task {self.task_id} of run {self.scope.run_id} cannot start: {bounds.ABANDONED_THREADS} threads "
                    "of cancelled bodies still run in this process",
                    run_id=self.scope.run_id,
                    task_id=self.task_id,
                )
            )
        else:
            self._job = self.scope.threads.submit(call, self._thread_ended)

    def _end_reused(self, reused: Output) -> None:
        """Completes with what an earlier run has computed."""
        self.output = reused.value
        self.encoded = reused.json if self.node.name in self.scope.leaves else None
        self._complete(Encoded(reused.json, True, reused.typed), 0.0, cached=True)

    def _complete(self, encoded: Encoded, duration_ms: float, *, cached: bool = False) -> None:
        reference = f"runs/{self.scope.run_id}/tasks/{self.task_id}/output"
        data, blob = drafts.completed(encoded, duration_ms, reference, cached=cached)
        draft = self.draft("task.completed", data)
        self.end("completed", draft if blob is None else draft._replace(blob=blob))

    async def _drive(self, call: Callable[[], Any]) -> None:
        self._has_entered = True
        try:
            if self._cancel_reason is not None:  # before its first step: cancelling the job then would run none of this
                raise asyncio.CancelledError
            output = await call()
        except BaseException as error:
            self._ended_with(error)
            if isinstance(error, _FATAL):
                raise
        else:
            self._ended_well(output)

    def _thread_ended(self, output: Any, error: BaseException | None) -> None:
        if error is not None:
            self._ended_with(error)
        else:
            self._ended_well(output)

    def _ended_well(self, output: Any) -> None:
        if self.status != "running":
            self._late("completed")
            return
        if (problem := _no_output(output)) is not None:
            self._ended_with(problem)
            return
        if self.context is not None and self.context.saw_cancel:
            self._end_cancelled(stopped=True)
            return
        duration_ms = self._elapsed_ms(self._started_at)
        encoded = encode_output(output, None if self.node.returns is MISSING else adapter_for(self.node.returns))
        self.output = output
        if self.node.name in self.scope.leaves:
            self.encoded = encoded.json
        self._close_context()
        self.scope.body_ended(duration_ms)
        self._complete(encoded, duration_ms)

    def _ended_with(self, error: BaseException) -> None:
        if self.status != "running":
            self._late(type(error).__name__)
        elif self._cancel_reason is None:
            self._end_failed(error, self._elapsed_ms(self._started_at))
        else:
            if not isinstance(error, (asyncio.CancelledError, ContextClosed)):
                logger.error(
                    "clean-up after cancel failed",
                    run_id=self.scope.run_id,
                    task_id=self.task_id,
                    traceback=traceback_of(error),
                )
            self._end_cancelled(stopped=True)

    def _late(self, how: str) -> None:
        if self.was_abandoned:  # else its run went on to the next start of the engine
            logger.warning("an abandoned body ended after all", run_id=self.scope.run_id, task_id=self.task_id, how=how)

    def _end_failed(self, error: BaseException, duration_ms: float) -> None:
        if self.scope.failure is None:
            self.scope.failure = error
        self.error = describe_error(error, with_traceback=self.scope.tracebacks)
        self.because = self.task_id
        self._close_context()
        self.scope.body_ended(duration_ms)
        self.end("failed", self.draft("task.failed", drafts.failed(self.error, duration_ms)))

    # --- stopping ---

    def cancel(self, reason: str) -> None:
        if self.has_ended or self._cancel_reason is not None:
            return
        self._cancel_reason = reason
        self._cancelled_at = self.scope.clock.monotonic()
        if self.status == "pending":
            self._end_cancelled(stopped=True)
            return
        if self.context is not None:
            self.context.cancel()
        if isinstance(self._job, asyncio.Task) and self._has_entered:
            self._job.cancel()

    def abandon(self) -> None:
        if self.status == "running":
            if self._job is not None and not isinstance(self._job, asyncio.Task):
                self._job.abandon()
            self.was_abandoned = True
            self._end_cancelled(stopped=False)

    def _end_cancelled(self, *, stopped: bool) -> None:
        has_begun = self.status == "running"
        stop_ms = self._elapsed_ms(self._cancelled_at) if has_begun else 0.0
        self.because = self.task_id
        self._close_context()
        if has_begun:
            self.scope.body_ended(self._elapsed_ms(self._started_at))
        data = drafts.cancelled(self._cancel_reason, stop_ms, stopped=stopped)
        self.end("cancelled", self.draft("task.cancelled", data))

    def dispose(self) -> None:
        self._observer = None
        if self.has_ended:
            return
        self.status = "cancelled"  # also where it never began: a slot that becomes free is not for it
        if self.context is not None:
            self.context.cancel()
            self._close_context()
        if isinstance(self._job, asyncio.Task):
            self._job.cancel()
        elif self._job is not None:
            self._job.abandon()
        self.settle()

    def settle(self) -> None:
        held, self._held = self._held, []
        for slots in held:
            slots.release()
        self.upstreams = dict[str, Actor]()
        self._item = self._pair = self._job = None

    # --- what it says ---

    def draft(self, type: str, data: bytes) -> Draft:
        if not self._head or type == "task.started":
            self._head = task_head(self.task_id, self.node.name, self.map_index, self.attempt)
        return Draft(type, data, self.task_id, self._head)

    def _given(self) -> dict[str, bytes]:
        """The run inputs and the mapped item it was bound to, as JSON by parameter."""
        given: dict[str, bytes] = {}
        for parameter in self.node.parameters:
            if parameter.kind == INPUT and parameter.source in self.scope.input_json:
                given[parameter.name] = self.scope.input_json[parameter.source]
            elif parameter.kind == ITEM:
                given[parameter.name] = shown(self._mapped_item(parameter))
        return given

    # --- what it is given ---

    def _bind(self, parameters: Iterable[Parameter]) -> dict[str, Any]:
        return {parameter.name: self._value(parameter) for parameter in parameters}

    def _value(self, parameter: Parameter) -> Any:
        kind = parameter.kind
        if kind == UPSTREAM:
            return _output_or_default(self.upstreams[parameter.source], parameter)
        if kind == INPUT:
            return self.scope.inputs.get(parameter.source, parameter.default)
        if kind == CONTEXT:
            if self.context is None:
                self.context = self.scope.context_of(self)
            return self.context
        return self._mapped_item(parameter)

    def _mapped_item(self, parameter: Parameter) -> Any:
        return self._item if self._pair is None else _output_or_default(self._pair, parameter)

    def _close_context(self) -> None:
        if self.context is not None:
            self.context.close()
            self.context = None

    def _elapsed_ms(self, since: float) -> float:
        return round((self.scope.clock.monotonic() - since) * 1000, 3)


def _no_output(output: Any) -> TypeError | None:
    """Why a value cannot be handed on: it could be consumed once, and would be by whoever looks first."""
    if inspect.isawaitable(output):
        if inspect.iscoroutine(output):
            output.close()
        return TypeError(f"the body returned {preview(output)}; declare it with async def, or await it")
    if inspect.isgenerator(output) or inspect.isasyncgen(output):
        return TypeError(f"the body returned {preview(output)}; return a list")
    return None


def _output_or_default(upstream: Actor, parameter: Parameter) -> Any:
    if upstream.status == "completed":
        return upstream.output
    return None if parameter.default is MISSING else parameter.default
