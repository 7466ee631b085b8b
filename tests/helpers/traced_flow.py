"""A flow that is served with spans of its own, and of the engine, written to ``SPANS_FILE``: a JSON text a line."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from reactor import Context, Retry, Workflow

if "SPANS_FILE" in os.environ:  # else it is set up by the OTEL_* variables
    provider = TracerProvider()
    file = open(os.environ["SPANS_FILE"], "a")  # noqa: SIM115, PTH123  # of the whole process
    console = ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
    provider.add_span_processor(SimpleSpanProcessor(console))  # what is in the log is written before it is shown
    trace.set_tracer_provider(provider)
tracer = trace.get_tracer("mine")

flow = Workflow("traced")
child = Workflow("child")


@flow.task
def in_a_thread() -> int:
    with tracer.start_as_current_span("work in a thread"):
        return 1


@flow.task(executor="process")
def in_a_process(ctx: Context) -> list[Any]:
    """The place in the trace: as the Context says it, as a program that is started here is told, and where it runs."""
    with tracer.start_as_current_span("work in a process"), ctx.llm_call("gpt-process"):
        with tracer.start_as_current_span("request in a process"):
            pass
        code = "import os; print(os.environ['TRACEPARENT'], os.environ.get('TRACESTATE'))"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return [ctx.traceparent, told, os.getpid()]


@flow.task(executor="process")
async def async_in_a_process() -> int:
    with tracer.start_as_current_span("async work in a process"):
        return 1


@flow.task(retry=Retry(attempts=2, delay=0))
async def asks_a_model(ctx: Context) -> str:
    async with ctx.llm_call("gpt-x") as call:
        with tracer.start_as_current_span("request"):
            call.cost, call.tokens = 0.25, 12
    if ctx.attempt == 1:
        raise ValueError("try again")
    return "text"


@flow.task
async def asks_somebody(asks_a_model: str, ctx: Context) -> Any:
    async with ctx.llm_call("gpt-open"):
        return await ctx.receive("go on?")


@flow.task
async def has_a_child(ctx: Context) -> Any:
    return await ctx.run("child")


@child.task
def leaf() -> int:
    with tracer.start_as_current_span("work in the child"):
        return 1


@child.task
async def asks_below(leaf: int, ctx: Context) -> Any:
    return await ctx.receive("go on?")
