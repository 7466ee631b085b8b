"""``KeyFile``: keys in a JSON file that only its owner may read, and that is read again when it changes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

from reactor.bounds import KEYS
from reactor.clock import SystemClock
from reactor.errors import ReactorError
from reactor.logger import get_logger
from reactor.ports.access import KeyRecord
from reactor.ports.clock import Clock
from reactor_web.bounds import KEY_FILE_BYTES, KEY_FILE_SECONDS, KEY_LOCK_SECONDS
from reactor_web.guard.key_records import encode_records, parse_records

logger = get_logger("reactor.web")

MODE: Final = 0o600
_OTHERS: Final = 0o077
"""The rights of group and others."""
_LOCK_POLL_SECONDS: Final = 0.01

_Stamp = tuple[int, ...]
_Records = dict[str, KeyRecord]


class KeyFileError(ReactorError):
    """Raised where a key file cannot be used. ``path``: which one."""

    path: str


class KeyFile:
    """Implements ``KeyStore`` in a file.

    A server looks at most once a second whether the file has changed. A file that is broken or gone by then changes
    nothing: the keys that were read before go on to count, and the log has one line about it. At the start it is an
    error: the first reading raises KeyFileError. ``add`` makes a file that is not there.

    Every change is a new file that takes the place of the old one, under a lock (``<file>.lock``), so that two
    processes that add at the same time lose nothing, and a reader never sees half a file.
    """

    def __init__(self, path: str | os.PathLike[str], clock: Clock | None = None) -> None:
        self._path = Path(path)
        self._clock = clock or SystemClock()
        self._looked_at = -inf
        self._busy = threading.Lock()
        """Held by the thread that reads or writes. What it found is replaced as a whole, so readers need no lock."""
        self._stamp: _Stamp = ()
        self._records: _Records | None = None
        self._has_warned = False

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"

    @property
    def path(self) -> Path:
        return self._path

    def load(self) -> int:
        """Reads the file now and returns how many keys it has; raises KeyFileError. For before a server listens."""
        with self._busy:
            self._stamp, self._records = _read(self._path)
            return len(self._records)

    async def find(self, id: str) -> KeyRecord | None:
        return (await self._current()).get(id)

    async def all(self) -> list[KeyRecord]:
        return list((await self._current()).values())

    async def add(self, record: KeyRecord) -> None:
        """Stores a key. Raises ValueError for an id that is there and for a key that a file cannot have."""

        def change(records: _Records) -> bool:
            if record.id in records:
                raise ValueError(f"there is a key {record.id!r} already in {self._path}")
            if len(records) >= KEYS:
                raise ValueError(
                    f"{self._path} has {KEYS} keys, which is the most a file can have: remove old ones from it"
                )
            records[record.id] = record
            return True

        await asyncio.to_thread(self._change, change, create=True)

    async def revoke(self, id: str) -> bool:
        def change(records: _Records) -> bool:
            if id not in records:
                return False
            records[id] = replace(records[id], revoked=True)
            return True

        return await asyncio.to_thread(self._change, change)

    # --- reading ---

    async def _current(self) -> _Records:
        if self._records is None:
            self._looked_at = self._clock.monotonic()
            await asyncio.to_thread(self.load)
        elif self._clock.monotonic() - self._looked_at >= KEY_FILE_SECONDS:
            self._looked_at = self._clock.monotonic()
            await asyncio.to_thread(self._look)
        assert self._records is not None
        return self._records

    def _look(self) -> None:
        """Reads the file if it has changed. Nothing while another thread is at it, for example on a disk that hangs."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            if _stamp_of(self._path) != self._stamp:
                self._stamp, self._records = _read(self._path)
                logger.info("the key file was read again", path=str(self._path), keys=len(self._records))
            self._has_warned = False
        except KeyFileError as error:
            if not self._has_warned:
                self._has_warned = True
                logger.error(
                    "the key file cannot be used; the keys that were read before go on to count",
                    path=str(self._path),
                    error=str(error),
                )
        finally:
            self._busy.release()

    # --- writing ---

    def _change(self, change: Callable[[_Records], bool], *, create: bool = False) -> bool:
        path = self._path.resolve()  # a link stays a link
        with self._busy, _locked(path):
            records = {} if create and not path.exists() else _read(path)[1]
            if not change(records):
                return False
            text = encode_records(records.values())
            if len(text) > KEY_FILE_BYTES:
                raise ValueError(f"{self._path} would have more than {KEY_FILE_BYTES} bytes: remove old keys from it")
            _write(path, text)
            self._stamp, self._records = _stamp_of(path), records
            return True


def _read(path: Path) -> tuple[_Stamp, _Records]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
        try:
            status = os.fstat(descriptor)
            _check_status(path, status)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                text = file.read(KEY_FILE_BYTES + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise KeyFileError(f"there is no key file {path}; `reactor keys add` makes one", path=str(path)) from None
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}", path=str(path)) from error
    if len(text) > KEY_FILE_BYTES:
        raise KeyFileError(f"the key file {path} has more than {KEY_FILE_BYTES} bytes", path=str(path))
    try:
        return _as_stamp(status), parse_records(text)
    except ValueError as error:
        raise KeyFileError(f"the key file {path} is broken: {error}", path=str(path)) from None


def _check_status(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"the key file {path} is no file", path=str(path))
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise KeyFileError(
            f"the key file {path} is open to others than its owner (mode {mode:04o}): chmod 600 {path}", path=str(path)
        )


def _stamp_of(path: Path) -> _Stamp:
    """What changes with the file; empty for one that is gone or cannot be asked, which reading it then tells."""
    try:
        return _as_stamp(path.stat())
    except OSError:
        return ()


def _as_stamp(status: os.stat_result) -> _Stamp:
    # the time of the last change of its status, too: it changes with the mode, and nobody can set it
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Keeps every other process from changing the file. The lock file stays: two could lock two files of its name."""
    file = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    except OSError as error:
        hint = "" if file.parent.is_dir() else "; create its folder first"
        raise KeyFileError(
            f"the key file {path} cannot be changed, {file.name}: {error.strerror}{hint}", path=str(path)
        ) from error
    try:
        if os.fstat(descriptor).st_nlink != 1:  # root would give the other file to the owner of this folder
            raise KeyFileError(f"the lock {file} has another name as well: remove it", path=str(path))
        _keep_owner(path, descriptor)
        _wait_for(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path) -> None:
    until = time.monotonic() + KEY_LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise KeyFileError(
                    f"another process has held the lock of the key file {path} for {KEY_LOCK_SECONDS:g} seconds",
                    path=str(path),
                ) from None
            time.sleep(_LOCK_POLL_SECONDS)
        except OSError as error:  # a file system without locks
            raise KeyFileError(f"the key file {path} cannot be locked: {error.strerror}", path=str(path)) from error
        else:
            return


def _write(path: Path, text: bytes) -> None:
    """Puts a new file in the place of the old one; after a crash it is one of the two. Only under the lock."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)  # of a process that was killed while it wrote
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, MODE)  # whatever the umask is
            _keep_owner(path, descriptor)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}", path=str(path)) from error


def _keep_owner(path: Path, descriptor: int) -> None:
    """Gives a file to the owner of the key file: a service could not read what root has written in its place."""
    if os.geteuid() == 0 and path.exists():
        owner = path.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
