"""The pages of a SQLite file, and those of its write-ahead log, read without SQLite: it gives up at the first bad one.

Format: https://sqlite.org/fileformat2.html. The file is only read.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

MAGIC: Final = b"SQLite format 3\x00"
_WAL_MAGICS: Final = (0x377F0682, 0x377F0683)
_WAL_HEAD, _FRAME_HEAD = 32, 24
_DEFAULT_SIZE: Final = 4096
"""Of every log that was made by this library, and so of one whose header cannot be read."""


class Image(NamedTuple):
    """Where the bytes of one page stand."""

    is_in_wal: bool
    offset: int


class Pages:
    """All pages, each as it was last committed. Numbers begin at 1."""

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        self._wal: int | None = None
        self.bad_frames = 0
        """Committed pages in the write-ahead log that are not what was written."""
        self._frames: dict[int, list[int]] = {}
        """By page: where its images in the write-ahead log begin, the newest last."""
        try:
            self._wal = os.open(file.with_name(file.name + "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            pass
        head = os.pread(self._file, 100, 0)
        self.has_header = head.startswith(MAGIC)
        self.size = _page_size(head) if self.has_header else 0
        if self._wal is not None:
            wal_head = os.pread(self._wal, _WAL_HEAD, 0)
            if not self.size and len(wal_head) == _WAL_HEAD:
                self.size = _valid(struct.unpack_from(">I", wal_head, 8)[0])
        self.size = self.size or _DEFAULT_SIZE
        self.usable = self.size - (head[20] if self.has_header and head[20] < 64 else 0)
        if self._wal is not None:
            self._read_wal(self._wal)
        in_file = -(-os.fstat(self._file).st_size // self.size)
        self.count = max([in_file, *self._frames])

    def close(self) -> None:
        os.close(self._file)
        if self._wal is not None:
            os.close(self._wal)

    def newest(self, number: int) -> Image:
        frames = self._frames.get(number)
        return Image(True, frames[-1]) if frames else Image(False, (number - 1) * self.size)

    def older(self, number: int) -> Iterator[Image]:
        """The images of a page before its newest, the newest of them first."""
        frames = self._frames.get(number, [])
        for offset in reversed(frames[:-1]):
            yield Image(True, offset)
        if frames:
            yield Image(False, (number - 1) * self.size)

    def read(self, image: Image) -> bytes:
        """The bytes; zeros where the file is too short."""
        file = self._wal if image.is_in_wal else self._file
        assert file is not None, "there are images in it"
        return os.pread(file, self.size, image.offset).ljust(self.size, b"\x00")

    # --- the write-ahead log ---

    def _read_wal(self, wal: int) -> None:
        """Finds the frames up to the last commit.

        The checksum of each frame begins with that of the frame before, as it is written there. So a bad frame is the
        only one that is left out, where SQLite would leave out all that follow it.
        """
        head = os.pread(wal, _WAL_HEAD, 0)
        if len(head) < _WAL_HEAD:
            return
        magic, _, size, _, salt1, salt2, sum1, sum2 = struct.unpack(">8I", head)
        order = ">" if magic & 1 else "<"
        is_good = magic in _WAL_MAGICS and size == self.size and _checksum(order, head[:24], (0, 0)) == (sum1, sum2)
        if not is_good:  # what stands in it stands in the first frame, too, which is the only one that is lost with it
            self.bad_frames += 1
            order = "<" if sys.byteorder == "little" else ">"
            salt1, salt2 = struct.unpack(">2I", os.pread(wal, 8, _WAL_HEAD + 8).ljust(8, b"\x00"))
        found: list[tuple[int, int]] = []
        bad = 0
        before = (sum1, sum2)
        offset = _WAL_HEAD
        while len(frame := os.pread(wal, _FRAME_HEAD + self.size, offset)) == _FRAME_HEAD + self.size:
            page, commit, its_salt1, its_salt2, sum1, sum2 = struct.unpack_from(">6I", frame)
            good = (its_salt1, its_salt2) == (salt1, salt2) and page > 0
            if good and _checksum(order, frame[_FRAME_HEAD:], _checksum(order, frame[:8], before)) == (sum1, sum2):
                found.append((page, offset + _FRAME_HEAD))
            else:
                bad += 1
            if good and commit and found and found[-1][1] == offset + _FRAME_HEAD:
                self._commit(found)
                self.bad_frames += bad
                bad = 0
                found = []
            before = (sum1, sum2)
            offset += _FRAME_HEAD + self.size

    def _commit(self, frames: list[tuple[int, int]]) -> None:
        for page, offset in frames:
            self._frames.setdefault(page, []).append(offset)


def _checksum(order: str, data: bytes, seed: tuple[int, int]) -> tuple[int, int]:
    first, second = seed
    for left, right in struct.iter_unpack(f"{order}II", data):
        first = (first + left + second) & 0xFFFFFFFF
        second = (second + right + first) & 0xFFFFFFFF
    return first, second


def _page_size(head: bytes) -> int:
    (size,) = struct.unpack_from(">H", head.ljust(100, b"\x00"), 16)
    return _valid(65_536 if size == 1 else size)


def _valid(size: int) -> int:
    """A page size, or 0 for what cannot be one."""
    return size if 512 <= size <= 65_536 and size & (size - 1) == 0 else 0
