"""S8: resident memory per idle stream over TLS, in an application of the user's that has TLS itself.

As S4, and against the same server that leaves asyncio's read buffers where they are. The clients are a program of their
own: ``python -m benchmarks.secure PORT CLIENTS``.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

from benchmarks.child import Child
from benchmarks.figure import Figure, spread
from benchmarks.idle import FIRST, SETTLES_SECONDS
from benchmarks.served import STREAM, server

CLIENTS = 2_000
TARGET_KB = 32.0
AT_ONCE = 20
MAKE_CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
)


def s8(quick: bool) -> Figure:
    """KB per stream; two rounds of ours, one of asyncio's own buffers. The server needs ``openssl`` once."""
    clients = 500 if quick else CLIENTS
    with TemporaryDirectory() as folder:
        make_certificate(Path(folder))
        ours = [kb_per_stream("secure", folder, clients) for _ in range(1 if quick else 2)]
        stock = kb_per_stream("stock", folder, clients)
    figures = spread(ours)
    return Figure(
        id="S8",
        what=f"resident memory per idle stream over TLS, {clients:,} clients",
        unit="KB",
        **figures,
        target=f"≤ {TARGET_KB:g} KB",
        met=figures["value"] <= TARGET_KB,
        ratio=figures["value"] / stock,
        against="asyncio's buffers",
        bars={"reactor": figures["value"], "asyncio's buffers": stock},
    )


def make_certificate(folder: Path) -> None:
    """Writes ``cert.pem`` and ``key.pem``."""
    names = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*MAKE_CERTIFICATE.split(), *names], check=True, capture_output=True)


def kb_per_stream(kind: str, folder: str, clients: int) -> float:
    """KB per stream of one server."""
    with server(kind, folder) as served, Child.module("secure", str(served.port), str(clients)) as load:
        load.answer()
        sleep(SETTLES_SECONDS)
        before = served.process.rss
        load.tell("more")
        load.answer()
        sleep(SETTLES_SECONDS)
        return (served.process.rss - before) / (clients - FIRST) / 1024


# --- the clients ------------------------------------------------------------------------------------------------


async def follow(port: int, clients: int) -> None:
    """Opens the first streams, then the others, and says each time when all of them have caught up."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    writers: list[asyncio.StreamWriter] = []

    async def open_one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"task.started")
        writers.append(writer)

    for count in (FIRST, clients):
        while len(writers) < count:
            await asyncio.gather(*[open_one() for _ in range(min(AT_ONCE, count - len(writers)))])
        print("1", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(follow(int(sys.argv[1]), int(sys.argv[2])))
