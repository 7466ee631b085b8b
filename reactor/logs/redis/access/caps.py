"""``RedisCaps``: counts what is capped, over all processes that share a log.

What is held is counted by node, so that what a dead node held is free as soon as its lease is over. This process also
counts for itself: where Redis was away, or has taken this process for dead, it is told anew how much is held here.
"""

from __future__ import annotations

import asyncio
from math import ceil
from typing import Any, Literal

from reactor.logs.redis.access.asking import ask, tell
from reactor.logs.redis.access.place import Parts, Place


class _Held:
    """What this process holds of one cap of one who."""

    __slots__ = ("count", "is_in_doubt", "under_way")

    def __init__(self) -> None:
        self.count = 0
        """As Redis has acknowledged it."""
        self.under_way = 0
        """Calls that are not answered."""
        self.is_in_doubt = False
        """Redis may have another number."""


class RedisCaps:
    """Implements ``CapCounter``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._held: dict[tuple[str, str], _Held] = {}

    @property
    def scope(self) -> Literal["process", "global"]:
        return "global"

    async def take(self, cap: str, who: str, most: int, seconds: float | None = None, *, count: int = 1) -> bool:
        parts = self._place.now()
        if seconds is not None:
            length = ceil(seconds * 1000)
            return await parts.calls.write("cap_take", cap, who, most, count, length) == 1
        held = self._held.setdefault((cap, who), _Held())
        held.under_way += 1

        def answered(answer: Any, is_wanted: bool) -> None:
            held.under_way -= 1
            held.count += count if answer == 1 else 0
            if answer == 1 and not is_wanted:
                self._give_back(parts, cap, who, count)
            held.is_in_doubt |= isinstance(answer, Exception)
            self._settle(parts, cap, who, held)

        return await ask(parts.calls, "cap_hold", cap, who, parts.incarnation.id, most, count, answered=answered) == 1

    async def give_back(self, cap: str, who: str, *, count: int = 1) -> None:
        parts = self._place.parts
        if parts is not None:  # else this node is none any more, and holds nothing
            await self._give_back(parts, cap, who, count)

    def _give_back(self, parts: Parts, cap: str, who: str, count: int) -> asyncio.Future[None]:
        held = self._held.setdefault((cap, who), _Held())
        held.count = max(0, held.count - count)
        held.under_way += 1

        def answered(answer: Any) -> None:
            held.under_way -= 1
            held.is_in_doubt |= isinstance(answer, Exception)
            self._settle(parts, cap, who, held)

        return tell(parts.calls, "cap_back", cap, who, parts.incarnation.id, count, answered=answered)

    def came_back(self, parts: Parts) -> None:
        """Redis may have lost what is held here, or counted a call twice that it was sent twice."""
        for (cap, who), held in list(self._held.items()):
            held.is_in_doubt = True
            self._settle(parts, cap, who, held)

    def drop(self) -> None:
        self._held.clear()

    def _settle(self, parts: Parts, cap: str, who: str, held: _Held) -> None:
        """Says how much is held once no call is under way that would change it."""
        if held.under_way:
            return
        if held.is_in_doubt and parts.calls.is_connected:
            held.is_in_doubt = False
            held.under_way += 1

            def answered(answer: Any) -> None:
                held.under_way -= 1
                if isinstance(answer, Exception):
                    held.is_in_doubt = True  # until the connection is there again
                else:
                    self._settle(parts, cap, who, held)

            tell(parts.calls, "cap_set", cap, who, parts.incarnation.id, held.count, answered=answered)
        elif not held.count and not held.is_in_doubt and self._held.get((cap, who)) is held:
            del self._held[cap, who]
