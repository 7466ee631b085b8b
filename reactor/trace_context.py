"""W3C Trace Context: which trace a run belongs to, as the headers ``traceparent`` and ``tracestate`` say it.

Pure, and without OpenTelemetry: a run keeps what it was given and hands it on, whether anybody makes spans or not.
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER: Final = re.compile(
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]",
    re.ASCII,
)
MAX_CHARS: Final = 512
"""The longest of both headers that is read. A ``traceparent`` of version 00 has 55."""
MAX_MEMBERS: Final = 32
"""How many vendors a ``tracestate`` may name."""
_KNOWN_FLAGS: Final = 0x03
"""``sampled`` and ``random``; others are for later versions and are not handed on."""
SAMPLED: Final = 0x01


class TraceContext(NamedTuple):
    """A place in a trace: the span that what comes next belongs to."""

    traceparent: str
    """``00-<trace id, 32 hex digits>-<span id, 16 hex digits>-<flags, 2 hex digits>``."""
    tracestate: str = ""
    """What vendors add, as they wrote it; may be empty."""

    @classmethod
    def of(cls, trace_id: int, span_id: int, flags: int, tracestate: str = "") -> TraceContext:
        return cls(f"00-{trace_id:032x}-{span_id:016x}-{flags & _KNOWN_FLAGS:02x}", tracestate)

    @property
    def trace_id(self) -> int:
        return int(self.traceparent[3:35], 16)

    @property
    def span_id(self) -> int:
        return int(self.traceparent[36:52], 16)

    @property
    def flags(self) -> int:
        return int(self.traceparent[53:55], 16)


def read_trace_context(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """What the two headers say; None for a ``traceparent`` that is not valid, which W3C says is as if it were missing.

    A ``tracestate`` that is not valid is dropped, and the ``traceparent`` stays. Of a later version what this one knows
    is taken.
    """
    if traceparent is None or len(traceparent) > MAX_CHARS:
        return None
    found = _PARENT.fullmatch(traceparent.strip(" \t"))
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if int(trace_id, 16) == 0 or int(span_id, 16) == 0:
        return None
    return TraceContext.of(int(trace_id, 16), int(span_id, 16), int(flags, 16), _read_state(tracestate))


def _read_state(tracestate: str | None) -> str:
    """The members of a ``tracestate``; empty where it is not valid."""
    if not tracestate or len(tracestate) > MAX_CHARS:
        return ""
    members = [member for part in tracestate.split(",") if (member := part.strip(" \t"))]
    names = {member.partition("=")[0] for member in members}
    is_valid = len(names) == len(members) <= MAX_MEMBERS and all(map(_MEMBER.fullmatch, members))
    return ",".join(members) if is_valid else ""


def check_traceparent(given: str | TraceContext | None) -> TraceContext | None:
    """What a caller in this process gave as ``traceparent=``. Raises ValueError for what is not text."""
    if given is None or isinstance(given, TraceContext):
        return given
    if not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise ValueError(f"traceparent is the text of that header, or None, not {type(given).__name__}")
    return read_trace_context(given)


def trace_of_started(data: dict[str, Any]) -> TraceContext | None:
    """What the ``data`` of a ``run.started`` says."""
    return read_trace_context(data.get("traceparent"), data.get("tracestate"))
