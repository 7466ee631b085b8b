"""What lies between a node and Redis. It can be cut, as a cable is: nobody is told, and what is sent then is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol


class Network(Protocol):
    """That of one node."""

    host: str
    """Where the node listens."""
    redis_host: str
    """The address of this machine's Redis for it; Redis is to listen there."""
    namespace: str
    """The file of its network namespace; empty where it has none."""

    async def open(self, redis_port: int) -> int:
        """The port of Redis for this node."""
        ...

    def cut(self) -> None: ...
    def mend(self) -> None: ...
    async def close(self) -> None: ...


class Link:
    """A network namespace with one link, which is set down: to Redis and to all clients. TCP resends, and learns
    nothing.
    """

    def __init__(self, number: int) -> None:
        self._name = f"rh{os.getpid() % 1_000_000}n{number}"
        net = f"10.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"
        self.redis_host, self.host = f"{net}.{4 * number + 1}", f"{net}.{4 * number + 2}"
        self.namespace = f"/var/run/netns/{self._name}"
        try:
            _ip("netns", "add", self._name)
            _ip("link", "add", self._name, "type", "veth", "peer", "name", "eth0", "netns", self._name)
            _ip("addr", "add", f"{self.redis_host}/30", "dev", self._name)
            _ip("link", "set", self._name, "up")
            for words in (["addr", "add", f"{self.host}/30", "dev", "eth0"], ["link", "set", "eth0", "up"]):
                _ip("-n", self._name, *words)
            _ip("-n", self._name, "link", "set", "lo", "up")
        except OSError:
            self._remove()
            raise

    async def open(self, redis_port: int) -> int:
        return redis_port

    def cut(self) -> None:
        _ip("link", "set", self._name, "down")

    def mend(self) -> None:
        _ip("link", "set", self._name, "up")

    async def close(self) -> None:
        self._remove()

    def _remove(self) -> None:
        with suppress(OSError):
            _ip("link", "del", self._name)
        with suppress(OSError):
            _ip("netns", "del", self._name)


def _ip(*words: str) -> None:
    """Raises OSError where it is not there, or not permitted."""
    found = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin")
    if found is None:
        raise OSError("there is no program ip (iproute2)")
    done = subprocess.run([found, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Proxy:
    """Forwards bytes to Redis, and while it is cut none: both ends hear nothing, not even that the other has gone."""

    host = redis_host = "127.0.0.1"
    namespace = ""

    def __init__(self) -> None:
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._pumps = set[asyncio.Task[None]]()
        self._redis_port = 0

    async def open(self, redis_port: int) -> int:
        self._redis_port = redis_port
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            its_reader, its_writer = await asyncio.open_connection(self.host, self._redis_port)
        except OSError:
            writer.transport.abort()
            return
        for one, other in ((reader, its_writer), (its_reader, writer)):
            pump = asyncio.ensure_future(self._pump(one, other))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    await self._flows.wait()
                    writer.write(data)
                    await writer.drain()
            await self._flows.wait()
        finally:
            writer.transport.abort()

    def cut(self) -> None:
        self._flows.clear()

    def mend(self) -> None:
        self._flows.set()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


async def networks(count: int, with_proxy: bool) -> Sequence[Network]:
    """One a node: namespaces where this machine permits them, unless proxies are asked for."""
    links: list[Network] = []
    if not with_proxy:
        try:
            while len(links) < count:
                links.append(Link(len(links)))
            return links
        except OSError:
            for link in links:
                await link.close()
    return [Proxy() for _ in range(count)]
