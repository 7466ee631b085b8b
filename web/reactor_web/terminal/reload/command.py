"""What ``reactor serve --reload`` does: it listens, and has the watcher start servers."""

from __future__ import annotations

import errno
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from reactor_web.terminal.accepting import bind
from reactor_web.terminal.given import refuse
from reactor_web.terminal.reload.watcher import watch_server
from reactor_web.terminal.serve import BACKLOG


async def serve_again_and_again(targets: Sequence[str], host: str, port: int, store: str) -> int:
    """Serves with a process that is started again with each change; returns the exit code."""
    if find_spec("watchfiles") is None:
        refuse("--reload needs watchfiles, which is not installed: pip install 'reactor-dag[reload]'")
    with listening(host, port):
        sockets = await bind(host, port, BACKLOG)
    return await watch_server(sockets, targets, keeps_runs=not store.startswith("memory:"))


@contextmanager
def listening(host: str, port: int) -> Generator[None]:
    """Refuses an address where nobody can listen."""
    try:
        yield
    except OSError as error:
        flag = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        refuse(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another {flag}")
