"""What the load program sends: the command that starts a run, or, to nchan, the events themselves."""

from __future__ import annotations

import socket
from typing import Any

from benchmarks.messages import END, message


class Publisher:
    """One connection that sends requests in bursts, the next burst once the last one is answered.

    ``plan``: ``path``, ``method`` (POST), and ``body`` of the one request there is, or ``events`` and ``burst``: that
    many events, and one that ends the stream.
    """

    def __init__(self, port: int, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.sent = 0
        self.awaited = 0
        self.problem: str | None = None

    def send(self) -> None:
        """Sends the next burst."""
        if "body" in self.plan:
            bodies = [self.plan["body"].encode()] if not self.sent else []
        else:
            events, burst = self.plan["events"], self.plan["burst"]
            seqs = range(self.sent + 1, min(self.sent + burst, events) + 1)
            bodies = [message(seq) for seq in seqs] or ([END] if self.sent == events else [])
        self.sent += len(bodies)
        self.awaited = len(bodies)
        self.socket.sendall(b"".join(map(self.request, bodies)))

    def request(self, body: bytes) -> bytes:
        head = (
            f"{self.plan.get('method', 'POST')} {self.plan['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def read(self) -> None:
        """Counts the answers. A refused request is an error of the measurement."""
        data = self.socket.recv(65_536)
        if b"HTTP/1.1 4" in data or b"HTTP/1.1 5" in data:
            raise RuntimeError(f"refused: {data!r}")
        self.awaited -= data.count(b"HTTP/1.1 20")
        if not self.awaited:
            self.send()
