"""A log in a redis-server of its own, which has everything on its disk within a second."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from reactor.logs.schemes import open_log
from reactor.ports.stores import Log


@contextmanager
def redis_log() -> Generator[Log]:
    """Not opened; the server ends with the block. Raises FileNotFoundError where there is none to start."""
    with redis_url() as url:
        yield open_log(url)


@contextmanager
def redis_url() -> Generator[str]:
    """The URL of such a log."""
    command = shutil.which("redis-server")
    if command is None:
        raise FileNotFoundError("redis-server is not here")
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--dir", folder, "--save", "", "--appendonly", "yes"]
        server = subprocess.Popen([command, *options], stdout=subprocess.DEVNULL)
        try:
            while not socket.exists():
                assert server.poll() is None, "redis-server has ended"
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            server.terminate()
            server.wait(timeout=10)
