"""What one open run writes: drafts are numbered and committed, then published; one terminal event seals it."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable

from reactor import bounds
from reactor.errors import RunNotHere, Unanswered
from reactor.events.event import Draft, Window
from reactor.listeners import RunInfo
from reactor.logger import get_logger
from reactor.operators.buffer_window import Room
from reactor.ports.tracing import RunTrace
from reactor.runs.commits import Commits
from reactor.runs.host import Host
from reactor.stream.feed import Closed, Feed
from reactor.stream.pipeline import Pipeline

logger = get_logger()


class Journal:
    """The pipeline of a run into its log and its feed. Loop thread only.

    - ``trace`` is told of each window before anybody sees it.
    - ``published(window)`` is called with each window once everybody may see it.
    - ``stop_bodies()`` is called where the run cannot go on here, before the journal closes.
    - ``closed()`` is called once: after the terminal event was published, or when the run cannot go on here.
    """

    def __init__(
        self,
        host: Host,
        feed: Feed,
        about: RunInfo,
        *,
        trace: RunTrace | None = None,
        published: Callable[[Window], None],
        stop_bodies: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        self.run_id = feed.run_id
        self.feed = feed
        self.last_written = feed.last_seq
        """The seq of the last draft that was written, in the log or not."""
        self.is_sealed = False
        """The terminal event is written, though maybe not in the log yet."""
        self.lost_with: Exception | None = None
        """Why the log did not take a window."""
        self.has_left = False
        """Another process may execute the run now: it goes on in the same feed."""
        self._left_at = 0
        """The last seq that was committed here then."""
        self.commits = Commits(feed, host.loop)
        self._trace = trace
        self._published = published
        self._stop_bodies = stop_bodies
        self._closed = closed
        self._pipeline = Pipeline(
            feed.run_id, host.log, host.clock, host.scheduler, publish=self._publish, lost=self.lose,
            room=Room(host.window), last_seq=feed.last_seq, append_timeout=host.append_timeout,
            listeners=host.listeners, about=about,
        )  # fmt: skip

    # --- writing ---

    def write(self, draft: Draft) -> None:
        self.last_written += 1
        self._pipeline.write(draft)

    def seal(self, terminal: Draft) -> None:
        """Writes the terminal event. Nothing after it gets a number."""
        self.is_sealed = True
        self.write(terminal)

    # --- the window ---

    @property
    def room(self) -> Room:
        """The room in the window: what is ready waits for it."""
        return self._pipeline.room

    @property
    def is_crowded(self) -> bool:
        return self._pipeline.room.crowded

    def wait_for_room(self) -> Awaitable[None]:
        return self._pipeline.wait()

    def committed(self) -> Awaitable[None]:
        """Done when everything written so far is in the log."""
        return self.commits.upto(self.last_written)

    def answered(self) -> Future[int]:
        """Done when the log has answered the last append, whatever it says."""
        return self._pipeline.answered()

    @property
    def append_since(self) -> float | None:
        """Since when the log is waited for, by the clock of the engine; None where nothing is being appended."""
        return self._pipeline.append_since

    async def started(self) -> None:
        """Done when ``run.started`` is in the log; raises LogLost where it never will be."""
        while self.feed.last_seq == 0 and self.lost_with is None and not self.has_left:
            await self.commits.next()
        if self.feed.last_seq == 0:
            self.check_kept()

    def check_kept(self) -> None:
        """Raises what says that nobody knows whether all that was written is in the log."""
        if self.lost_with is not None:
            raise self.lost_with
        if self.has_left and self.last_written > self._left_at:
            raise Unanswered.of(self.run_id)

    async def has_kept(self, seq: int) -> bool:
        """Whether an event that was written before the run was left to another process is in the log.

        Raises Unanswered where nobody knows.
        """
        if seq <= self._left_at or seq > self._pipeline.last_given:
            return seq <= self._left_at
        answer = self._pipeline.answered()
        await asyncio.wait({answer}, timeout=bounds.COMMAND_SECONDS)
        if not answer.done() or answer.cancelled():
            raise Unanswered.of(self.run_id)
        error = answer.exception()
        if error is not None and not isinstance(error, RunNotHere):
            raise Unanswered.of(self.run_id) from error
        return error is None

    def _publish(self, window: Window) -> None:
        if self._trace is not None:
            self._trace.committed(window)
        self.feed.publish(window)
        self._published(window)
        self.commits.published()
        if self.feed.closed:
            self._close()

    # --- its end ---

    @property
    def is_closed(self) -> bool:
        """Nothing more is written or published here."""
        return self.feed.closed is not None or self.has_left

    def lose(self, error: Exception, *, is_told: bool = False) -> None:
        """The log lost a window: this execution ends. Nothing that is not in the log is published.

        ``is_told``: whoever calls has said so of all runs in one line.
        """
        if self.is_closed:
            return
        if not is_told:
            logger.error("run lost, its log failed", run_id=self.run_id, error=str(error))
        self.lost_with = error
        self._leave(Closed.LOG)

    def suspend(self) -> None:
        """Leaves the run as its log has it, for the next start of an engine."""
        if not self.is_closed:
            self._leave(Closed.SHUTDOWN)

    def hand_over(self) -> None:
        """Leaves the run to another process. Whoever follows it stays in the feed, which is not closed."""
        if not self.is_closed:
            self.has_left, self._left_at = True, self.feed.last_seq
            self._leave(None)

    def _leave(self, reason: Closed | None) -> None:
        self._stop_bodies()
        self._pipeline.dispose()
        if reason is not None:
            self.feed.close(reason)
        self._close()

    def _close(self) -> None:
        self.commits.close()
        self._closed()
