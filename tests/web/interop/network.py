"""What lies between clients and runs: the server in its process, nginx, and proxies that cut at random bytes."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.helpers.cut_bytes import ByteProxy
from tests.helpers.nginx import free_port
from tests.helpers.paths import ROOT, block_of

CUTS = 5
"""How many connections of each client are cut before the others last."""

REACHES = (300, 3_000, 30_000, 90_000)
"""Up to how many bytes a connection gets: some break in the head of the response, some in the largest event."""


class Server:
    """The server, which can be killed and begun again at the same port, on the same file."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.store = folder / "runs.db"
        self.base = f"http://127.0.0.1:{self.port}"
        self.origin = f"http://localhost:{self.port}"
        """Where the page of the browser is from: another origin than what it follows."""

    async def begin(self) -> None:
        arguments = [str(self.port), f"sqlite:///{self.store}", self.origin]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.web.interop.server", *arguments, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"serving\n"

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def serving(folder: Path) -> AsyncGenerator[Server]:
    server = Server(folder)
    await server.begin()
    try:
        yield server
    finally:
        await server.kill()


FRONTS = {
    "on": ("proxy_buffering on;", ""),
    "off": ("proxy_buffering off;", ""),
    "tls": ("", " ssl http2"),
}
"""By name, a line in the location and what follows the port of nginx."""


def site(ports: dict[str, int], upstream: int, certificate: Path) -> str:
    """The configuration of the docs, once for each of ``FRONTS``."""
    text = block_of("docs/interop.md", "nginx")
    shared, _, server = text.partition("server {")
    assert shared.count("127.0.0.1:8080") == server.count("listen 80;") == server.count("location / {") == 1
    servers: list[str] = []
    for name, (line, after) in FRONTS.items():
        listen = f"listen 127.0.0.1:{ports[name]}{after};"
        if after:
            listen += f" ssl_certificate {certificate}/cert.pem; ssl_certificate_key {certificate}/key.pem;"
        one = server.replace("listen 80;", listen).replace("location / {", f"location / {{ {line}")
        servers.append(f"server {{{one}")
    # `upstream` and `map` stand once, in front
    return shared.replace("127.0.0.1:8080", f"127.0.0.1:{upstream}") + "\n".join(servers)


class RandomCut(ByteProxy):
    """Cuts the first connections after a random number of bytes, by a reset or a clean end of the connection."""

    def __init__(self, upstream: int, seed: str) -> None:
        super().__init__(upstream, frames=0)
        self._random = random.Random(seed)

    async def _answer(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_cut = self.connections <= CUTS
        left = self._random.randrange(1, self._random.choice(REACHES))
        while data := await from_server.read(65_536):
            writer.write(data[:left] if is_cut else data)
            await writer.drain()
            left -= len(data)
            if is_cut and left <= 0:
                if self._random.random() < 0.5:
                    writer.transport.abort()
                return


@asynccontextmanager
async def cut_at_random(upstream: int, clients: Sequence[str]) -> AsyncGenerator[dict[str, RandomCut]]:
    """A proxy for each client, whose cuts are the same in each run of the tests."""
    async with AsyncExitStack() as stack:
        proxies: dict[str, RandomCut] = {}
        for client in clients:
            proxy = proxies[client] = RandomCut(upstream, client)
            listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1 << 20)
            proxy.port = listening.sockets[0].getsockname()[1]
            stack.push_async_callback(proxy.close)
            stack.callback(listening.close)
        yield proxies
