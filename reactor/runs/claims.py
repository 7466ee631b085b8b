"""Ids that open runs have for their child runs and that no run has yet: nobody else can start a run under them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reactor.errors import RunExists


class ChildName(NamedTuple):
    """Which child run of which run: what its id stands for."""

    parent_id: str
    task_id: str
    name: str
    """The key, or the number of the child run."""


class Claims:
    """The claims of the open runs of one tenant. A claim ends when its child run begins, or with the parent."""

    def __init__(self) -> None:
        self._by_id: dict[str, ChildName] = {}
        self._of: dict[str, set[str]] = {}
        """By parent, the ids that it has claimed."""

    def take(self, run_id: str, child: ChildName) -> bool:
        """Whether the id is this child's now, or was before."""
        if self._by_id.setdefault(run_id, child) != child:
            return False
        self._of.setdefault(child.parent_id, set()).add(run_id)
        return True

    def take_all(self, children: Iterable[tuple[str, ChildName]]) -> None:
        for run_id, child in children:
            self.take(run_id, child)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._by_id

    def drop(self, run_id: str) -> None:
        child = self._by_id.pop(run_id, None)
        if child is not None:
            self._of[child.parent_id].discard(run_id)

    def drop_all(self, parent_id: str) -> None:
        """The parent is open no more."""
        for run_id in self._of.pop(parent_id, ()):
            del self._by_id[run_id]

    def check_free(self, run_id: str) -> None:
        """Raises RunExists for an id that is claimed."""
        child = self._by_id.get(run_id)
        if child is not None:
            raise RunExists(
                f"run id {run_id!r} is that of a child run which run {child.parent_id} starts; give another run_id",
                run_id=run_id,
            )
