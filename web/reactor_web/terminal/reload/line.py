"""``Line``: what a server that is watched tells its watcher, in JSON lines, and the sockets that it has from it.

The watcher keeps the listening sockets open, so that a client that connects while no server is there waits, and is not
refused. It tells nothing on the line; when the line ends, the watcher is gone, and the server ends, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from reactor.logger import get_logger
from reactor_web.terminal.reload.files import stamp_of
from reactor_web.terminal.reload.imports import files_of_error, imported_files

logger = get_logger("reactor.web")

VARIABLE: Final = "_REACTOR_WATCHED"
"""In the environment of the server: the descriptor of the line, then those of the sockets, with commas."""
GRACE_SECONDS: Final = 0.5
"""What open runs get at most before the server is started again. On a durable log they go on then."""
_LOOK_SECONDS: Final = 0.25
"""How often it is looked whether a body has imported something."""


def environment_of_server(line: int, sockets: Sequence[socket.socket]) -> dict[str, str]:
    """What the environment of a server says that is watched. ``line``: the descriptor of its end of the line.

    The compiled files of the interpreter have the second of a change: two in one second would be taken for one.
    """
    descriptors = [line, *(listening.fileno() for listening in sockets)]
    return {VARIABLE: ",".join(map(str, descriptors)), "PYTHONDONTWRITEBYTECODE": "1"}


def take_line() -> Line | None:
    """The line to the watcher; None where this process has none. Processes that it starts have none."""
    given = os.environ.pop(VARIABLE, None)
    if given is None:
        return None
    line, *listening = map(int, given.split(","))
    for descriptor in (line, *listening):
        os.set_inheritable(descriptor, False)
    return Line(socket.socket(fileno=line), [socket.socket(fileno=descriptor) for descriptor in listening])


class Line:
    """The server's end. ``sockets``: those that it accepts connections of; they are bound and listened to."""

    def __init__(self, line: socket.socket, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self._line = line
        self._told: set[str] = set()
        self._modules = 0

    def tell_failure(self, error: BaseException) -> None:
        """A file cannot be loaded: says why, and to the watcher which files may mend it."""
        logger.error(
            "a file cannot be loaded; the server starts when it has changed", exc_info=error.__cause__ or error
        )
        self._tell_files(imported_files() | files_of_error(error))
        self._tell(failed=True)

    def tell_imports(self) -> None:
        """What has been imported, as early as possible: what is edited later is a change."""
        self._modules = len(sys.modules)
        self._tell_files(imported_files())

    def begin(self) -> None:
        """The server accepts connections. From now on it tells what its bodies import."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._line, self._on_end)
        self._look(loop)
        self._tell(ready=True)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if len(sys.modules) != self._modules:
            self.tell_imports()
        loop.call_later(_LOOK_SECONDS, self._look, loop)

    def _on_end(self) -> None:
        """Nothing is ever told by the watcher: it is gone."""
        asyncio.get_running_loop().remove_reader(self._line)
        os.kill(os.getpid(), signal.SIGTERM)

    def _tell_files(self, files: set[str]) -> None:
        if new := sorted(files - self._told):
            self._told |= files
            self._tell(files={file: stamp_of(Path(file)) for file in new})

    def _tell(self, **what: Any) -> None:
        try:
            self._line.sendall(json.dumps(what).encode() + b"\n")
        except OSError as error:  # the watcher has just gone: then this process is ended, too
            logger.debug("the watcher is not told", error=str(error))
