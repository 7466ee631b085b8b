"""Headers by which an event stream passes caches, proxies and browsers as it is."""

from __future__ import annotations

from typing import Final

OWN: Final = {
    "Cache-Control": "no-cache, no-store, no-transform",
    "X-Accel-Buffering": "no",
}
"""What a stream needs, so that neither caches nor proxies nor clients take it for something else."""

HEADERS: Final = {"X-Content-Type-Options": "nosniff"}
"""What a host may set otherwise."""
