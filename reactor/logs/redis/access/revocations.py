"""``RedisRevocations``: whose streams end, on every node."""

from __future__ import annotations

from typing import Final

from reactor.logs.redis.access.asking import look
from reactor.logs.redis.access.place import Place

KEPT: Final = 10_000
AT_ONCE: Final = 1_000
"""Revocations that one look is told; the next one is told the rest."""


class RedisRevocations:
    """Implements ``Revocations``."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def revoke(self, principal: str) -> None:
        await self._place.now().calls.write("revoke", principal, KEPT)

    async def revoked(self, since: str) -> tuple[str, list[str]]:
        mark, principals = await look(self._place.now().calls, "revoked", since, AT_ONCE)
        return mark.decode(), [principal.decode() for principal in principals]
