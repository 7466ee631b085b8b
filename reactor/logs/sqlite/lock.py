"""One process owns a file: an advisory lock beside it, which the operating system lets go of when the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from reactor.errors import LogUnavailable


class FileLock:
    """``<file>.lock``, close-on-exec, so that no child keeps it; holds the owner's process id for who is refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        real = path.resolve()  # one lock however the file is called
        self._file = real.with_name(real.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises LogUnavailable, naming the owner, where another process has it."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._unavailable(f"cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 100).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise self._unavailable(f"is in use by {owner}; one process owns a log") from None
        except OSError as error:  # a file system without locks
            os.close(descriptor)
            raise self._unavailable(f"cannot be locked: {error.strerror}") from error
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()}".encode())
        except OSError:
            pass  # a full disk: the lock holds without a name

    def release(self) -> None:
        """The file stays: removing it would let two processes hold locks on two files of one name."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child forked meanwhile has the descriptor too
            os.close(descriptor)

    def _unavailable(self, why: str) -> LogUnavailable:
        return LogUnavailable(f"{self._path} {why}", path=str(self._path))
