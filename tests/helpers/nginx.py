"""A real nginx in front of a server: Debian's, with a configuration of the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def find_nginx() -> str:
    """Skips the test where there is none. Debian has it where only root looks."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("runs behind nginx, which is not here")
    return found


def free_port() -> int:
    """A port that nobody listens on, for what cannot be told to take any."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextmanager
def nginx(folder: Path, site: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """Runs nginx with the servers of ``site``, of which one listens on ``port``."""
    user = "user root root;" if os.geteuid() == 0 else ""  # its workers must reach the folder of the test
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
    command = [find_nginx(), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    says = folder / "nginx.stderr"  # not a pipe: where nobody reads it, nginx stops at the first line that does not fit
    with says.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, text=True)
    try:
        _wait_until_it_listens(process, says, port)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_until_it_listens(process: subprocess.Popen[str], says: Path, port: int) -> None:
    for _ in range(1_000):
        assert process.poll() is None, f"nginx has ended: {says.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("nginx does not listen")
