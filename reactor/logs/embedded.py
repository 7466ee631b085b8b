"""The small ports in memory, within bounds: for the memory log, and for what another log does not implement."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from typing import Final, TypeVar

from reactor import bounds
from reactor.ports.schedules import ScheduleRecord

DIGEST_KEY_BYTES: Final = 32
"""The length of a key for HMAC-SHA256."""

T = TypeVar("T")


def settled(result: T) -> asyncio.Future[T]:
    """A future of the running loop that is done."""
    future: asyncio.Future[T] = asyncio.Future()
    future.set_result(result)
    return future


class MemoryOutputs:
    """Implements ``OutputStore``: the last ``bounds.CACHED_OUTPUTS`` outputs, up to ``bounds.CACHED_BYTES``."""

    def __init__(self) -> None:
        self._outputs: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._output_bytes = 0

    async def recall(self, key: str, now: float) -> bytes | None:
        value, until = self._outputs.get(key, (None, 0.0))
        return value if now < until else None

    def remember(self, key: str, value: bytes, until: float) -> asyncio.Future[None]:
        self._forget_output(key)
        self._outputs[key] = (value, until)
        self._output_bytes += len(value)
        while len(self._outputs) > bounds.CACHED_OUTPUTS or self._output_bytes > bounds.CACHED_BYTES:
            self._forget_output(next(iter(self._outputs)))
        return settled(None)

    def _forget_output(self, key: str) -> None:
        value, _ = self._outputs.pop(key, (b"", 0.0))
        self._output_bytes -= len(value)


class MemoryCheckpoints:
    """Implements ``Checkpoints``: the last ``bounds.CHECKPOINTS`` states of each of the last ``bounds.RECENT_RUNS``."""

    def __init__(self) -> None:
        self._checkpoints: OrderedDict[tuple[str, str], dict[int, bytes]] = OrderedDict()
        """By tenant and run id, the run that was used last at the end."""

    async def checkpoint(self, run_id: str, until: int, *, tenant: str = "") -> bytes | None:
        kept = self._checkpoints.get((tenant, run_id), {})
        seq = max((seq for seq in kept if seq <= until), default=None)
        return None if seq is None else kept[seq]

    def keep_checkpoint(self, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> asyncio.Future[None]:
        kept = self._checkpoints.setdefault((tenant, run_id), {})
        self._checkpoints.move_to_end((tenant, run_id))
        kept[seq] = state
        while len(kept) > bounds.CHECKPOINTS:
            del kept[min(kept)]
        while len(self._checkpoints) > bounds.RECENT_RUNS:
            self._checkpoints.popitem(last=False)
        return settled(None)

    def forget_checkpoints(self, run_id: str, *, tenant: str = "") -> None:
        """Drops all of a run."""
        self._checkpoints.pop((tenant, run_id), None)


class MemoryAnswers:
    """Implements ``Idempotency``: the last ``bounds.RUN_ANSWERS`` of a run, and ``bounds.ANSWERS`` of all."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        """By tenant, run id and key, the oldest first."""
        self._answers_of: dict[tuple[str, str], OrderedDict[str, None]] = {}
        """By tenant and run id: the keys, the oldest first."""

    async def answer(self, key: str, *, run_id: str = "", tenant: str = "") -> bytes | None:
        return self._answers.get((tenant, run_id, key))

    def keep_answer(self, key: str, answer: bytes, *, run_id: str = "", tenant: str = "") -> asyncio.Future[None]:
        self._answers[tenant, run_id, key] = answer  # a key keeps its place: it grows old from its first use
        keys = self._answers_of.setdefault((tenant, run_id), OrderedDict())
        keys.setdefault(key)
        if run_id and len(keys) > bounds.RUN_ANSWERS:
            self._forget_answer(tenant, run_id, next(iter(keys)))
        if len(self._answers) > bounds.ANSWERS:
            self._forget_answer(*next(iter(self._answers)))
        return settled(None)

    def forget_answers(self, run_id: str, *, tenant: str = "") -> None:
        """Drops all of a run."""
        for key in list(self._answers_of.get((tenant, run_id), ())):
            self._forget_answer(tenant, run_id, key)

    def _forget_answer(self, tenant: str, run_id: str, key: str) -> None:
        if self._answers.pop((tenant, run_id, key), None) is None:
            return
        keys = self._answers_of[tenant, run_id]
        del keys[key]
        if not keys:
            del self._answers_of[tenant, run_id]


class MemoryStops:
    """Implements ``CleanStops``."""

    def __init__(self) -> None:
        self._stop: bool | None = None

    async def take_stop(self) -> bool | None:
        taken, self._stop = self._stop, False
        return taken

    async def mark_stop(self) -> None:
        self._stop = True


class MemoryDigestKey:
    """Implements ``DigestKey``."""

    def __init__(self) -> None:
        self._digest_key = secrets.token_bytes(DIGEST_KEY_BYTES)

    async def digest_key(self) -> bytes:
        return self._digest_key


class MemorySchedules:
    """Implements ``ScheduleStore``. Who puts schedules in sees to it that they are few."""

    def __init__(self) -> None:
        self._schedules: dict[tuple[str, str], ScheduleRecord] = {}

    async def schedules(self) -> list[ScheduleRecord]:
        return [record for _, record in sorted(self._schedules.items(), key=lambda item: item[0])]

    async def replace_schedule(self, before: ScheduleRecord | None, after: ScheduleRecord | None) -> bool:
        record = after or before
        if record is None:
            return True
        key = (record.tenant, record.name)
        if self._schedules.get(key) != before:
            return False
        if after is None:
            del self._schedules[key]
        else:
            self._schedules[key] = after
        return True
