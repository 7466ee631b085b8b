"""Which span: of a run, of an attempt or of a call. Its id is a digest of that, so every process gets the same one."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from reactor.trace_context import TraceContext

_PERSON: Final = b"reactor.trace"
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_MAX_KEY_BYTES: Final = 64
"""The longest key that blake2b takes."""


class SpanKey(NamedTuple):
    """What a span is of, in its run. All empty: the run itself; without ``call``: an attempt."""

    task_id: str = ""
    attempt: int = 0
    call: str = ""
    """``llm.call 2``: its kind, and which call of the attempt it is."""

    @property
    def parent(self) -> SpanKey | None:
        """The span that it is in; None for the run, whose parent is whoever started it."""
        if self.call:
            return self._replace(call="")
        return RUN if self.task_id else None


RUN: Final = SpanKey()


class SpanIds:
    """The ids of one run's spans.

    - ``key``: of the log, so that runs of one name in two logs are two traces.
    - ``given``: where the run belongs; None: it is the root of a trace of its own.
    """

    __slots__ = ("_key", "_run", "trace_id")

    def __init__(self, key: bytes, tenant: str, run_id: str, given: TraceContext | None) -> None:
        self._key = key[:_MAX_KEY_BYTES]
        self._run = f"{tenant}/{run_id}"  # neither a run id nor a tenant has a /
        self.trace_id = self._digest(self._run, _TRACE_BYTES) if given is None else given.trace_id

    def span_id(self, of: SpanKey) -> int:
        attempt = self._digest(f"{self._run}/{of.task_id}/{of.attempt}", _SPAN_BYTES)
        return call_id(self.trace_id, attempt, of.call) if of.call else attempt

    def _digest(self, text: str, size: int) -> int:
        return _number(blake2b(text.encode("utf-8", "replace"), digest_size=size, key=self._key, person=_PERSON))


def call_id(trace_id: int, attempt: int, call: str) -> int:
    """The id of a call's span, from that of its attempt: a body in another process has no more than that."""
    text = f"{trace_id:032x}/{attempt:016x}/{call}".encode()
    return _number(blake2b(text, digest_size=_SPAN_BYTES, person=_PERSON))


def _number(digest: blake2b) -> int:
    return int.from_bytes(digest.digest(), "big") or 1  # 0 is no id
