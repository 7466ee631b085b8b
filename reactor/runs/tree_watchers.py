"""Who is told when a run of a tree has published something."""

from __future__ import annotations

from collections.abc import Callable

from reactor.runs.parent import ParentRun


class TreeWatchers:
    """Those of one engine, by the root of the tree that they watch."""

    def __init__(self) -> None:
        self._watched: dict[str, dict[object, Callable[[], None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._watched)

    def watch(self, root: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls ``wake`` whenever a run of this tree has published a window; returns what ends that."""
        key = object()
        self._watched.setdefault(root, {})[key] = wake

        def stop() -> None:
            watchers = self._watched.get(root, {})
            watchers.pop(key, None)
            if not watchers:
                self._watched.pop(root, None)

        return stop

    def wake(self, run: ParentRun | None) -> None:
        """An open run has published a window; None for a run that is not open."""
        while run is not None and run.parent is not None:
            run = run.parent.run
        for wake in () if run is None else tuple(self._watched.get(run.run_id, {}).values()):
            wake()
