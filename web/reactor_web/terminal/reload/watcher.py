"""The watcher of ``reactor serve --reload``: it starts the server as a process, and again when a file has changed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

from reactor.logger import get_logger
from reactor_web.terminal.reload.files import Files, Stamp, stamp_of
from reactor_web.terminal.reload.line import environment_of_server
from reactor_web.terminal.signals import listen_for_signals

logger = get_logger("reactor.web")

END_SECONDS: Final = 15.0
"""What the server gets to end, before it is killed."""
_SETTLE_MS: Final = 50
"""A change is one when nothing has changed for so long: an editor may write a file in several steps."""
_LOOK_MS: Final = 500
"""How often the files are looked at even if the system tells of no change: it tells nothing of the time before it
was asked, and nothing of some network file systems."""
_LINE_BYTES: Final = 2**20
_HEAR_SECONDS: Final = 1.0
"""How long it is waited for what a server that has ended has told: a process that it left may hold the line open."""


async def watch_server(sockets: Sequence[socket.socket], targets: Sequence[str], *, keeps_runs: bool) -> int:
    """Serves until SIGINT or SIGTERM; returns the exit code.

    ``keeps_runs``: whether the log outlives the server. The command line of this process is that of the server, too.
    """
    watcher = _Watcher(sockets, keeps_runs)
    watcher.add(targets)
    listen_for_signals(lambda _: watcher.stop.set(), watcher.kill)
    return await watcher.run()


class _Server:
    """One process of the server."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.is_ready = False
        self.has_failed_to_load = False


class _Watcher:
    def __init__(self, sockets: Sequence[socket.socket], keeps_runs: bool) -> None:
        self.stop = asyncio.Event()
        self._sockets = sockets
        self._keeps_runs = keeps_runs
        self._files = Files()
        self._server: _Server | None = None
        self._was_ready = False

    def add(self, targets: Sequence[str]) -> None:
        """Files that are known before the server tells of others."""
        places = [target.rpartition(":")[0] or target for target in targets]
        files = [Path(place).absolute() for place in places if Path(place).is_file()]
        self._files.add({file: stamp_of(file) for file in files})

    def kill(self) -> None:
        """Kills the server; from a signal handler, before this process ends at once."""
        if self._server is not None and self._server.process.returncode is None:
            self._server.process.kill()

    async def run(self) -> int:
        while (code := await self._serve_once()) is None:
            pass
        return code

    async def _serve_once(self) -> int | None:
        """The life of one server. Returns None if it is to start again, else the exit code."""
        self._files.begin()
        self._server = server = await self._start()
        stopping, ended = asyncio.create_task(self.stop.wait()), asyncio.create_task(server.process.wait())
        changing = asyncio.create_task(self._change(server))
        try:
            await asyncio.wait([stopping, changing, ended], return_when=asyncio.FIRST_COMPLETED)
            if not (stopping.done() or changing.done()):
                await asyncio.wait([self._hearing], timeout=_HEAR_SECONDS)
                if not (self._was_ready or server.has_failed_to_load):
                    return server.process.returncode or 0  # no edit mends this, and it has said why
                self._say_end(server)
                await asyncio.wait([stopping, changing], return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                return 0
            self._say_change(changing.result(), server)
            return None
        finally:
            await _cancel(stopping, changing)
            await self._end(server)
            await _cancel(ended)

    async def _start(self) -> _Server:
        """Starts the server, in a session of its own: Ctrl-C is for this process, which tells it in order."""
        ours, its = socket.socketpair()
        with its:
            given = environment_of_server(its.fileno(), self._sockets)
            safe = [] if Path(sys.argv[0]).name == "__main__.py" else ["-P"]  # as the command itself was started
            process = await asyncio.create_subprocess_exec(
                sys.executable, *safe, "-m", "reactor_web", *sys.argv[1:],
                stdin=DEVNULL, env={**os.environ, **given}, start_new_session=True,
                pass_fds=[its.fileno(), *(listening.fileno() for listening in self._sockets)],
            )  # fmt: skip
        server = _Server(process)
        ours.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LINE_BYTES)
        self._hearing = asyncio.create_task(self._hear(server, reader))
        return server

    async def _hear(self, server: _Server, reader: asyncio.StreamReader) -> None:
        """What the server tells, until it ends."""
        try:
            while line := await reader.readline():
                told = json.loads(line)
                self._files.add(_stamps(told.get("files", {})))
                server.is_ready = server.is_ready or "ready" in told
                self._was_ready = self._was_ready or server.is_ready
                server.has_failed_to_load = server.has_failed_to_load or "failed" in told
        except (OSError, ValueError) as error:
            logger.debug("the server is not heard", error=str(error))

    async def _change(self, server: _Server) -> list[Path]:
        """Waits for a change. While no server runs, each file beside those that are known counts: it may be new."""
        while True:
            folders = self._files.folders
            if not folders:
                await asyncio.sleep(_LOOK_MS / 1000)
                continue
            with suppress(FileNotFoundError):  # a folder has gone just now
                async with aclosing(_changes_in(folders)) as batches:
                    async for changes in batches:
                        if changed := self._files.changed():
                            return changed
                        if server.has_failed_to_load and changes:
                            return changes
                        if self._files.folders != folders:
                            break

    async def _end(self, server: _Server) -> None:
        """Ends the server in order; it is killed if it does not."""
        if server.process.returncode is None:
            server.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(server.process.wait(), END_SECONDS)
            except TimeoutError:
                logger.warning("the server did not end in time and is killed", seconds=END_SECONDS)
                server.process.kill()
                await server.process.wait()
        self._writer.close()
        await _cancel(self._hearing)

    def _say_end(self, server: _Server) -> None:
        if not server.has_failed_to_load:
            logger.warning("the server has ended; it starts when a file has changed", code=server.process.returncode)

    def _say_change(self, changed: list[Path], server: _Server) -> None:
        logger.info("the server starts again, a file has changed", files=", ".join(map(_shown, changed)))
        if server.is_ready and not self._keeps_runs:
            logger.warning("the runs in memory are gone: --store sqlite:///reactor.db keeps them")


async def _changes_in(folders: set[Path]) -> AsyncGenerator[list[Path]]:
    """The Python files in these folders that have just changed; also no files, from time to time."""
    from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]  # it names a type of anyio, if there is one

    batches = awatch(
        *folders, recursive=False, watch_filter=None, step=_SETTLE_MS, rust_timeout=_LOOK_MS, yield_on_timeout=True
    )
    async for changes in batches:
        yield [Path(file) for _, file in changes if file.endswith(".py")]


def _stamps(told: dict[str, list[int] | None]) -> dict[Path, Stamp | None]:
    """Files as the server has told them."""
    return {Path(file): None if stamp is None else Stamp(*stamp) for file, stamp in told.items()}


async def _cancel(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _shown(file: Path) -> str:
    """A path from here, where it is below."""
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
