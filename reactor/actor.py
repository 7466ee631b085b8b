"""Run: one task is one observable.

An actor is subscribed to once, by the merge into the run's bus. It waits until its upstreams ended, is begun by the
ready queue, runs its body, emits its drafts and completes. A failing body is a ``task.failed`` draft; ``on_error``
would mean a bug in here.

    upstreams  --x----x|
    actor      -------(started)--(what the body emits)--(completed | failed | skipped | cancelled)|
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import orjson
import structlog
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from reactor import bounds
from reactor.binding import CONTEXT, INPUT, ITEM, MISSING, UPSTREAM, Parameter, adapter_for
from reactor.context import Context
from reactor.errors import ThreadsExhausted
from reactor.events import Draft, task_head
from reactor.executors.threads import ThreadExecutor
from reactor.graph import Node
from reactor.ports import Clock, Job
from reactor.slots import ReadyQueue, Slots
from reactor.state import ENDED
from reactor.values import Encoded, encode_output, preview

logger = structlog.get_logger("reactor")

_FATAL: Final = (KeyboardInterrupt, GeneratorExit)
"""Not a body's to keep: recorded as its failure, then raised on."""


class Scope(Protocol):
    """What an actor sees of its run."""

    run_id: str
    inputs: dict[str, Any]
    input_json: dict[str, bytes]
    leaves: frozenset[str]
    loop: asyncio.AbstractEventLoop
    clock: Clock
    ready: ReadyQueue
    threads: ThreadExecutor
    thread_slots: Slots
    task_slots: dict[str, Slots]
    tracebacks: bool
    total_tasks: int

    def next_index(self) -> int: ...
    def context_of(self, actor: TaskActor) -> Context: ...
    def hold(self, job: asyncio.Task[None]) -> None: ...
    def body_ended(self, duration_ms: float) -> None: ...


