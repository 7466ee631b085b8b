"""The load program: many clients of one stream in one process. Reads a plan and commands on stdin, answers on stdout.

It must not be the limit of a measurement. So it uses epoll without an event loop of Python, calls ``recv`` once a
wake-up, and decodes nothing twice: all clients get the same bytes, so what a piece of the stream holds (its first and
last seq, whether they are consecutive, time stamps) is worked out once and found again by the bytes of the piece. Still
every seq of every client is checked. A client that is late finds more in its socket and catches up, so its limit is a
number of events, not of reads; ``fanout`` measures that limit, and the table prints it.

A latency is the time of the ``recv`` that completed a frame less the ``time`` in the event; both are of one clock.
"""

from __future__ import annotations

import re
import select
import socket
import sys
from array import array
from collections.abc import Callable, Iterable
from datetime import datetime
from time import monotonic, time
from typing import Any, NamedTuple

import orjson

from benchmarks.publish import Publisher

SEQ = re.compile(rb'\{"seq":(\d+),')
STAMP = re.compile(rb'"type":"([a-z.]+)","time":"([^"]+)"')
BUFFER = 256 * 1024
BATCH = 64
"""How many clients connect at once, except in a reconnect: fewer than the backlog of any server."""
KNOWN_PIECES = 4_096
FIRST_WAIT = 60.0
ETHERNET_MSS = 1_448
"""With loopback's 65,483 the kernel takes 4.3 MB for a client that does not read; with this and 4 KB to receive, 94 KB.
"""


class Piece(NamedTuple):
    """What one piece of a stream holds."""

    first: int
    last: int
    count: int
    is_consecutive: bool
    is_last: bool
    times: tuple[float, ...]


