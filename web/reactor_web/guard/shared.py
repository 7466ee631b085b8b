"""What several processes that share a log also share of who may ask: its keys, and whose streams end."""

from __future__ import annotations

from collections import Counter
from math import inf

from reactor.ports.access import AccessStores, KeyStore
from reactor.ports.clock import Clock
from reactor_web.bounds import KEY_FILE_SECONDS


class Shared:
    """Of one guard. Without ``stores`` there is one process, and nobody to tell."""

    def __init__(self, clock: Clock) -> None:
        self.stores: AccessStores | None = None
        self._clock = clock
        self._looked_for_keys = -inf
        self._told = Counter[str]()
        """Revocations that were told to other processes, and were not heard again here."""

    async def keys(self, *, at_once: bool) -> KeyStore | None:
        """The keys of the log, once there are any. Raises LogUnavailable.

        It is asked once a second, or ``at_once``: where somebody comes with a key, which may be the first one.
        """
        now = self._clock.monotonic()
        if self.stores is None or not (at_once or now - self._looked_for_keys >= KEY_FILE_SECONDS):
            return None
        found = await self.stores.keys.all()
        self._looked_for_keys = now
        return self.stores.keys if found else None

    async def tell(self, principal_id: str) -> None:
        """The streams of a principal end in other processes, too. Raises LogUnavailable."""
        if self.stores is None:
            return
        self._told[principal_id] += 1
        try:
            await self.stores.revocations.revoke(principal_id)
        except BaseException:
            self._told -= Counter([principal_id])
            raise

    async def heard(self, since: str) -> tuple[str, list[str]]:
        """The mark of now, and whom other processes have revoked since another one."""
        if self.stores is None:
            return "", []
        mark, revoked = await self.stores.revocations.revoked(since)
        others = Counter(revoked) - self._told
        self._told -= Counter(revoked)
        return mark, list(others)
