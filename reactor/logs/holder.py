"""The lease of a log that one process owns."""

from __future__ import annotations

from collections.abc import Callable


class AlwaysHolder:
    """Implements ``Lease``: this process holds every run, and loses none."""

    async def acquire(self, run_id: str, *, tenant: str = "") -> bool:
        return True

    def release(self, run_id: str, *, tenant: str = "") -> None: ...

    def when_lost(self, lost: Callable[[str, str], None]) -> None: ...
