"""What the log has of a run, read from its file beside the server."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


class Logged:
    """A SQLite log, opened to read."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)

    def events(self, run_id: str) -> list[bytes]:
        """The events of one run, in order."""
        return self._read("runs.run_id = ?", run_id)

    def tree(self, run_id: str) -> list[bytes]:
        """Those of a run and of all below it, in the order in which they were committed."""
        return self._read("runs.root = ?", run_id)

    def _read(self, where: str, value: str) -> list[bytes]:
        query = f"SELECT events FROM windows JOIN runs ON runs.id = windows.run WHERE {where} ORDER BY position"
        return [line for (joined,) in self._connection.execute(query, (value,)) for line in joined.split(b"\n")]


def check_same(what: str, shown: Sequence[bytes], logged: Sequence[bytes]) -> None:
    """Raises AssertionError with the place where they begin to differ."""
    if list(shown) == list(logged):
        return
    at = next((n for n, (one, other) in enumerate(zip(shown, logged, strict=False)) if one != other), None)
    if at is None:
        raise AssertionError(f"{what}: {len(shown)} messages, and the log has {len(logged)}")
    raise AssertionError(f"{what}: place {at + 1} is {shown[at][:200]!r}, in the log {logged[at][:200]!r}")
