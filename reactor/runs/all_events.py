"""The events of all runs of a log, in the order in which they were committed.

As in the events of a tree, the cursor is a position of the log, and what comes next is read from the log by it. A run
that was deleted is told by ``stream.gap {from, to, reason: deleted}`` in place of its last window.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from reactor import bounds
from reactor.errors import LogUnavailable, UnknownRun
from reactor.events.event import Notice, Window
from reactor.events.values import named
from reactor.events.vocabulary import TERMINAL
from reactor.ports.order import Committed, PositionLost, Removed, WholeOrder
from reactor.requests import check_run_id, meta_text
from reactor.runs.open_runs import OpenRuns
from reactor.runs.positions import START, WINDOWS, Place, TreeCursor, TreeEvent, is_lost, placed
from reactor.stream.feed import Closed
from reactor.waiting import turn_of

_REMEMBERED_RUNS: Final = 10_000
"""Of so many runs a reader remembers whether it wants them; of others it looks again."""


class Selection(NamedTuple):
    """Which runs a reader wants; all of them without a condition."""

    workflow: str | None = None
    parent: str | None = None
    """The child runs of this run."""
    meta: Mapping[str, str] = {}
    """Members of the meta of a run, each with its value, or with the JSON of a value that is no string."""
    runs: tuple[str, ...] | None = None
    """These runs, also those that have not started yet."""
    admits: Callable[[str, str], bool] | None = None
    """Whether a run may be seen, by its id and the name of its workflow; None: every run may."""

    @property
    def takes_every_run(self) -> bool:
        """Of those that are named, or of all: nothing else of a run decides."""
        return self.workflow is None and self.parent is None and not self.meta and self.admits is None


def check_runs(runs: Iterable[str]) -> tuple[str, ...]:
    """The ids without repetition. Raises TypeError, InvalidRunId, and ValueError for none or too many."""
    if isinstance(runs, str):
        raise TypeError(f"runs must be a list of run ids, not {named(runs)}: [{runs[:100]!r}]")
    ids = tuple(dict.fromkeys(map(check_run_id, runs)))
    if not 1 <= len(ids) <= bounds.RUNS_AT_ONCE:
        raise ValueError(f"{len(ids):,} runs are named, but it must be 1 to {bounds.RUNS_AT_ONCE}")
    return ids


class AllEvents:
    """Reads the events of all runs from a cursor on. It never ends before its engine. Loop thread only."""

    def __init__(self, runs: OpenRuns, after: TreeCursor, selection: Selection) -> None:
        if runs.whole is None:
            raise LogUnavailable("this log does not keep the order of commits of all runs", path="")
        self._runs = runs
        self._whole: WholeOrder = runs.whole
        self._selection = selection
        self._runs_wanted = None if selection.runs is None else frozenset(selection.runs)
        self._place = Place(after, runs.clock)
        self.is_over = False
        self.status: str | None = None
        """There is no run at the top whose status it could be."""
        self.is_behind = False
        """Whether the last read was empty although there is more: none of what it has read was wanted."""
        self._found: deque[Committed | Removed] = deque()
        """What was read from the log and comes next: a hundred windows may be a hundred thousand events."""
        self._wanted: OrderedDict[str, bool] = OrderedDict()
        """Run -> whether the selection has it, of the last runs that were read."""

    @property
    def position(self) -> int:
        """Everything up to this position was read."""
        return self._place.after.position

    @property
    def closed(self) -> Closed | None:
        """``shutdown`` once the engine has closed."""
        return Closed.SHUTDOWN if self._runs.windows.is_stopped else None

    def notice(self, type: str, data: dict[str, object]) -> Notice:
        """A message of the stream itself; it is of no run."""
        return self._place.notice(type, "", data)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls ``wake`` whenever one of these runs has published something, and when the engine closes; returns what
        ends that."""
        ids = self._runs_wanted

        def published(window: Window | None) -> None:
            if ids is None or window is None or window[0].run_id in ids:
                wake()

        own = self._runs.windows.subscribe(on_next=published, on_completed=wake)
        others = self._runs.others.listen(published)

        def end() -> None:
            own.dispose()
            others()

        return end

    async def is_deleted(self) -> bool:
        """False: a log is never deleted under its engine."""
        return False

    async def begin(self) -> Notice | None:
        """To be called before the first ``read``. A cursor above all positions is no place in this log, nor is one
        whose window it has lost: everything is read from the first event on, and this ``stream.gap`` says so."""
        at, part = self._place.after
        if await is_lost(self._runs.log, self._place.after):
            return self._place.begin_anew("", "rewound")
        if at + part == 0 or await self._whole.whole(max(0, at - (part == 0)), 1):
            return None
        return self._place.begin_anew("", "ahead")

    async def read(self) -> list[TreeEvent]:
        """What comes next; empty where there is nothing more yet, or where ``is_behind`` says so.

        ``stream.gap {reason: rewound}`` where the log has lost what was read last: everything follows once more.
        """
        try:
            found = self._found = self._found or deque(await self._find())
        except PositionLost:
            return [TreeEvent(self._place.begin_anew("", "rewound"), *START)]
        turn, has_more = turn_of(asyncio.get_running_loop()), bool(found)
        events: list[TreeEvent] = []
        while found and len(events) < bounds.READ_EVENTS:
            await turn  # each may be of another run, whose first event has to be decoded for its meta
            entry = found[0]
            self._place.come_to(entry.position)
            if self._may_be_of_it(entry.run_id):
                events += await (self._removed(entry) if isinstance(entry, Removed) else self._events_of(entry))
            self._place.after = TreeCursor(entry.position)
            found.popleft()
        self.is_behind = has_more and not events
        return events

    async def _find(self) -> list[Committed | Removed]:
        """What comes next in the log; of a log that cannot look for some runs it is what comes of all."""
        if self._selection.runs is None or self._runs.of_runs is None:
            return await self._whole.whole(self.position, WINDOWS)
        return await self._runs.of_runs.of_runs(self.position, WINDOWS, runs=self._selection.runs)

    def _may_be_of_it(self, run_id: str) -> bool:
        return self._runs_wanted is None or run_id in self._runs_wanted or not run_id

    async def _events_of(self, window: Committed) -> list[TreeEvent]:
        events, gap = self._place.unseen(window)
        if window.events[-1].type in TERMINAL:
            self._place.seen_of(window.run_id, 0)  # nothing of it follows
        if not await self._is_wanted(window):
            return []
        return [*([] if gap is None else [gap]), *(placed(event, window) for event in events)]

    async def _removed(self, removed: Removed) -> list[TreeEvent]:
        """A ``stream.gap`` for what is gone and was not seen. Of a run that began before the reader's cursor nobody
        knows how much was seen: then all of it."""
        if not removed.run_id:
            if await self._are_all_there():
                return []
            data: dict[str, object] = {"from": self.position + 1, "to": removed.position, "reason": "forgotten"}
            return [TreeEvent(self.notice("stream.gap", data), removed.position, 0)]
        seen = self._place.seen_of(removed.run_id, 0)
        gone = range(seen + 1, removed.last_seq + 1)
        if not gone or not self._may_want(removed):
            return []
        gap = self._place.gap(removed.run_id, gone, removed.position, 0, "deleted")
        return [gap._replace(position=removed.position)]  # nothing else stands there

    async def _are_all_there(self) -> bool:
        """Whether runs are named, and the log has them all: then none of them is among those it has forgotten."""
        if self._selection.runs is None:
            return False
        try:
            records = [await self._runs.index.record(run_id) for run_id in self._selection.runs]
        except UnknownRun:
            return False
        admits = self._selection.admits
        return admits is None or all(admits(record.run_id, record.workflow) for record in records)

    def _may_want(self, removed: Removed) -> bool:
        """Of a deleted run the meta is not known: it may have been wanted."""
        wanted = self._selection
        if wanted.admits is not None and not wanted.admits(removed.run_id, removed.workflow):
            return False
        return wanted.workflow in (None, removed.workflow) and wanted.parent in (None, removed.parent)

    async def _is_wanted(self, window: Committed) -> bool:
        if self._selection.takes_every_run:
            return True
        known = self._wanted.get(window.run_id)
        if known is None or window.first_seq == 1:  # a new run may have the id of one that was deleted
            known = self._wanted[window.run_id] = await self._look_up(window)
            self._wanted.move_to_end(window.run_id)
            if len(self._wanted) > _REMEMBERED_RUNS:
                self._wanted.popitem(last=False)
        return known

    async def _look_up(self, window: Committed) -> bool:
        wanted = self._selection
        try:
            record = await self._runs.index.record(window.run_id)
            if wanted.admits is not None and not wanted.admits(record.run_id, record.workflow):
                return False
            is_of_it = wanted.workflow in (None, record.workflow) and wanted.parent in (None, record.parent)
            return is_of_it and (not wanted.meta or _has(await self._meta_of(window), wanted.meta))
        except UnknownRun:  # deleted since the window was read
            return wanted.admits is None or wanted.admits(window.run_id, _workflow_in(window))

    async def _meta_of(self, window: Committed) -> Mapping[str, Any]:
        first = window.events[:1] if window.first_seq == 1 else await self._runs.log.read(window.run_id, 0, 1)
        if first and first[0].seq == 1:
            return first[0].decode()["data"].get("meta") or {}
        return (await self._runs.log.base(window.run_id)).meta or {}  # its beginning was trimmed


def _workflow_in(window: Committed) -> str:
    """The workflow of a run, from its first window; of a later one nobody knows any more, so it is hidden."""
    return window.events[0].data.get("workflow", "") if window.events[0].seq == 1 else ""


def _has(meta: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    return all(name in meta and text == meta_text(meta[name]) for name, text in wanted.items())
