"""A load program that compares what its clients were sent, in any dialect: ``python -m benchmarks.alike``.

It reads no frame while it measures, since only the native dialect has the seq of an event at the same place. It keeps
the bytes, each piece once, and takes off the chunks of HTTP afterwards. The server closes the connection after the last
frame, which is how it knows the end. That frame has a time of its own for each client, so times in it are left out.
"""

from __future__ import annotations

import re
from typing import Any

from benchmarks.load import Client, Load, main

TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:[\d.]+Z")
FRAME_END = b"\n\n"


class Alike(Load):
    """Clients of one stream. ``go`` also says how many different ``bodies`` they were sent, and ``frames`` of one."""

    def __init__(self, plan: dict[str, Any]) -> None:
        super().__init__(plan)
        self._known: dict[bytes, bytes] = {}
        self._sent: dict[Client, list[bytes]] = {}

    def take(self, client: Client, data: bytes, now: float) -> None:
        """Keeps a piece; clients that were sent the same one share it."""
        self._sent.setdefault(client, []).append(self._known.setdefault(data, data))

    def go(self) -> dict[str, Any]:
        """The measurement, and then the comparison. Raises ValueError for a body that broke off."""
        result = super().go()
        bodies = {comparable(without_chunks(b"".join([*sent, client.tail]))) for client, sent in self._sent.items()}
        frames = [body.count(FRAME_END) for body in bodies]
        return {**result, "bodies": len(bodies), "frames": max(frames, default=0), "bytes": max(map(len, bodies))}


def without_chunks(data: bytes) -> bytes:
    """A body of HTTP/1.1 (RFC 9112, section 7.1). Raises ValueError where its last chunk is missing."""
    parts: list[bytes] = []
    at = 0
    while size := int(data[at : (line := data.index(b"\r\n", at))], 16):
        parts.append(data[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return b"".join(parts)


def comparable(body: bytes) -> bytes:
    """The body without the times in its last frame."""
    last = body.rfind(FRAME_END, 0, -len(FRAME_END)) + len(FRAME_END)
    return body[:last] + TIME.sub(b"", body[last:])


if __name__ == "__main__":
    main(Alike)
