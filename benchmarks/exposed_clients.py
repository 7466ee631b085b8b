"""The clients of ``exposed``, each kind a process: ``python -m benchmarks.exposed_clients KIND``, a plan on stdin.

reader      some streams of one run: how late each event is. A line ``[from, to]`` is answered with the percentiles.
many        opens connections all at once, asks for a stream on each, and tells how they were answered; holds those that
            are open until the next line
deaf        as ``many``, but reads no more than the head, with a small buffer
starts      starts runs at a rate, on some connections
"""

from __future__ import annotations

import re
import select
import socket
import sys
from collections import Counter
from time import monotonic, sleep, time
from typing import Any, Final

import orjson

from benchmarks.load import ETHERNET_MSS

DUE: Final = re.compile(rb'"due":([0-9.]+)')
CODE: Final = re.compile(rb'"code":"([a-z-]+)"')
LENGTH: Final = re.compile(rb"\r\nContent-Length: (\d+)\r\n")
ADDRESSES: Final = 65_536
GIVES_UP: Final = 60.0


def told(message: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
    sys.stdout.buffer.flush()


def asked() -> Any:
    line = sys.stdin.buffer.readline()
    return orjson.loads(line) if line else None


def address_of(number: int) -> str:
    return f"198.{18 + number // ADDRESSES}.{number // 256 % 256}.{number % 256}"


def stream_request(plan: dict[str, Any], number: int) -> bytes:
    """A stream of a run, from one of ``addresses`` clients of a proxy."""
    return (
        f"GET /api/v1/runs/{plan['run']}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {plan['key']}\r\nX-Forwarded-For: {address_of(number % plan['addresses'])}\r\n\r\n"
    ).encode()


# --- those that should not notice anything ------------------------------------------------------------------------


def reader(plan: dict[str, Any]) -> None:
    epoll, late = select.epoll(), list[tuple[float, float]]()
    sockets: dict[int, socket.socket] = {}
    tails: dict[int, bytes] = {}
    for number in range(plan["clients"]):
        client = socket.create_connection(("127.0.0.1", plan["port"]))
        client.sendall(stream_request(plan, number))
        client.setblocking(False)
        sockets[client.fileno()], tails[client.fileno()] = client, b""
        epoll.register(client, select.EPOLLIN)
    epoll.register(sys.stdin, select.EPOLLIN)
    told({"connected": len(sockets)})
    cut = 0
    while True:
        for fd, _ in epoll.poll(1.0):
            if fd == sys.stdin.fileno():
                window = asked()
                if window is None:
                    return
                told({**percentiles([ms for due, ms in late if window[0] <= due < window[1]]), "cut": cut})
                continue
            data = sockets[fd].recv(1 << 18)
            now = time()
            if not data:
                cut += 1
                epoll.unregister(fd)
                continue
            data = tails[fd] + data
            end = data.rfind(b"\n\n") + 2
            tails[fd] = data[end:] if end > 1 else data
            late.extend((due, (now - due) * 1e3) for due in map(float, DUE.findall(data[: max(end, 0)])))


def percentiles(values: list[float]) -> dict[str, float]:
    """In milliseconds."""
    if not values:
        return {"count": 0, "p50": 0.0, "p99": 0.0, "max": 0.0}
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        "max": ordered[-1],
    }


# --- those that ask for too much ----------------------------------------------------------------------------------


class Many:
    """Connections that are made at once, and how they were answered."""

    def __init__(self, plan: dict[str, Any], *, is_deaf: bool) -> None:
        self.plan = plan
        self.is_deaf = is_deaf
        self.epoll = select.epoll()
        self.open: dict[int, socket.socket] = {}
        self.asked = set[int]()
        self.heads: dict[int, bytes] = {}
        self.answers = Counter[str]()
        self.held = list[socket.socket]()

    def run(self) -> None:
        clients, began = self.plan["clients"], monotonic()
        made = 0
        while made < clients or self.open:
            while made < clients and len(self.open) < self.plan["at_once"]:
                self.connect()
                made += 1
            for fd, event in self.epoll.poll(0.5):
                self.turn(fd, event, made)
            if monotonic() - began > GIVES_UP:
                self.answers["no answer"] += len(self.open)
                break
        told({"answers": dict(self.answers), "seconds": monotonic() - began})
        sys.stdin.buffer.readline()

    def connect(self) -> None:
        client = socket.socket()
        if self.is_deaf:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_MSS)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", self.plan["port"]))
        self.open[client.fileno()] = client
        self.epoll.register(client, select.EPOLLOUT)

    def turn(self, fd: int, event: int, number: int) -> None:
        client = self.open[fd]
        try:
            if fd not in self.asked:
                client.send(stream_request(self.plan, number * 7 + fd))
                self.asked.add(fd)
                self.epoll.modify(client, select.EPOLLIN)
                return
            data = client.recv(1_024 if self.is_deaf else 65_536)
        except OSError as error:
            self.done(fd, type(error).__name__)
            return
        head = self.heads[fd] = self.heads.get(fd, b"") + data
        if not data:
            self.done(fd, "closed")
        elif head.startswith(b"HTTP/1.1 200"):
            self.epoll.unregister(client)
            self.held.append(self.open.pop(fd))
            self.asked.discard(fd)
            self.answers["200"] += 1
        elif b"\r\n\r\n" in head and (code := CODE.search(head)):
            self.done(fd, f"{head[9:12].decode()} {code[1].decode()}")

    def done(self, fd: int, answer: str) -> None:
        self.answers[answer] += 1
        self.epoll.unregister(fd)
        self.open.pop(fd).close()
        self.asked.discard(fd)
        self.heads.pop(fd, None)


def starts(plan: dict[str, Any]) -> None:
    """``rate`` starts a second for ``seconds``; what one connection cannot ask in time, it asks later."""
    body = b'{"input":{}}'
    request = (
        f"POST /api/v1/workflows/small/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {plan['key']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    free = [socket.create_connection(("127.0.0.1", plan["port"])) for _ in range(plan["connections"])]
    epoll, busy, answers = select.epoll(), dict[int, tuple[socket.socket, bytes]](), Counter[str]()
    for client in free:
        epoll.register(client, select.EPOLLIN)
    began, sent, total = monotonic(), 0, int(plan["rate"] * plan["seconds"])
    while sent < total or busy:
        due = min(total, int((monotonic() - began) * plan["rate"]))
        while sent < due and free:
            client = free.pop()
            client.sendall(request)
            busy[client.fileno()] = (client, b"")
            sent += 1
        for fd, _ in epoll.poll(0.001):
            client, data = busy[fd]
            data += client.recv(65_536)
            head, found, rest = data.partition(b"\r\n\r\n")
            length = LENGTH.search(data)
            if not found or (length and len(rest) < int(length[1])):
                busy[fd] = (client, data)
                continue
            code = CODE.search(rest)
            answers[head[9:12].decode() + (f" {code[1].decode()}" if code else "")] += 1
            del busy[fd]
            free.append(client)
    told({"answers": dict(answers), "seconds": monotonic() - began})
    sys.stdin.buffer.readline()
    sleep(0)


def main() -> None:
    kind, plan = sys.argv[1], asked()
    match kind:
        case "reader":
            reader(plan)
        case "starts":
            starts(plan)
        case _:
            Many(plan, is_deaf=kind == "deaf").run()


if __name__ == "__main__":
    main()
