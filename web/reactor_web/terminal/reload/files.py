"""``Files``: which of the files that a server has imported have changed since it was started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """What differs after an edit, however an editor writes: into the file, or a new one in its place."""

    changed: int
    size: int
    number: int


def stamp_of(file: Path) -> Stamp | None:
    """None: there is no such file, or nobody can say."""
    try:
        found = file.stat()
    except OSError:
        return None
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


class Files:
    """The files that are known, each as it was when the server was started."""

    def __init__(self) -> None:
        self._stamps: dict[Path, Stamp | None] = {}

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def folders(self) -> set[Path]:
        """The folders they are in, as far as there are any."""
        return {folder for folder in {file.parent for file in self._stamps} if folder.is_dir()}

    def add(self, files: Mapping[Path, Stamp | None]) -> None:
        """Files that are known now, too, each as it was when it was imported."""
        self._stamps = {**files, **self._stamps}

    def begin(self) -> None:
        """The server is started now: all that was changed until now is in it."""
        self._stamps = {file: stamp_of(file) for file in self._stamps}

    def changed(self) -> list[Path]:
        """Those that are not as they were."""
        return [file for file, stamp in self._stamps.items() if stamp_of(file) != stamp]
