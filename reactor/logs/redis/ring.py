"""The windows that Redis has acknowledged lately: where it loses its tail, they are written again."""

from __future__ import annotations

import time
from collections import deque
from typing import Final, NamedTuple

from reactor.logs.redis.windows import Packed

RING_BYTES: Final = 16 * 1024 * 1024
RING_SECONDS: Final = 30.0
"""Redis writes to its disk, or to its replica, within two seconds if it can at all."""

Key = tuple[str, str]
"""Tenant and run id."""


class Kept(NamedTuple):
    """One window."""

    key: Key
    fence: str
    packed: Packed
    since: float


class Ring:
    """The last of them, of all runs."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._bytes = 0

    def add(self, key: Key, fence: str, packed: Packed) -> None:
        now = time.monotonic()
        self._kept.append(Kept(key, fence, packed, now))
        self._bytes += packed.size
        while self._kept and (self._bytes > RING_BYTES or self._kept[0].since < now - RING_SECONDS):
            self._bytes -= self._kept.popleft().packed.size

    def all(self) -> list[Kept]:
        """In the order in which they were acknowledged."""
        since = time.monotonic() - RING_SECONDS
        return [kept for kept in self._kept if kept.since >= since]

    def between(self, key: Key, after: int, before: int) -> list[Kept]:
        """The windows of a run with the seqs after one and before another, all of them; empty where one is missing."""
        found: list[Kept] = []
        for kept in self._kept:
            if kept.key == key and kept.packed.last > after and kept.packed.first < before:
                if kept.packed.first > after + 1:
                    return []
                found.append(kept)
                after = kept.packed.last
        return found if after + 1 == before else []

    def forget(self, key: Key) -> None:
        """The run was deleted: it must not come back."""
        self._kept = deque(kept for kept in self._kept if kept.key != key)
        self._bytes = sum(kept.packed.size for kept in self._kept)
