"""One process owns a log file: a lock beside it, which the operating system releases when the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from reactor.errors import LogUnavailable


class FileLock:
    """An advisory lock on ``<file>.lock``. The file holds the owner's process id, for the error of the next process.

    Its descriptor is close-on-exec, so that a child process does not keep the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        real = path.resolve()  # links to one file share its lock
        self._file = real.with_name(real.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock; raises LogUnavailable, which names the owner, where another process has it."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            hint = "" if self._file.parent.is_dir() else "; create its folder first"
            raise self._unavailable(f"cannot be opened: {error.strerror}{hint}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 100).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise self._unavailable(
                f"is in use by {owner}; one process owns a log: end that one, or use another file"
            ) from None
        except OSError as error:  # a file system without locks
            os.close(descriptor)
            raise self._unavailable(f"cannot be locked: {error.strerror}") from error
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()}".encode())
        except OSError:
            pass  # the disk is full: the lock holds, without the name of its owner

    def release(self) -> None:
        """Releases the lock. The file stays: without it two processes could lock two files of the same name."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # explicitly: a child forked meanwhile has the descriptor too
            os.close(descriptor)

    def _unavailable(self, why: str) -> LogUnavailable:
        return LogUnavailable(f"{self._path} {why}", path=str(self._path))
