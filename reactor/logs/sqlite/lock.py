"""One process owns a log file. The operating system releases the locks when the process ends, however it ends.

Two locks, because each alone can be got round:

- ``flock`` on ``<file>.lock``, which also holds the name of the owner. Whoever deletes that file, or reaches the log by
  another path (a bind mount of the file), would lock another file.
- A lock on one byte of the log itself, far behind the bytes that SQLite locks. It is a lock of an open file (``OFD``):
  a POSIX lock would be dropped as soon as anybody in this process closes the log, and would not keep out a second log
  in this process. Closing this descriptor drops the POSIX locks of SQLite, for the same reason: so it is opened before
  SQLite opens the file, closed after SQLite has closed it, and not opened at all where this process owns the file.

Both belong to the open file, which a forked child would share, and so keep when its parent is killed. So each child
closes its copies first of all.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from reactor.errors import LogUnavailable

_BYTE: Final = (2**62, 1)
"""Where the byte is: its offset, and how many there are. A file grows to 2**48 bytes."""
_BYTES_OF_SQLITE: Final = (2**30 + 2, 510)
"""Those that SQLite locks as the last one that has the file open."""
_NO_OPEN_FILE_LOCKS: Final = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_TAKEN: Final = (errno.EAGAIN, errno.EACCES)
_AT: Final = " at "
"""Between the name of an owner and its URL."""
_URL_CHARS: Final = 500


class FileLock:
    """The locks on a log, or with ``shared`` those of somebody who only reads it and keeps owners out meanwhile."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self._path = path
        self._name = path.absolute()  # stays the same file when the process changes its directory
        self._shared = shared
        self.file = self._name
        """The log itself, behind all links, once the lock is held."""
        self._beside: int | None = None
        """The descriptor of ``<file>.lock``."""
        self._inside: int | None = None
        """The descriptor of the log."""

    @property
    def descriptor(self) -> int:
        """Of the log, while the lock is held. Must not be closed: see above."""
        assert self._inside is not None, "the lock is held"
        return self._inside

    def acquire(self) -> None:
        """Takes both locks, and makes the file where there is none.

        Raises LogUnavailable where another process owns the log, with its name; and for a file with several names.
        """
        with _CHANGING:
            self.file = self._name.resolve()  # links to one file share its lock
            try:
                self._take_beside()
                self._take_inside()
            except BaseException:
                self._close()
                raise
            _HELD.add(self)

    def release(self) -> None:
        """Lets go of both. ``<file>.lock`` stays: without it two processes could lock two files of the same name."""
        with _CHANGING:
            _HELD.discard(self)
            if self._beside is not None:
                fcntl.flock(self._beside, fcntl.LOCK_UN)  # explicitly: a child that C code has forked keeps a copy
            if self._inside is not None:
                _lock_bytes(self._inside, fcntl.F_UNLCK, _BYTE)
            self._close()

    # --- beside the log ---

    def _take_beside(self) -> None:
        beside = self.file.with_name(self.file.name + ".lock")
        if self._shared and not beside.exists():
            return  # whoever only reads leaves nothing behind
        self._beside = self._open(beside, os.O_RDONLY if self._shared else os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._beside, (fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._in_use(_said(self._beside)) from None
        except OSError as error:  # a file system without locks
            raise self._unavailable(f"cannot be locked: {error.strerror}") from error
        if self._shared:
            return
        try:
            os.ftruncate(self._beside, 0)
            os.pwrite(self._beside, f"process {os.getpid()}".encode(), 0)
        except OSError:
            pass  # the disk is full: the lock holds, without the name of its owner

    # --- the log itself ---

    def _take_inside(self) -> None:
        try:
            there = self.file.stat()
        except FileNotFoundError:
            there = None
        if there is not None and any(lock.is_of(there) for lock in _HELD):
            raise self._in_use(f"process {os.getpid()}")
        self._inside = self._open(self.file, os.O_RDONLY if self._shared else os.O_RDWR | os.O_CREAT)
        opened = os.fstat(self._inside)
        if opened.st_nlink > 1:  # each name has write-ahead files of its own, and two owners would spoil the log
            raise self._unavailable(
                f"has {opened.st_nlink} names (hard links), and a log has one: delete the others, or make a copy"
            )
        try:
            _lock_bytes(self._inside, fcntl.F_RDLCK if self._shared else fcntl.F_WRLCK, _BYTE)
        except OSError as error:
            if error.errno in _TAKEN:
                raise self._in_use("") from None
            raise self._unavailable(f"cannot be locked: {error.strerror}") from error
        if not os.path.samestat(opened, self.file.stat()):
            raise self._unavailable("was replaced while it was opened; try again")

    def hold_back_sqlite(self) -> None:
        """Keeps SQLite from tidying up when it closes the file: it would delete the write-ahead log by its name, and
        where the file was moved, another log may have that name. Best effort: without locks of open files it does."""
        if self._inside is not None and hasattr(fcntl, "F_OFD_SETLK"):
            with suppress(OSError):
                _lock_bytes(self._inside, fcntl.F_RDLCK, _BYTES_OF_SQLITE)

    def announce(self, url: str) -> None:
        """Writes where the owner can be asked beside its name, for who finds the log in use. Best effort, as that."""
        if self._beside is None or self._shared or len(url) > _URL_CHARS:
            return
        with suppress(OSError):
            said = f"process {os.getpid()}{_AT}{url}".encode()
            os.ftruncate(self._beside, os.pwrite(self._beside, said, 0))

    def is_of(self, there: os.stat_result) -> bool:
        """Whether this lock is held on that file."""
        return self._inside is not None and os.path.samestat(there, os.fstat(self._inside))

    # --- both ---

    def _open(self, file: Path, flags: int) -> int:
        try:
            return os.open(file, flags | os.O_CLOEXEC, 0o644)
        except OSError as error:
            hint = "" if file.parent.is_dir() else "; create its folder first"
            raise self._unavailable(f"cannot be opened: {error.strerror}{hint}") from error

    def _close(self) -> None:
        for descriptor in (self._beside, self._inside):
            if descriptor is not None:
                os.close(descriptor)
        self._beside = self._inside = None

    def close_in_child(self) -> None:
        """In a process that was forked: the locks are its parent's."""
        self._close()

    def _in_use(self, owner: str) -> LogUnavailable:
        return self._unavailable(
            f"is in use by {owner or 'another process'}; one process owns a log: end that one, or use another file"
        )

    def _unavailable(self, why: str) -> LogUnavailable:
        return LogUnavailable(f"{self._path} {why}", path=str(self._path))


def _said(beside: int) -> str:
    """What an owner has written into the file beside its log."""
    return os.pread(beside, 100 + _URL_CHARS, 0).decode(errors="replace").strip()


def _lock_bytes(descriptor: int, kind: int, bytes: tuple[int, int]) -> None:
    """Sets or clears a lock on bytes of a file; raises OSError."""
    start, length = bytes
    command = getattr(fcntl, "F_OFD_SETLK", None)
    try:
        if command is not None:
            # l_type, l_whence, l_start, l_len, l_pid
            fcntl.fcntl(descriptor, command, struct.pack("hhqqi0q", kind, os.SEEK_SET, start, length, 0))
            return
    except OSError as error:
        if error.errno not in _NO_OPEN_FILE_LOCKS:
            raise
    modes = {fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_UNLCK: fcntl.LOCK_UN}
    fcntl.lockf(descriptor, modes[kind] | (0 if kind == fcntl.F_UNLCK else fcntl.LOCK_NB), length, start)


# --- who owns a file ---


class Owner(NamedTuple):
    """A process that has a log open to write."""

    name: str
    """``process 12``"""
    url: str | None
    """Where it can be asked, if it serves and has said so."""


def owner_of(path: Path) -> Owner | None:
    """Who owns a log; None: nobody does now. It takes no lock, so an owner that begins meanwhile is not kept out.

    Raises OSError for a file that cannot be read.
    """
    file = path.resolve()
    there = file.stat()
    with _CHANGING:
        is_ours = any(lock.is_of(there) for lock in _HELD)
    if not is_ours and not _is_locked(file):  # not opened where it is ours: see above
        return None
    try:
        said = file.with_name(file.name + ".lock").read_bytes()[: 100 + _URL_CHARS].decode(errors="replace").strip()
    except OSError:
        said = ""
    name, _, url = said.partition(_AT)
    return Owner(name or "another process", url or None)


def _is_locked(file: Path) -> bool:
    command, bytes = getattr(fcntl, "F_OFD_GETLK", None), _BYTE
    with file.open("rb") as opened:
        asked = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, *bytes, 0)
        try:
            told = fcntl.fcntl(opened.fileno(), fcntl.F_GETLK if command is None else command, asked)
        except OSError as error:
            if command is None or error.errno not in _NO_OPEN_FILE_LOCKS:
                raise
            told = fcntl.fcntl(opened.fileno(), fcntl.F_GETLK, asked)
    return struct.unpack("hhqqi0q", told)[0] != fcntl.F_UNLCK


# --- forks ---

_HELD: Final[set[FileLock]] = set()
"""The locks that this process holds."""
_CHANGING: Final = threading.Lock()
"""Held while a lock is taken or let go of, so that no child is forked in the middle of it."""


def _after_fork_in_child() -> None:
    for lock in _HELD:
        lock.close_in_child()
    _HELD.clear()
    _CHANGING.release()


os.register_at_fork(before=_CHANGING.acquire, after_in_parent=_CHANGING.release, after_in_child=_after_fork_in_child)
