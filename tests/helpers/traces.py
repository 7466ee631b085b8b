"""Spans as tests compare them, and what holds of all spans of a run: they are one tree."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reactor.events.event import Event
from reactor.tracing.spans import nanoseconds, spans_of

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"


class Seen(NamedTuple):
    """A span that was exported. Ids are hex digits without ``0x``, times nanoseconds."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start: int
    end: int
    status: str
    attributes: dict[str, Any]
    events: list[str]


def seen(span: ReadableSpan) -> Seen:
    return _seen(json.loads(span.to_json()))


def seen_in(text: str) -> list[Seen]:
    """Those that a process has written, each as JSON in a line of its own; other lines are left out."""
    return [_seen(json.loads(line)) for line in text.splitlines() if line.startswith('{"name"')]


def _seen(span: dict[str, Any]) -> Seen:
    context, parent = span["context"], span["parent_id"]
    return Seen(
        span["name"],
        context["trace_id"].removeprefix("0x"),
        context["span_id"].removeprefix("0x"),
        None if parent is None else parent.removeprefix("0x"),
        nanoseconds(span["start_time"]),
        nanoseconds(span["end_time"]),
        span["status"]["status_code"],
        span["attributes"],
        [event["name"] for event in span["events"]],
    )


class Exported:
    """A provider of the SDK, for ``Engine(tracing=...)``, and the spans that went through it."""

    def __init__(self, **options: Any) -> None:
        self._memory = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.tracer = self.provider.get_tracer("mine")

    @property
    def spans(self) -> list[Seen]:
        return [seen(span) for span in self._memory.get_finished_spans()]

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]


def check_tree(spans: Sequence[Seen], root: str | None = None) -> None:
    """They are one tree. ``root``: the id of its root, which is not among them; None: one of them has no parent."""
    ids = Counter(span.span_id for span in spans)
    assert [id for id, times in ids.items() if times > 1] == [], "a span is there twice"
    assert len({span.trace_id for span in spans}) == 1, f"they are several traces: {brief(spans)}"
    orphans = [span for span in spans if span.parent_id not in ids and span.parent_id != root]
    assert orphans == [], f"the parents of {brief(orphans)} are not there"
    assert [span for span in spans if span.start > span.end] == []
    assert len([span for span in spans if span.parent_id == root]) == 1, "there are several trees"


def brief(spans: Iterable[Seen]) -> str:
    return "; ".join(f"{span.name} {span.trace_id[:4]} {span.span_id} in {span.parent_id}" for span in spans)


def told(spans: Iterable[Seen]) -> Counter[tuple[str, Any, Any, str]]:
    """What spans of ours say: name, task, attempt, how it ended."""
    about = ((span.name, span.attributes) for span in spans if "reactor.run_id" in span.attributes)
    return Counter(map(_told, about))


def told_by(log: Iterable[Event]) -> Counter[tuple[str, Any, Any, str]]:
    """What the spans of a run must say, from its log."""
    return Counter(_told((value.name, value.attributes)) for value in spans_of(log))


def _told(span: tuple[str, dict[str, Any]]) -> tuple[str, Any, Any, str]:
    name, attributes = span
    about = attributes.get("reactor.task_id"), attributes.get("reactor.attempt")
    return name, *about, str(attributes["reactor.status"])
