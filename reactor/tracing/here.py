"""Where a body runs: the span that what it does belongs to, as the current one.

In a worker process that is the span of the attempt, which is open in the process of its engine; and everywhere, inside
of ``ctx.llm_call`` and ``ctx.tool_call``, the span of that call, which is made when the call is in the log.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from reactor.logger import get_logger
from reactor.trace_context import TraceContext, read_trace_context
from reactor.tracing.environment import configure_tracing
from reactor.tracing.keys import call_id

logger = get_logger()

_ENVIRONMENT: Final = "TRACEPARENT", "TRACESTATE"
"""Where programs that a body starts look, as OpenTelemetry names it."""
_API: Final = "opentelemetry.trace"
FLUSH_MS: Final = 1_000
"""How long an exporter is waited for: in a worker after each body, since it may be ended at any time."""


class Inside:
    """``with Inside(place):`` around a body whose attempt has this place in a trace. With None it does nothing.

    Not a generator: ``contextlib`` writes to an exception that passes, which a frozen one of a user's refuses.
    """

    def __init__(self, place: TraceContext | None) -> None:
        self._place = place
        self._token: Any = None

    def __enter__(self) -> None:
        place = self._place
        if place is not None:
            os.environ.update((name, text) for name, text in zip(_ENVIRONMENT, place, strict=True) if text)
            configure_tracing()
            self._token = _attach(place)

    def __exit__(self, *error: object) -> None:
        if self._place is not None:
            _detach(self._token)
            for name in _ENVIRONMENT:
                os.environ.pop(name, None)


def flush_spans() -> None:
    """Sends the spans that this process has made so far."""
    api = sys.modules.get(_API)
    if api is None:
        return
    provider: Any = api.get_tracer_provider()
    try:
        if hasattr(provider, "force_flush"):
            provider.force_flush(FLUSH_MS)
    except Exception as error:  # of an exporter: what was traced has ended all the same
        logger.warning("spans were not sent", error=f"{type(error).__name__}: {error}")


def _attach(place: TraceContext) -> Any:
    try:
        from opentelemetry import context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:  # without the API nobody asks for the current span
        return None
    carrier = {"traceparent": place.traceparent, "tracestate": place.tracestate}
    return context.attach(TraceContextTextMapPropagator().extract(carrier))


def _detach(token: Any) -> None:
    if token is not None:
        from opentelemetry import context

        context.detach(token)


def enter_call(traceparent: str | None, call: str) -> object:
    """The span of a call becomes the current one, so that those of the client that makes it are in it.

    ``traceparent``: of its attempt; ``call``: as in ``SpanKey``. Returns what ``leave_call`` takes.
    """
    place = read_trace_context(traceparent)
    if place is None or _API not in sys.modules:
        return None
    current = sys.modules[_API].get_current_span().get_span_context()
    state = current.trace_state.to_header() if current.trace_id == place.trace_id else ""
    span_id = call_id(place.trace_id, place.span_id, call)
    return _attach(TraceContext.of(place.trace_id, span_id, place.flags, state))


def leave_call(token: object) -> None:
    """The call has ended."""
    _detach(token)
