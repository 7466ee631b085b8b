"""Whether a log can be used at the moment, as far as it knows without being asked to commit something."""

from __future__ import annotations

import asyncio

from reactor.errors import LogUnavailable


class LogHealth:
    """Of one log, for everybody who uses it."""

    def __init__(self) -> None:
        self.problem: LogUnavailable | None = None
        """Why it cannot be used now."""
        self._waiting: list[asyncio.Future[None]] = []

    def check(self) -> None:
        """Raises LogUnavailable while it cannot be used."""
        if self.problem is not None:
            raise LogUnavailable(str(self.problem), **vars(self.problem))

    def change(self, problem: LogUnavailable | None) -> None:
        self.problem = problem
        if problem is None:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    async def well(self) -> None:
        """Returns when it can be used."""
        while self.problem is not None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