class Client:
    """One connection: its last seq, and the beginning of a frame that is not complete."""

    __slots__ = ("count", "has_asked", "has_ended", "has_head", "is_stalled", "last", "socket", "tail")

    def __init__(self, is_stalled: bool = False) -> None:
        self.is_stalled = is_stalled
        self.last = 0
        self.count = 0
        self.has_ended = False
        self.begin()

    def begin(self) -> None:
        """A new connection at the same position."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.is_stalled:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_MSS)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.socket.setblocking(False)
        self.has_asked = self.has_head = False
        self.tail = b""


class Load:
    """All clients of a plan, which has ``port path clients late end latency stalled drop_after timeout publish``.

    ``late``: so many more clients, which come once the events have begun.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.end: bytes = plan.get("end", '"type":"stream.end"').encode()
        self.latency_of: bytes | None = plan["latency"].encode() if plan.get("latency") else None
        self.epoll = select.epoll()
        self.clients: dict[int, Client] = {}
        self.latencies = array("d")
        self.lost = self.repeated = self.closed_early = self.reads = self.reading = 0
        self._pieces: dict[bytes, Piece] = {}
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._more: dict[int, Callable[[], None]] = {}

    # --- connecting ---

    def connect(self, clients: Iterable[Client], at_once: int = BATCH) -> None:
        """Connects and waits for the head of every answer."""
        waiting = list(clients)
        while waiting:
            batch, waiting = waiting[:at_once], waiting[at_once:]
            for client in batch:
                client.socket.connect_ex(("127.0.0.1", self.plan["port"]))
                self.clients[client.socket.fileno()] = client
                self.epoll.register(client.socket, select.EPOLLOUT)
            until = monotonic() + FIRST_WAIT
            while not all(client.has_head for client in batch):
                self.turn(1.0)
                if monotonic() > until:
                    raise TimeoutError(f"{sum(not c.has_head for c in batch)} clients got no answer")
        for client in self.clients.values():
            if client.is_stalled:
                self.epoll.modify(client.socket, 0)

    def request(self, client: Client) -> bytes:
        """The GET of a client, with its cursor if it has one."""
        cursor = f"Last-Event-ID: {client.last}\r\n" if client.last else ""
        head = f"GET {self.plan['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        return f"{head}{cursor}\r\n".encode()

    # --- reading ---

    def turn(self, seconds: float) -> None:
        """Waits once, and handles the connections that are ready."""
        for fd, _ in self.epoll.poll(seconds):
            client = self.clients.get(fd)
            if client is None:
                self._more[fd]()
            elif client.has_asked:
                self.read(client)
            else:
                client.has_asked = True
                client.socket.sendall(self.request(client))
                self.epoll.modify(client.socket, select.EPOLLIN)

    def read(self, client: Client) -> None:
        """Reads what has arrived."""
        try:
            size = client.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except ConnectionError:
            size = 0
        self.reads += 1
        if not size:
            self.closed_early += not client.has_ended
            self.ended(client)
            self.drop(client)
            return
        now = time()
        data = bytes(self._view[:size])
        if client.tail:
            data = client.tail + data
        if not client.has_head:
            data = self.head(client, data)
        cut = data.rfind(b"\n\n") + 2
        if cut > 1:
            client.tail = data[cut:]
            self.take(client, data[:cut] if client.tail else data, now)
        else:
            client.tail = data

    def head(self, client: Client, data: bytes) -> bytes:
        """Cuts off the head of the answer; while it is not complete, returns all of it."""
        at = data.find(b"\r\n\r\n")
        if at < 0:
            return data
        if b" 200 " not in data[:20]:
            raise RuntimeError(f"answered {data[1:at]!r}")
        client.has_head = True
        return data[at + 4 :]

    def take(self, client: Client, data: bytes, now: float) -> None:
        """Counts the events of complete frames and checks that the first follows the last one."""
        piece = self._pieces.get(data) or self.piece(data)
        if piece.count:
            if piece.first != client.last + 1:
                self.lost += max(piece.first - client.last - 1, 0)
                self.repeated += max(client.last - piece.first + 1, 0)
            if not piece.is_consecutive:
                self.lost += 1
            client.last = piece.last
            client.count += piece.count
            for stamp in piece.times:
                self.latencies.append(now - stamp)
        if piece.is_last:
            self.ended(client)

    def ended(self, client: Client) -> None:
        self.reading -= not client.has_ended and not client.is_stalled
        client.has_ended = True

    def piece(self, data: bytes) -> Piece:
        """Works out what a piece holds, once for all clients."""
        seqs = [int(seq) for seq in SEQ.findall(data)]
        times: tuple[float, ...] = ()
        if self.latency_of is not None:
            times = tuple(
                datetime.fromisoformat(stamp.decode()).timestamp()
                for type, stamp in STAMP.findall(data)
                if type == self.latency_of
            )
        first, last = (seqs[0], seqs[-1]) if seqs else (0, 0)
        consecutive = seqs == list(range(first, last + 1)) if seqs else True
        if len(self._pieces) >= KNOWN_PIECES:
            self._pieces.clear()
        piece = self._pieces[data] = Piece(first, last, len(seqs), consecutive, self.end in data, times)
        return piece

    def drop(self, client: Client) -> None:
        """Closes one connection."""
        self.clients.pop(client.socket.fileno(), None)
        client.socket.close()

    # --- the measurement ---

    def go(self) -> dict[str, Any]:
        """Starts the events, and reads until every client that reads has the end of its stream."""
        readers = [client for client in self.clients.values() if not client.is_stalled]
        before = sum(client.count for client in readers)
        late = [Client() for _ in range(self.plan.get("late", 0))]
        self.reading = len(readers) + len(late)
        began = monotonic()
        if "publish" in self.plan:
            self.attach(Publisher(self.plan["port"], self.plan["publish"]))
        self.connect(late)
        readers += late
        resumed, drop_at = None, began + self.plan.get("drop_after", 1e9)
        until = began + self.plan.get("timeout", 120.0)
        while self.reading and (now := monotonic()) < until:
            self.turn(0.2)
            if now >= drop_at:
                resumed, drop_at = self.reconnect(readers), 1e18
        seconds = monotonic() - began
        return {
            "seconds": seconds,
            "delivered": sum(client.count for client in readers) - before,
            "last": min((client.last for client in readers), default=0),
            "lost": self.lost,
            "repeated": self.repeated,
            "ended": sum(client.has_ended for client in readers),
            "closed_early": self.closed_early,
            "reads": self.reads,
            "resumed_seconds": resumed,
            "latencies": percentiles(self.latencies),
        }

    def attach(self, publisher: Publisher) -> None:
        """Adds another connection to the epoll."""
        fd = publisher.socket.fileno()
        self._more[fd] = publisher.read
        self.epoll.register(fd, select.EPOLLIN)
        publisher.send()

    def reconnect(self, readers: list[Client]) -> float:
        """Drops every client and connects all of them again at the same moment; seconds until all have an answer."""
        for client in readers:
            self.drop(client)
            client.begin()
        began = monotonic()
        self.connect(readers, at_once=len(readers))
        return monotonic() - began


def percentiles(values: array[float]) -> dict[str, float]:
    """In milliseconds."""
    if not values:
        return {}
    ordered = sorted(values)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    found = {name: ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1e3 for name, part in at.items()}
    return {**found, "count": len(ordered)}


def main(kind: type[Load] = Load) -> None:
    load = kind(orjson.loads(sys.stdin.buffer.readline()))
    stalled = load.plan.get("stalled", 0)
    steps = load.plan["clients"]
    for step in steps if isinstance(steps, list) else [steps]:
        began = monotonic()
        load.connect([Client(index < stalled) for index in range(len(load.clients), step)])
        answer({"connected": len(load.clients), "seconds": monotonic() - began})
        sys.stdin.buffer.readline()
    if "publish" in load.plan:
        answer(load.go())
        sys.stdin.buffer.readline()  # stays connected until the next line


def answer(result: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(result) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
