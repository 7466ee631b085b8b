"""Child runs that are open in the log, and that nobody goes on with before their parents ask for them again.

That is so after a restart. Whoever reads such a run gets what the log has, and then waits: the child goes on in the
feed that is being read.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary

from reactor.events.event import Window
from reactor.stream.feed import Closed, Feed


class Dormant:
    """The feeds of those that somebody reads. One that nobody reads is forgotten."""

    def __init__(self) -> None:
        self._feeds: WeakValueDictionary[str, Feed] = WeakValueDictionary()
        self.waits: Callable[[str], bool] = lambda run_id: False
        """Whether a run is one whose parent, or its parent's, goes on here."""

    def get(self, run_id: str) -> Feed | None:
        return self._feeds.get(run_id)

    def keep(self, feed: Feed) -> Feed | None:
        """The feed that everybody reads; None where the run does not wait any more, and ``feed`` may be out of date."""
        if not self.waits(feed.run_id):
            return None
        return self._feeds.setdefault(feed.run_id, feed)

    def wake(self, feed: Feed) -> Feed:
        """The run goes on: in the feed that is being read, or in this one, which is as far."""
        return self._feeds.pop(feed.run_id, feed)

    def tell(self, run_id: str, window: Window) -> None:
        """The log of the run has more, though nobody goes on with it yet."""
        feed = self._feeds.get(run_id)
        if feed is not None:
            feed.publish(window)

    def end(self, run_id: str, last: Window) -> None:
        """The run was cancelled, and the log has its last events."""
        feed = self._feeds.pop(run_id, None)
        if feed is not None:
            feed.publish(last)

    def sweep(self) -> None:
        """Somebody goes on no more: closes the feeds of those that would wait for ever."""
        for run_id, feed in list(self._feeds.items()):
            if not self.waits(run_id):
                del self._feeds[run_id]
                feed.close(Closed.NOT_RECOVERED)

    def close(self) -> None:
        """The engine drains."""
        for feed in list(self._feeds.values()):
            feed.close(Closed.SHUTDOWN)
        self._feeds.clear()
