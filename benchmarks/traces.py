"""``python -m benchmarks.traces [TASKS]``: what spans cost a task, and that they cost nothing without an SDK.

One graph in layers on a log in memory, five times each, in turns, with the medians in microseconds a task:

- nothing: ``Engine(tracing=False)``
- no SDK: the API of OpenTelemetry is imported, as by an instrumented library, and no SDK is set up
- not sampled: an SDK, and a request whose ``traceparent`` says that it is not sampled
- spans: an SDK whose spans are kept in memory
- batches: an SDK that hands them to the thread of a BatchSpanProcessor, as in production; its exporter drops them

"No SDK" must be what "nothing" is; the spread of "nothing" says how much of a difference means nothing.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import Any, Final

import opentelemetry.trace  # noqa: F401  # for "no SDK"
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.engine import workflow_of
from benchmarks.shapes import SHAPES
from reactor import Engine, Workflow
from reactor.logs.memory import MemoryLog

TASKS: Final = 2_000
TIMES: Final = 5
PARENT: Final = f"00-{'a' * 32}-{'b' * 16}-"


class _Dropped(SpanExporter):
    """Sends to nobody."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def _provider(processor: Any) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


async def once(flow: Workflow, tasks: int, tracing: Any, flags: str) -> float:
    """Microseconds a task."""
    async with Engine(MemoryLog(max_events=10**9, max_bytes=10**12), workflows=[flow], tracing=tracing) as engine:
        gc.collect()
        began = perf_counter()
        await (await engine.start(flow, traceparent=PARENT + flags))
        return (perf_counter() - began) / tasks * 1e6


async def main(tasks: int) -> int:
    flow = workflow_of(SHAPES["layers"](tasks))
    memory = InMemorySpanExporter()
    ways: dict[str, tuple[Any, str]] = {
        "nothing": (False, "01"),
        "no SDK": (True, "01"),
        "not sampled": (_provider(SimpleSpanProcessor(memory)), "00"),
        "spans": (_provider(SimpleSpanProcessor(memory)), "01"),
        "batches": (_provider(BatchSpanProcessor(_Dropped(), max_queue_size=2 * tasks)), "01"),
    }
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TIMES):
        for name, (tracing, flags) in ways.items():
            figures[name].append(await once(flow, tasks, tracing, flags))
            made = len(memory.get_finished_spans())
            assert made == (tasks + 1 if name == "spans" else 0), f"{name}: {made} spans"
            memory.clear()
    print(f"{tasks:,} tasks, us/task: median (least-most), more than nothing")
    base = median(figures["nothing"])
    for name, taken in figures.items():
        middle = median(taken)
        print(f"{name:12} {middle:6.1f} ({min(taken):.1f}-{max(taken):.1f})  {middle - base:+6.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else TASKS)))
