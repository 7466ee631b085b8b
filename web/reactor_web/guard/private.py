"""What is shown to one principal is for nobody else: no cache keeps it, and no browser takes it for another type."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE

_PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
"""``no-referrer``: a page of ours must not send its URL, which may have an id, to where a link leads."""


async def keep_private(request: web.Request, response: web.StreamResponse) -> None:
    """Runs before the headers of each response are sent. What a response says itself stays."""
    for name, value in _PRIVATE.items():
        response.headers.setdefault(name, value)
    if response.headers.get("Server") == SERVER_SOFTWARE:  # nobody need know the versions
        del response.headers["Server"]
