"""Appends windows: under the fence of their runs, and once more where Redis has lost what came before them.

Redis can lose its tail: a replica that takes over may lack the last windows, and so may a disk. A window that does not
follow then is answered GAP. What is missing is written again from the ring; where it is not there any more the run is
rewound: it gets a new epoch, so that nobody takes its next events for those that it had before.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from reactor.errors import RunNotHere
from reactor.events.event import Window
from reactor.logger import get_logger
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.lease import Incarnation
from reactor.logs.redis.ring import Kept, Key, Ring
from reactor.logs.redis.server import refused
from reactor.logs.redis.windows import Packed, pack

logger = get_logger()


class _Seen(NamedTuple):
    """A window that was acknowledged."""

    position: int
    last: int
    name: str
    """``tenant:run:last seq``"""


NOTHING: Final = _Seen(0, 0, "")


class _Append:
    __slots__ = ("fence", "future", "is_mended", "key", "packed")

    def __init__(self, key: Key, packed: Packed, fence: str, future: asyncio.Future[int] | None) -> None:
        self.key = key
        self.packed = packed
        self.fence = fence
        self.future = future
        self.is_mended = False
        """What was missing before it has been written again."""

    def fail(self, error: Exception) -> None:
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)


class Appends:
    """Those of one log. Loop thread only.

    ``incarnation``: knows the fences by which this process holds its runs.
    """

    def __init__(self, calls: Calls, incarnation: Incarnation) -> None:
        self._place = calls.place
        self._wire = calls.writes
        self._names = calls.names
        self._incarnation = incarnation
        self._ring = Ring()
        self._answers: dict[Key, list[tuple[int, str, bytes]]] = {}
        """Commands that are answered with the window that has their event: its seq, their id, the answer."""
        self._silent: set[Key] = set()
        """Open runs that began here and have asked nothing so far."""
        self._acknowledged: dict[Key, int] = {}
        """Of runs that have not ended: the last seq that Redis has acknowledged here."""
        self._seen = NOTHING
        """The window with the highest position that was acknowledged here, and its name: ``tenant:run:last seq``."""
        self._healed: _Seen | None = None
        """The same of those that are acknowledged while Redis is written again what it had lost; None: it is not."""
        self._heals = 0
        self.rewound_runs = 0
        """How many runs have lost acknowledged events, which nobody could write again."""
        self.told: Callable[[str, str, int, int], None] = lambda tenant, run_id, kept, lost: None
        """Called with each of them: tenant and id, the last event that is left, and the last one that there was."""

    def append(self, run_id: str, window: Window, tenant: str) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        key = (tenant, run_id)
        try:
            packed = self._pack(key, window)
        except ValueError as error:
            future.set_exception(error)
            return future
        if key in self._answers:
            packed = self._with_answers(key, packed)
        self._send(_Append(key, packed, self._incarnation.fence_of(key), future))
        return future

    def _pack(self, key: Key, window: Window) -> Packed:
        if window[0].seq == 1:
            self._silent.add(key)
        packed = pack(key[1], window, has_asked=key not in self._silent)
        if packed.has_asked or packed.has_ended:
            self._silent.discard(key)
        return packed

    def answer_with(self, key: Key, seq: int, id: str, answer: bytes) -> None:
        """The command is answered when the event ``seq`` is committed, which is in no window yet."""
        self._answers.setdefault(key, []).append((seq, id, answer))

    def _with_answers(self, key: Key, packed: Packed) -> Packed:
        answers = self._answers.pop(key)
        ready = [(id, answer) for seq, id, answer in answers if seq <= packed.last]
        if later := [one for one in answers if one[0] > packed.last]:
            self._answers[key] = later
        return packed.answering(ready) if ready else packed

    def let_go(self, key: Key) -> None:
        """The run is not held here any more: where it ends, others know, and they answer its commands."""
        self._acknowledged.pop(key, None)
        self._answers.pop(key, None)
        self._silent.discard(key)

    def forget(self, key: Key) -> None:
        """The run was deleted."""
        self._ring.forget(key)
        self._acknowledged.pop(key, None)
        self._silent.discard(key)

    def seen(self) -> tuple[int, str]:
        """The last window that was acknowledged here, by which it is seen whether Redis has lost its end."""
        return self._seen.position, self._seen.name

    def write_again(self) -> None:
        """Redis has lost its end: writes again what it has acknowledged lately.

        Until all of that is answered, the window that it has lost is still the one to look for: it may lose its end
        once more.
        """
        self._healed = NOTHING
        self._heals += 1
        heal = self._heals
        kept = self._ring.all()
        claims = dict.fromkeys((one.key, one.fence) for one in kept if one.fence)
        self._incarnation.claim_all()
        for key, fence in claims:
            self._incarnation.claim(key, fence)
        for one in kept:
            self._send_again(one)
        for key, fence in claims:
            self._incarnation.give_back(key, fence)
        self._wire.call(self._names.call("top"), lambda answer: self._on_healed(heal, answer))
        if kept:
            logger.warning("the log had lost its end and is written again", windows=len(kept))

    def _on_healed(self, heal: int, answer: Any) -> None:
        """All that was called before is answered."""
        if heal == self._heals and self._healed is not None and not isinstance(answer, Exception):
            self._seen, self._healed = self._healed, None
            for key, known in self._acknowledged.items():
                self._check_last(key, known)

    def _check_last(self, key: Key, known: int) -> None:
        """A run that has nothing to say now would not notice what it has lost, and show it to whoever asks."""

        def checked(answer: Any) -> None:
            at = -1 if isinstance(answer, Exception) else int(answer[1] or 0)
            if 0 <= at < known <= self._acknowledged.get(key, 0):
                self._rewind(key, self._incarnation.fence_of(key), at, known)

        self._wire.call(self._names.call("field", *key, "last"), checked)

    def _see(self, seen: _Seen) -> None:
        """A window was acknowledged. One that was there already has the position of the last one of its run."""
        if self._healed is None:
            self._seen = max(self._seen, seen)
        else:
            self._healed = max(self._healed, seen)

    # --- inside ---

    def _send(self, append: _Append) -> None:
        (tenant, run_id), packed = append.key, append.packed
        parts = self._names.call(
            "commit", tenant, run_id, append.fence, packed.first, packed.last, packed.lines, packed.changes,
            *packed.blobs,
        )  # fmt: skip
        self._wire.call(parts, lambda answer: self._on_answer(append, answer))

    def _send_again(self, kept: Kept) -> None:
        again = _Append(kept.key, kept.packed, kept.fence, None)
        again.is_mended = True
        self._send(again)

    def _on_answer(self, append: _Append, answer: Any) -> None:
        if isinstance(answer, int):
            self._on_committed(append, answer)
        elif isinstance(answer, Exception):
            append.fail(refused(self._place, answer))
        else:
            self._on_refused(append, answer[0], int(answer[1]) if len(answer) > 1 else 0)

    def _on_committed(self, append: _Append, position: int) -> None:
        key, packed = append.key, append.packed
        self._see(_Seen(position, packed.last, f"{key[0]}:{key[1]}:{packed.last}"))
        if append.future is None:
            return
        if packed.has_ended:
            self._acknowledged.pop(key, None)
            self._incarnation.ended(key)
        else:
            self._acknowledged[key] = max(packed.last, self._acknowledged.get(key, 0))
        self._ring.add(key, append.fence, packed)
        if not append.future.done():
            append.future.set_result(position)

    def _on_refused(self, append: _Append, why: bytes, at: int) -> None:
        (_, run_id), first = append.key, append.packed.first
        if why == b"PART":
            append.packed = append.packed.behind(at)
            self._send(append)
        elif why == b"FENCED":
            if append.future is not None:  # first of all: whoever follows the run goes on, and its execution ends
                self._incarnation.refused(append.key, append.fence)
            append.fail(RunNotHere(f"another node holds run {run_id}: window {first} is refused", run_id=run_id))
        elif why == b"DIFFERS":
            append.fail(ValueError(f"window {first} of run {run_id} is not what the log has as event {at}"))
        else:
            self._on_gap(append, at)

    def _on_gap(self, append: _Append, at: int) -> None:
        (_, run_id), first = append.key, append.packed.first
        known = self._acknowledged.get(append.key, 0) if append.future is not None else append.packed.last
        if known > at and not append.is_mended:
            append.is_mended = True
            missing = self._ring.between(append.key, at, first)
            if missing:
                logger.warning("a run had lost its end and is written again", run_id=run_id, after=at, until=first - 1)
                for kept in missing:
                    self._send_again(kept)
                self._send(append)
                return
        if known > at:
            self._rewind(append.key, append.fence, at, known)
        append.fail(ValueError(f"window {first} of run {run_id} leaves a gap after {at}"))

    def _rewind(self, key: Key, fence: str, at: int, known: int) -> None:
        tenant, run_id = key
        self._acknowledged[key] = at
        self.rewound_runs += 1
        logger.error("the log has lost events that were shown", run_id=run_id, tenant=tenant, first=at + 1, last=known)
        self._wire.call(
            self._names.call("rewind", tenant, run_id, fence, secrets.token_hex(8), at), lambda answer: None
        )
        self.told(tenant, run_id, at, known)
