"""Whether there is anybody to give spans to. Where there is not, nothing is imported and nothing is made."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor.ports.tracing import Tracing

logger = get_logger()

_API: Final = "opentelemetry.trace"
_SDK: Final = "opentelemetry.sdk.trace"
_BY_ENVIRONMENT: Final = "OTEL_PYTHON_TRACER_PROVIDER"
"""With it the API loads a provider by itself, at its first use."""


def check_tracing(tracing: Any) -> Any:
    """``Engine(tracing=...)``; raises TypeError for what is neither a bool nor a provider."""
    if not isinstance(tracing, bool) and not callable(getattr(tracing, "get_tracer", None)):
        raise TypeError(f"tracing is True, False or a TracerProvider of OpenTelemetry, not {type(tracing).__name__}")
    return tracing


def find_tracing(wanted: Any, key: bytes, clock: Clock) -> Tracing | None:
    """What makes the spans of an engine; None where nobody would get them.

    - ``wanted``: as for ``Engine``. True: the provider of the process, if it has set one up; False: none; a provider.
    - ``key``: of the log.
    """
    if wanted is False:
        return None
    if wanted is True:
        if _API not in sys.modules and _BY_ENVIRONMENT not in os.environ:
            return None  # whoever sets up an SDK has imported the API
        try:
            from opentelemetry import trace
        except ImportError:
            return None
        provider: Any = trace.get_tracer_provider()
    else:
        provider = wanted
    return _with_provider(provider, key, clock, is_wanted=wanted is not True)


def _with_provider(provider: Any, key: bytes, clock: Clock, *, is_wanted: bool) -> Tracing | None:
    if _SDK in sys.modules:  # a provider of the SDK comes from there
        from opentelemetry.sdk.trace import Tracer

        from reactor.tracing.otel import TRACER, OtelTracing

        tracer = provider.get_tracer(TRACER)
        if isinstance(tracer, Tracer):
            return OtelTracing(tracer, key, clock)
    if is_wanted:
        logger.warning("no spans are made: their provider is not that of the SDK", provider=type(provider).__name__)
    return None
