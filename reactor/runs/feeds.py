"""The feeds that somebody may read: those of the last ended runs are kept, others are known while anybody has them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from weakref import WeakSet

from reactor.bounds import RECENT_RUNS
from reactor.stream.feed import Feed


class Feeds:
    """Those of the runs of one tenant."""

    def __init__(self) -> None:
        self._all: WeakSet[Feed] = WeakSet()
        self._recent: OrderedDict[str, Feed] = OrderedDict()

    def add(self, feed: Feed) -> None:
        """Somebody reads it."""
        self._all.add(feed)

    def keep(self, feed: Feed) -> None:
        """Its run has ended, and somebody may ask for it."""
        self._recent[feed.run_id] = feed
        self._recent.move_to_end(feed.run_id)
        if len(self._recent) > RECENT_RUNS:
            self._recent.popitem(last=False)

    def of_ended(self, run_id: str) -> Feed | None:
        """The feed of one of the last ended runs."""
        return self._recent.get(run_id)

    @property
    def are_read(self) -> bool:
        """Whether there are others than those of the last ended runs."""
        return len(self._all) > len(self._recent)

    @contextmanager
    def deleting(self, run_id: str) -> Generator[None]:
        """Around the deletion of a run: who reads it is told, unless it fails."""
        feeds = [feed for feed in self._all if feed.run_id == run_id]
        for feed in feeds:  # first: as soon as it is gone a new run may have its id
            feed.is_deleted = True
        try:
            yield
        except BaseException:
            for feed in feeds:
                feed.is_deleted = False
            raise
        self._recent.pop(run_id, None)
