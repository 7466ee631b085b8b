"""The headers of W3C Trace Context: what is taken, and what is as if it were not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reactor.trace_context import TraceContext, check_traceparent, read_trace_context
from tests.helpers.traces import PARENT_ID, TRACE_ID, TRACEPARENT


@pytest.mark.parametrize(
    "given",
    [
        TRACEPARENT,
        f" {TRACEPARENT}\t",
        f"cc-{TRACE_ID}-{PARENT_ID}-01",
        f"cc-{TRACE_ID}-{PARENT_ID}-01-later",
    ],
)
def test_what_is_valid_is_handed_on_in_the_version_that_we_know(given: str) -> None:
    """Also of a later version: its first four parts are those of today."""
    found = read_trace_context(given)
    assert found == TraceContext(TRACEPARENT)
    assert (f"{found.trace_id:x}", f"{found.span_id:x}", found.flags) == (TRACE_ID.lstrip("0"), PARENT_ID, 1)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "nonsense",
        TRACEPARENT.upper(),
        f"ff-{TRACE_ID}-{PARENT_ID}-01",
        f"{TRACEPARENT}-more",
        f"cc-{TRACE_ID}-{PARENT_ID}-01.more",
        f"00-{'0' * 32}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-{PARENT_ID}",
        f"00-{TRACE_ID}-{PARENT_ID}-1",
        f"00-{TRACE_ID}-{PARENT_ID}-01\n",
        f"{TRACEPARENT},{TRACEPARENT}",
        f"cc-{TRACE_ID}-{PARENT_ID}-01-" + "x" * 500,
    ],
)
def test_what_is_not_valid_is_as_none(given: str | None) -> None:
    """W3C: the receiver goes on as if the header had not been there."""
    assert read_trace_context(given, "a=b") is None


def test_flags_that_are_not_known_are_not_handed_on() -> None:
    """sampled and random are; the other bits mean nothing yet."""
    found = read_trace_context(f"00-{TRACE_ID}-{PARENT_ID}-ff")
    assert found is not None
    assert found.traceparent.endswith("-03")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a=1", "a=1"),
        ("a=1, b@c=2 x ,, ", "a=1,b@c=2 x"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a", ""),
        ("a=\u00e9", ""),
        ("a=" + "x" * 257, ""),
        (",".join(f"k{i}=v" for i in range(33)), ""),
        (",".join(f"k{i}=v" for i in range(32)), ",".join(f"k{i}=v" for i in range(32))),
        ("a=" + "x" * 511, ""),
    ],
)
def test_a_tracestate_that_is_not_valid_is_dropped_alone(given: str, kept: str) -> None:
    """The traceparent is used all the same."""
    assert read_trace_context(TRACEPARENT, given) == TraceContext(TRACEPARENT, kept)


@given(st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,5})?", fullmatch=True) | st.text())
def test_it_is_taken_where_opentelemetry_takes_it(given: str) -> None:
    """The propagator of the API says the same of every header."""
    context = TraceContextTextMapPropagator().extract({"traceparent": given.strip()})
    theirs = trace.get_current_span(context).get_span_context()
    ours = read_trace_context(given.strip())
    assert (ours is not None) == theirs.is_valid
    if ours is not None:
        assert (ours.trace_id, ours.span_id, ours.flags & 1) == (
            theirs.trace_id,
            theirs.span_id,
            theirs.trace_flags & 1,
        )


def test_what_is_not_text_is_an_error_of_the_caller() -> None:
    """In this process somebody has made a mistake; a header is always text."""
    with pytest.raises(ValueError, match="traceparent is the text of that header, or None, not bytes"):
        check_traceparent(TRACEPARENT.encode())  # type: ignore[arg-type]
