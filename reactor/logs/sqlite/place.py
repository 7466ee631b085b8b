"""Whether the file of a log is still where its name says: a file that is moved or deleted can still be written.

SQLite goes on with the file that it has opened. Nobody finds it any more, and what is committed to it is lost with the
process. So the writer looks before a transaction, and a timer where nothing is written.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Final

from reactor.errors import LogUnavailable
from reactor.logs.sqlite.lock import FileLock

_SELDOM_SECONDS: Final = 0.01
"""So long the writer relies on what it has seen. To look takes as long as a tenth of a small commit."""
_PAGE_SIZE_AT: Final = 16
_PAGES_AT: Final = 28


class Place:
    """The file of an open log and the two that SQLite keeps beside it, as they were when it was opened."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self._path = path
        self._name = path.absolute()
        self._descriptor = lock.descriptor
        self._opened = os.fstat(self._descriptor)
        self._size = self._opened.st_size
        self._cut: LogUnavailable | None = None
        self._looked_at = 0.0
        """On the monotonic clock: when all was last well."""
        self._beside = [(file, file.stat()) for file in _files_beside(lock.file)]
        self.size_bytes = self._size + sum(opened.st_size for _, opened in self._beside)
        """Of all of them, when they were last looked at."""

    def check_again(self) -> None:
        """As ``check``, unless all was well a moment ago."""
        if time.monotonic() - self._looked_at > _SELDOM_SECONDS:
            self.check()

    def check(self) -> None:
        """Raises LogUnavailable, which says what is wrong. Between transactions: in the middle of one the size is not
        what it will be."""
        self._looked_at = 0.0
        if self._cut is not None:
            raise self._cut
        there = self._stat(
            self._name, "was moved or deleted while it was open; move it back, or start again without it", "moved"
        )
        if not os.path.samestat(there, self._opened):
            raise self._error(
                "is another file now, which has taken its name while it was open; move it back, or start again",
                "replaced",
            )
        if there.st_size < self._size and there.st_size < self._size_it_says():
            self._cut = self._error(
                "was cut short while it was open; stop, and see what `reactor recover` can read of it", "cut"
            )
            raise self._cut
        self._size = size = there.st_size
        for file, opened in self._beside:
            why = f"has lost {file.name}, which was moved or deleted while it was open; move it back, or start again"
            now = self._stat(file, why, "incomplete")
            if not os.path.samestat(now, opened):
                raise self._error(why, "incomplete")
            size += now.st_size
        self.size_bytes = size
        if os.fstatvfs(self._descriptor).f_flag & os.ST_RDONLY:
            raise self._error("cannot be written: its file system has become read-only", "read-only")
        self._looked_at = time.monotonic()

    @property
    def is_ours(self) -> bool:
        """Whether what SQLite does at the end, by the names of the files, would be done to the files it has opened."""
        try:
            return os.path.samestat(self._name.stat(), self._opened) and self._cut is None
        except OSError:
            return False

    @property
    def is_cut(self) -> bool:
        """Whether some of the file is gone."""
        return self._cut is not None

    def _stat(self, file: Path, why: str, reason: str) -> os.stat_result:
        try:
            return file.stat()
        except OSError as error:
            raise self._error(why, reason) from error

    def _size_it_says(self) -> int:
        """By its header, which SQLite changes before it makes the file smaller itself."""
        head = os.pread(self._descriptor, 100, 0)
        if len(head) < 100:
            return 100
        (size,) = struct.unpack_from(">H", head, _PAGE_SIZE_AT)
        (pages,) = struct.unpack_from(">I", head, _PAGES_AT)
        return pages * (65_536 if size == 1 else size)

    def _error(self, why: str, reason: str) -> LogUnavailable:
        return LogUnavailable(f"{self._path} {why}", path=str(self._path), reason=reason)


def _files_beside(file: Path) -> list[Path]:
    return [file.with_name(file.name + "-wal"), file.with_name(file.name + "-shm")]