class Actor(Observable[Draft]):
    """What a task and a mapped task have in common: waiting, ending, and telling those who depend on it.

    ``status`` is as in ``RunState``; ``because`` is the task where a skip or failure began.
    """

    def __init__(self, scope: Scope, node: Node, task_id: str, upstreams: dict[str, Actor]) -> None:
        super().__init__()
        self.scope = scope
        self.node = node
        self.task_id = task_id
        self.upstreams = upstreams
        self.status = "pending"
        self.output: Any = None
        self.encoded: bytes | None = None
        """JSON of the output, kept where the run's terminal event needs it."""
        self.error: dict[str, Any] | None = None
        self.reason: str | None = None
        self.because: str | None = None
        self.dependents: list[Actor] = []
        self._waiting = 0
        self._observer: abc.ObserverBase[Draft] | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def _subscribe_core(
        self, observer: abc.ObserverBase[Draft], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if self._observer is not None:
            raise RuntimeError(f"the actor of {self.task_id} has its one subscriber, the run's bus; follow the run")
        self._observer = observer
        self.wait_for(self.upstreams.values())
        return Disposable(self.dispose)

    def wait_for(self, upstreams: Iterable[Actor]) -> None:
        """Counts the upstreams that have not ended; ready when none is left."""
        for upstream in upstreams:
            if not upstream.has_ended:
                upstream.dependents.append(self)
                self._waiting += 1
        if not self._waiting:
            self.scope.ready.push(self)

    def upstream_ended(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self.scope.ready.push(self)

    def blocked_by(self, upstreams: Iterable[Actor]) -> Actor | None:
        """The first upstream whose end skips this task."""
        if not self.node.runs_on_failure:
            for upstream in upstreams:
                if upstream.status != "completed":
                    return upstream
        return None

    def begin(self) -> None:
        """Called by the ready queue, in the order in which tasks became ready."""
        raise AssertionError("abstract")

    def granted(self, slots: Slots) -> None:
        raise AssertionError("only bodies hold slots")

    def cancel(self, reason: str) -> None:
        """Asks to end; what has not begun ends at once."""
        raise AssertionError("abstract")

    def abandon(self) -> None:
        """Ends without the body's answer."""
        raise AssertionError("abstract")

    def dispose(self) -> None:
        """The run is gone: stops without a word."""
        raise AssertionError("abstract")

    def emit(self, draft: Draft) -> None:
        if self._observer is not None:
            self._observer.on_next(draft)

    def skip_after(self, upstream: Actor) -> None:
        """Ends as skipped, naming where it began."""
        self.reason = "condition" if upstream.reason == "condition" else "upstream_failed"
        self.because = upstream.because or upstream.task_id
        self.end("skipped", self.skipped_draft())

    def skipped_draft(self, **extra: Any) -> Draft:
        data = {"reason": self.reason, "because": self.because, **extra}
        return self.draft("task.skipped", orjson.dumps(data))

    def draft(self, type: str, data: bytes) -> Draft:
        return Draft(type, data, self.task_id, task_head(self.task_id, self.node.name, None, 0))

    def end(self, status: str, draft: Draft | None) -> None:
        """The one way out: the last draft, completion, then everybody who waited."""
        self.status = status
        self.settle()
        observer = self._observer
        if observer is not None:
            if draft is not None:
                observer.on_next(draft)
            observer.on_completed()
        dependents, self.dependents = self.dependents, []
        for dependent in dependents:
            dependent.upstream_ended()
        self.scope.ready.pump()

    def settle(self) -> None:
        """What has to be settled before anybody hears of the end."""


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
        self.was_abandoned = False

    # --- waiting ---

    def wait_for(self, upstreams: Iterable[Actor]) -> None:
        # a child's other upstreams ended before its mapped task fanned out
        super().wait_for(upstreams if self.map_index is None else self._pairs())

    def _pairs(self) -> Sequence[Actor]:
        return (self._pair,) if self._pair is not None else ()

    def begin(self) -> None:
        if self.has_ended:
            return
        if self._needed is None:
            blocker = self.blocked_by(self.upstreams.values() if self.map_index is None else self._pairs())
            if blocker is not None:
                self.skip_after(blocker)
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
        except Exception as error:
            self._end_failed(error, 0.0)
            return False
        if not wanted:
            self.reason, self.because = "condition", self.task_id
            self.end("skipped", self.skipped_draft())
        return bool(wanted)

    # --- running ---

    def _start(self) -> None:
        self.status = "running"
        self.attempt += 1
        self._started_at = self.scope.clock.monotonic()
        self.emit(self.draft("task.started", self._started_data()))
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

    async def _drive(self, call: Callable[[], Any]) -> None:
        try:
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
        elif inspect.isawaitable(output):
            if inspect.iscoroutine(output):
                output.close()
            self._ended_with(TypeError(f"the body returned {preview(output)}; declare it with async def"))
        else:
            self._ended_well(output)

    def _ended_well(self, output: Any) -> None:
        if self.status != "running":
            self._late("completed")
            return
        duration_ms = self._elapsed_ms(self._started_at)
        encoded = encode_output(output, None if self.node.returns is MISSING else adapter_for(self.node.returns))
        self.output = output
        if self.node.name in self.scope.leaves:
            self.encoded = encoded.json
        self._close_context()
        self.scope.body_ended(duration_ms)
        self.end("completed", self._completed_draft(encoded, duration_ms))

    def _ended_with(self, error: BaseException) -> None:
        if self.status != "running":
            self._late(type(error).__name__)
        elif self._cancel_reason is None:
            self._end_failed(error, self._elapsed_ms(self._started_at))
        else:
            if not isinstance(error, asyncio.CancelledError):
                logger.error(
                    "clean-up after cancel failed", run_id=self.scope.run_id, task_id=self.task_id, exc_info=error
                )
            self._end_cancelled(stopped=True)

    def _late(self, how: str) -> None:
        logger.warning("an abandoned body ended after all", run_id=self.scope.run_id, task_id=self.task_id, how=how)

    def _end_failed(self, error: BaseException, duration_ms: float) -> None:
        self.error = describe_error(error, with_traceback=self.scope.tracebacks)
        self.because = self.task_id
        self._close_context()
        self.scope.body_ended(duration_ms)
        data = orjson.dumps({"error": self.error, "duration_ms": duration_ms})
        self.end("failed", self.draft("task.failed", data))

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
        if isinstance(self._job, asyncio.Task):
            self._job.cancel()

    def abandon(self) -> None:
        if self.status == "running":
            if self._job is not None and not isinstance(self._job, asyncio.Task):
                self._job.abandon()
            self.was_abandoned = True
            self._end_cancelled(stopped=False)

    def _end_cancelled(self, *, stopped: bool) -> None:
        stop_ms = self._elapsed_ms(self._cancelled_at)
        self.because = self.task_id
        self._close_context()
        if self.attempt:
            self.scope.body_ended(self._elapsed_ms(self._started_at))
        data = {"reason": self._cancel_reason, "stop_ms": stop_ms if self.attempt else 0.0, "stopped": stopped}
        self.end("cancelled", self.draft("task.cancelled", orjson.dumps(data)))

    def dispose(self) -> None:
        self._observer = None
        if self.status == "running":
            self.status = "cancelled"
            if self.context is not None:
                self.context.cancel()
                self._close_context()
            if isinstance(self._job, asyncio.Task):
                self._job.cancel()
            elif self._job is not None:
                self._job.abandon()

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

    def _started_data(self) -> bytes:
        scope = self.scope
        data = b'{"executor":"%b","index":%d,"total":%d' % (
            self.node.executor.encode(),
            scope.next_index(),
            scope.total_tasks,
        )
        given = [
            b'"%b":%b' % (p.name.encode(), json)
            for p in self.node.parameters
            if p.kind in (INPUT, ITEM) and (json := self._given_json(p)) is not None
        ]
        if not given:
            return data + b"}"
        bound = b"{%b}" % b",".join(given)
        if len(bound) > bounds.MAX_INPUT_PREVIEW_BYTES:
            return b'%b,"input_preview":%b}' % (data, orjson.dumps(preview(bound.decode("utf-8", "replace"))))
        return b'%b,"input":%b}' % (data, bound)

    def _given_json(self, parameter: Parameter) -> bytes | None:
        if parameter.kind == INPUT:
            return self.scope.input_json.get(parameter.source)
        return encode_output(self._mapped_item(parameter), None).json

    def _completed_draft(self, encoded: Encoded, duration_ms: float) -> Draft:
        blob = None
        if len(encoded.json) <= bounds.MAX_INLINE_BYTES:
            output = b'"output":' + encoded.json
        else:
            blob = encoded.json
            reference = {
                "output_ref": f"runs/{self.scope.run_id}/tasks/{self.task_id}/output",
                "size": len(blob),
                "preview": preview(blob[: 4 * bounds.PREVIEW_CHARS].decode("utf-8", "replace")),
            }
            output = orjson.dumps(reference)[1:-1]
        data = b'{%b,"duration_ms":%b,"cached":false%b}' % (
            output,
            repr(duration_ms).encode(),
            b"" if encoded.recoverable else b',"recoverable":false',
        )
        return self.draft("task.completed", data)._replace(blob=blob) if blob else self.draft("task.completed", data)

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


def _output_or_default(upstream: Actor, parameter: Parameter) -> Any:
    if upstream.status == "completed":
        return upstream.output
    return None if parameter.default is MISSING else parameter.default


def describe_error(error: BaseException, *, with_traceback: bool = False) -> dict[str, Any]:
    """An exception as an event carries it: ``{type, message}``, and its traceback where that is enabled."""
    try:
        message = str(error)
    except Exception as broken:  # a user's __str__: its failure is all there is to tell
        message = f"<str() of the error raised {type(broken).__name__}>"
    described = {"type": type(error).__name__, "message": _clean(message)}
    if with_traceback:
        described["traceback"] = _clean("".join(traceback.format_exception(error))[-bounds.MAX_ERROR_CHARS :])
    return described


def _clean(text: str) -> str:
    text = text if len(text) <= bounds.MAX_ERROR_CHARS else text[: bounds.MAX_ERROR_CHARS - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")
