"""Makes spans with the SDK of OpenTelemetry that the process has set up.

A span gets its id from the id generator of its tracer. The tracer named ``reactor`` gets one of ours, which gives the
id that was said before; all others keep theirs. So a span goes the way of every span: through the sampler, the limits
and the processors of the provider.

The spans of the run and of attempts that run here are open in the SDK, too: a body finds its own as the current span
and may set attributes. They are ended with what the fold says, as are those that no process has open any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from reactor.events.event import Window
from reactor.events.vocabulary import TASK_ENDS
from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.trace_context import TraceContext
from reactor.tracing.history import History
from reactor.tracing.keys import RUN, SpanIds, SpanKey
from reactor.tracing.spans import Attributes, SpanFold, SpanValue, nanoseconds

logger = get_logger()

T = TypeVar("T")

TRACER: Final = "reactor"
"""The name of the tracer, which exporters show as the scope of a span."""


class GivenIds(IdGenerator):
    """Gives the ids that were said just before in the same thread; else those of the generator it stands for."""

    def __init__(self, inner: IdGenerator) -> None:
        self._inner = inner
        self._said = threading.local()

    @contextmanager
    def saying(self, trace_id: int, span_id: int) -> Generator[None]:
        """The next span that this thread makes has these."""
        self._said.ids = trace_id, span_id
        try:
            yield
        finally:
            self._said.ids = None

    def generate_trace_id(self) -> int:
        ids: tuple[int, int] | None = getattr(self._said, "ids", None)
        return self._inner.generate_trace_id() if ids is None else ids[0]

    def generate_span_id(self) -> int:
        ids: tuple[int, int] | None = getattr(self._said, "ids", None)
        return self._inner.generate_span_id() if ids is None else ids[1]


class OtelTracing:
    """Implements ``Tracing`` for one engine. ``key``: of the log; ids are made with it."""

    def __init__(self, tracer: Tracer, key: bytes, clock: Clock) -> None:
        if not isinstance(tracer.id_generator, GivenIds):  # another engine of this process may have been here
            tracer.id_generator = GivenIds(tracer.id_generator)
        self._ids = tracer.id_generator
        self._tracer = tracer
        self._key = key
        self._clock = clock
        self.is_broken = False
        """A processor, an exporter or a sampler has raised: no more spans are made."""

    def run(
        self, tenant: str, run_id: str, workflow: str, given: TraceContext | None, history: History | None = None
    ) -> OtelRun:
        ids = SpanIds(self._key, tenant, run_id, given)
        if history is None:
            return OtelRun(self, ids, given, SpanFold(run_id, workflow, tenant))
        found = OtelRun(self, ids, given, history.fold)
        found.send(history.unsent)
        return found

    def current(self, given: TraceContext | None) -> TraceContext | None:
        found = trace.get_current_span().get_span_context()
        if not found.is_valid or (given is not None and given.trace_id != found.trace_id):
            return given
        return _shown(found)

    # --- for its runs ---

    def now(self) -> int:
        return nanoseconds(self._clock.now().decode())

    def start(self, ids: SpanIds, key: SpanKey, name: str, attributes: Attributes, at: int, parent: Context) -> Span:
        kind = SpanKind.CLIENT if key.call.startswith("llm") else SpanKind.INTERNAL
        with self._ids.saying(ids.trace_id, ids.span_id(key)):
            return self._tracer.start_span(name, parent, kind, dict(attributes), start_time=at)

    def breaks(self, error: Exception) -> None:
        """A part of the SDK that is not ours has raised. Runs go on, and nothing more is asked of it."""
        if not self.is_broken:
            self.is_broken = True
            logger.error("tracing raised, and no more spans are made", exc_info=error)


class OtelRun:
    """Implements ``RunTrace``."""

    def __init__(self, tracing: OtelTracing, ids: SpanIds, given: TraceContext | None, fold: SpanFold) -> None:
        self._tracing = tracing
        self._ids = ids
        self._given = given
        self._fold = fold
        self._run: Span | None = None
        self._live: dict[SpanKey, tuple[Span, Attributes]] = {}
        """The spans of attempts that run here, and what was said of them at their start."""
        self._attempts: dict[str, SpanKey] = {}
        """By task: its last attempt here."""

    @property
    def seq(self) -> int:
        return self._fold.seq

    # --- while it runs ---

    def begin(self, task_id: str, task: str, map_index: int | None, attempt: int) -> TraceContext:
        key = self._attempts[task_id] = SpanKey(task_id, attempt)
        if not self._tracing.is_broken:
            try:
                if self._of_run().is_recording():  # else nothing is to be said of it
                    name, attributes = self._fold.attempt_facts(task_id, task, map_index, attempt)
                    self._live[key] = self._start(key, name, attributes, self._tracing.now()), attributes
            except Exception as error:
                self._tracing.breaks(error)
        return self.of(task_id)

    def call(self, task_id: str, function: Callable[..., T], *arguments: Any) -> T:
        key = self._attempts.get(task_id)
        if key is None or self._run is None:
            return function(*arguments)
        span, _ = self._live.get(key) or (NonRecordingSpan(_beside(self._run, self._ids.span_id(key))), {})
        token = attach(trace.set_span_in_context(span))
        try:
            return function(*arguments)
        finally:
            detach(token)

    def of(self, task_id: str) -> TraceContext:
        key = self._attempts.get(task_id, RUN)
        if key in self._live:
            return _shown(self._live[key][0].get_span_context())
        span_id = self._ids.span_id(key)
        if self._run is not None:
            return _shown(_beside(self._run, span_id))
        # tracing is broken: its place is known all the same
        return TraceContext.of(self._ids.trace_id, span_id, 0 if self._given is None else self._given.flags)

    # --- what is in the log ---

    def committed(self, window: Window) -> None:
        if self._run is not None and not self._run.is_recording():  # a run is sampled as a whole
            for event in window:
                if event.type in TASK_ENDS:
                    self._attempts.pop(event.task_id or "", None)
            return
        try:
            for event in window:
                self.send(self._fold.add(event))
        except Exception as error:  # of the fold: an event that it does not understand must not end the run
            self._tracing.breaks(error)

    def send(self, ended: Iterable[SpanValue]) -> None:
        """Makes spans that have ended, or ends those that are open."""
        for value in ended:
            if self._tracing.is_broken:
                return
            try:
                self._end(value)
            except Exception as error:
                self._tracing.breaks(error)

    def _end(self, value: SpanValue) -> None:
        known: Attributes = {}
        if value.key == RUN:
            span = self._of_run()
        elif value.key in self._live:
            span, known = self._live.pop(value.key)
            if self._attempts.get(value.key.task_id) == value.key:
                del self._attempts[value.key.task_id]
        else:
            span, known = self._start(value.key, value.name, value.attributes, value.start), value.attributes
        if not span.is_recording():  # not sampled
            return
        if len(known) < len(value.attributes):
            span.set_attributes({name: said for name, said in value.attributes.items() if name not in known})
        error = value.error
        if error is not None:
            said = {"exception.type": error.type, "exception.message": error.message}
            if error.traceback is not None:
                said["exception.stacktrace"] = error.traceback
            span.add_event("exception", said, timestamp=value.end)
            span.set_status(Status(StatusCode.ERROR, f"{error.type}: {error.message}"))
        start: int = getattr(span, "start_time", None) or value.start  # of a body that ended before its start was told
        span.end(max(start, value.end))

    # --- spans of the SDK ---

    def _of_run(self) -> Span:
        """The span of the run, which is open from its first use here on."""
        if self._run is None:
            name, attributes = self._fold.run_facts()
            at = self._fold.run_start() or self._tracing.now()
            self._run = self._tracing.start(self._ids, RUN, name, attributes, at, _context_of(self._given))
        return self._run

    def _start(self, key: SpanKey, name: str, attributes: Attributes, at: int) -> Span:
        run = self._of_run()
        parent = key.parent
        if parent is None or parent == RUN:
            above: Span = run
        elif parent in self._live:
            above, _ = self._live[parent]
        else:
            above = NonRecordingSpan(_beside(run, self._ids.span_id(parent)))
        if not run.is_recording():  # a run is sampled as a whole
            return NonRecordingSpan(_beside(run, self._ids.span_id(key)))
        return self._tracing.start(self._ids, key, name, attributes, at, trace.set_span_in_context(above, Context()))


def _context_of(given: TraceContext | None) -> Context:
    """With the span that the run belongs to as the current one, as if a request had brought it; empty for none."""
    if given is None:
        return Context()
    state = TraceState.from_header([given.tracestate]) if given.tracestate else TraceState()
    remote = SpanContext(given.trace_id, given.span_id, True, TraceFlags(given.flags), state)
    return trace.set_span_in_context(NonRecordingSpan(remote), Context())


def _beside(span: Span, span_id: int) -> SpanContext:
    """The context of another span in the same run."""
    own = span.get_span_context()
    return SpanContext(own.trace_id, span_id, False, own.trace_flags, own.trace_state)


def _shown(context: SpanContext) -> TraceContext:
    return TraceContext.of(context.trace_id, context.span_id, context.trace_flags, context.trace_state.to_header())
