"""The parts of the cluster: a redis-server, the nodes, and nginx. Each can be killed and started again."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FLOWS = Path(__file__).with_name("flows.py")
PATIENCE = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def find(program: str) -> str:
    """Where a program is. Debian has nginx where only root looks. Ends with a sentence where there is none."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise SystemExit(f"{program} is not here: apt-get install redis-server nginx")
    return found


class Part:
    """A process that listens on a port. What it writes is in a file beside its data."""

    def __init__(self, name: str, port: int, folder: Path, words: Sequence[object], **more: str) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self._words = [str(word) for word in words]
        self._environment: Mapping[str, str] = {**os.environ, **more}
        self._process: asyncio.subprocess.Process | None = None
        self._stands_still = False

    @property
    def state(self) -> str:
        if self._process is None or self._process.returncode is not None:
            return "dead"
        return "stands still" if self._stands_still else "runs"

    @property
    def pid(self) -> int | None:
        return None if self._process is None or self.state == "dead" else self._process.pid

    async def start(self) -> None:
        """Returns once it listens."""
        self._stands_still = False
        with self.log.open("ab") as says:
            self._process = await asyncio.create_subprocess_exec(
                *self._words, stdin=asyncio.subprocess.DEVNULL, stdout=says, stderr=says, env=self._environment
            )
        async with asyncio.timeout(PATIENCE):
            while not await self._listens():
                if self._process.returncode is not None:
                    raise SystemExit(f"{self.name} has ended: {self.log.read_text()[-1000:]}")
                await asyncio.sleep(0.05)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it: SIGTERM lets it drain, SIGKILL does not. Returns once it has ended."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if self._stands_still:
            process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()

    def stand_still(self) -> None:
        """Stops it in the middle of whatever it does, or lets it go on."""
        if self._process is not None and self.state != "dead":
            self._stands_still = not self._stands_still
            self._process.send_signal(signal.SIGSTOP if self._stands_still else signal.SIGCONT)


def redis(folder: Path) -> Part:
    """Whatever it acknowledges is on its disk."""
    port = free_port()
    words = ["--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"]
    return Part("redis", port, folder, [find("redis-server"), *words, "--appendfsync", "always"])


def node(name: str, folder: Path, store: str) -> Part:
    """One node: nothing but the URL of the log makes it one. Its keys are in that log, too."""
    port = free_port()
    words = [sys.executable, "-m", "reactor", "serve", FLOWS, "--store", store, "--port", port, "--grace", 0.5]
    return Part(name, port, folder, words, NODE=name)


def nginx(folder: Path, nodes: Sequence[Part]) -> Part:
    """In front of all nodes. A client need not stay with one of them."""
    port = free_port()
    servers = "\n".join(f"        server 127.0.0.1:{one.port} max_fails=1 fail_timeout=1s;" for one in nodes)
    user = "user root root;" if os.geteuid() == 0 else ""  # its workers must reach the folder
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, servers=servers, user=user))
    return Part("nginx", port, folder, [find("nginx"), "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"])


NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream nodes {{
{servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_connect_timeout 1s;
            proxy_next_upstream error timeout http_502 http_503;
        }}
    }}
}}
"""
