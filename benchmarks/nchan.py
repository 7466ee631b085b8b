"""nginx with nchan (Debian: ``nginx libnginx-mod-nchan``), one process on a free port, with a configuration of its own.

It keeps so many messages in memory that a subscriber which is a little late loses none.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

from benchmarks.child import Child

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

_CONFIG = """
load_module {module};
daemon off; master_process off; worker_rlimit_nofile 20000;
pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 16000; }}
http {{
  access_log off; keepalive_requests 10000000; nchan_shared_memory_size 256M;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location /publish {{ nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 5000; }}
    location /events {{ nchan_subscriber eventsource; nchan_channel_id bench; nchan_eventsource_ping_interval 0; }}
  }}
}}
"""


class Served(NamedTuple):
    """A running server."""

    process: Child
    port: int


def is_installed() -> bool:
    """Whether both packages are there."""
    return Path(NGINX).exists() and MODULE.exists()


@contextmanager
def nchan() -> Generator[Served]:
    """Runs nginx for the length of the ``with`` block."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = Path(folder) / "nginx.conf"
        config.write_text(_CONFIG.format(module=MODULE, folder=folder, port=port))
        with Child(NGINX, "-p", folder, "-c", str(config)) as process:
            _wait_for(port)
            yield Served(process, port)


def _wait_for(port: int) -> None:
    until = monotonic() + 10.0
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if monotonic() > until:
                raise
            sleep(0.05)
