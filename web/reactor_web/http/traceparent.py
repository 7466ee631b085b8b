"""The headers ``traceparent`` and ``tracestate`` of a request: the trace that a run belongs to which it starts."""

from __future__ import annotations

from aiohttp import web

from reactor.trace_context import TraceContext, read_trace_context


def trace_of(request: web.Request) -> TraceContext | None:
    """As W3C Trace Context says: one that is not valid, or is there twice, is as none, and the request is carried out.

    https://www.w3.org/TR/trace-context/
    """
    given = request.headers.getall("traceparent", ())
    if len(given) != 1:
        return None
    return read_trace_context(given[0], ",".join(request.headers.getall("tracestate", ())))
