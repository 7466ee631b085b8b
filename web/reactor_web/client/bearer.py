"""The token of a client."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Token: TypeAlias = "str | Callable[[], str | Awaitable[str]] | None"
"""A bearer token, or what gives one."""


class Bearer:
    """The token as it is now. Who is told 401 asks for a new one, once for all that were told so."""

    def __init__(self, source: Token) -> None:
        self._source = source
        self._now = source.strip() if isinstance(source, str) else None  # a file has a newline at its end
        self._asking = asyncio.Lock()

    async def get(self) -> str | None:
        """The token; None where there is none."""
        if self._source is None or self._now is not None:
            return self._now
        return await self.renewed(None)

    async def renewed(self, refused: str | None) -> str | None:
        """Another token than the one that was refused; None where there is no other."""
        source = self._source
        if source is None or isinstance(source, str):
            return None
        async with self._asking:
            if self._now == refused:
                given = source()
                now = await given if inspect.isawaitable(given) else given
                self._now = now and now.strip()
        return None if self._now == refused else self._now
