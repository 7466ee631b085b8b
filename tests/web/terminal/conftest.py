"""Copies of the log that a module has stored in its fixture ``stored``: with an owner, and without."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command import end, start_server


@pytest.fixture
def left(stored: Path, tmp_path: Path) -> Path:
    """A copy of the file, which nobody owns."""
    return Path(shutil.copy(stored / "runs.db", tmp_path))


@pytest.fixture(scope="module")
def owned(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server on a copy: its URL, and that of its file. The run that was left goes on there."""
    log = shutil.copy(stored / "runs.db", tmp_path_factory.mktemp("owned"))
    url, process = start_server(stored / "release.py", "--store", f"sqlite:///{log}")
    yield url.removesuffix("/api/v1"), f"sqlite:///{log}"
    end(process)
