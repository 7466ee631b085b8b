"""What is said of an open run from outside its bodies: ``run.emit`` and its kin, and all that a session has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

from reactor.definition.names import TASK_NAME_RULE, did_you_mean, known_names, task_id_parts
from reactor.errors import Backpressure, InvalidEvent, UnknownTask
from reactor.events.event import Draft, task_head
from reactor.events.keyed import Emitted, Remembered, tail_of
from reactor.runs.crew import Crew
from reactor.runs.host import Host
from reactor.runs.idle import Idle
from reactor.runs.journal import Journal
from reactor.runs.spending import Spending
from reactor.supervision.ending import Closing, EndReason
from reactor.tasks.actor import Actor
from reactor.waiting import READY, turn_of


class Named(NamedTuple):
    """The run itself, or a name in a session."""

    name: str | None = None
    head: bytes = b""
    task_id: None = None
    """Spending counts by the tasks of the graph. A session has none: its names are free, and so without number."""

    def draft(self, type: str, data: bytes) -> Draft:
        return Draft(type, data, self.name, self.head)


class Outside:
    """The outside of one open run. Loop thread only.

    The drafts of a session go into its one source; those of a run with tasks are written beside theirs. ``idle``: the
    seconds of silence after which a session is closed.
    """

    def __init__(self, host: Host, journal: Journal, crew: Crew, spending: Spending, idle: float | None) -> None:
        self._loop = host.loop
        self._turn = turn_of(host.loop)
        self._journal = journal
        self._crew = crew
        self._spending = spending
        self._is_session = crew.outside is not None
        self._write = journal.write if crew.outside is None else crew.outside.on_next
        self._idle = None if idle is None else Idle(idle, host.clock, self._close_idle)
        self.closing: Closing | None = None
        """How a session was closed."""
        self.was_heard = False
        """Something was said: a drain waits until it is in the log, for nobody would say it again."""
        self._pending: dict[str, Remembered] = {}
        """The keys of events that are not in the log yet. The state has the others."""
        self._owing: WeakKeyDictionary[object, _Owed] = WeakKeyDictionary()
        """By asyncio task: the last wait for room that it was given and has not awaited."""

    def begin(self, silent: float = 0.0) -> None:
        """The run is open. ``silent``: for how many seconds nothing was said in a session before."""
        if self._idle is not None:
            self._idle.begin(silent)

    def leave(self) -> None:
        """The run is over, or goes on elsewhere."""
        if self._idle is not None:
            self._idle.stop()

    def close(self, closing: Closing) -> None:
        """Ends a session."""
        self.closing = closing
        self._crew.end_outside()

    def _close_idle(self) -> None:
        message = "" if self._idle is None else f"nothing was said for {self._idle.seconds:g} seconds"
        self.close(Closing("failed", error={"type": "SessionIdle", "message": message}, reason=EndReason.IDLE))

    # --- who speaks ---

    def speaker(self, task_id: str | None) -> Actor | Named:
        """Who an event is about. Raises UnknownTask; in a session InvalidEvent, for a name that cannot be one."""
        if task_id is None:
            return Named()
        ids = {"run_id": self._journal.run_id, "task_id": task_id}
        if self._is_session:
            if (parts := task_id_parts(task_id)) is None:
                raise InvalidEvent(
                    f"run {ids['run_id']}: {task_id!r:.100} cannot be the task of an event: a name is "
                    f"{TASK_NAME_RULE}, and perhaps an index, as in read[3]",
                    **ids,
                )
            return Named(task_id, task_head(task_id, *parts, 0))
        if (actor := self._crew.find(task_id)) is not None:
            return actor
        names = self._crew.actors
        hint = did_you_mean(task_id, names) or f"; its tasks are {known_names(names)}"
        raise UnknownTask(f"run {ids['run_id']} has no task {task_id!r:.100}{hint}", **ids)

    # --- saying ---

    def check_caller(self, what: str) -> None:
        """Raises RuntimeError off the loop, and Backpressure for who emits on and on and awaits nothing."""
        try:
            is_on_loop = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_on_loop = False
        if not is_on_loop:
            raise RuntimeError(
                f"{what} is called on the event loop of its engine; in a thread: loop.call_soon_threadsafe({what}, ...)"
            )
        if self._journal.is_crowded and self._caller in self._owing:
            run_id = self._journal.run_id
            sentence = f"run {run_id}: it emits faster than the log takes events; await {what}(...)"
            raise Backpressure(sentence, run_id=run_id)

    def emit(self, events: Sequence[Emitted], key: str | None, digest: str) -> list[int]:
        """Appends events, all of them; returns their seqs. Raises what ``speaker`` raises, and then appends none."""
        tail = b"" if key is None else tail_of(key, digest)
        drafts = [self.speaker(task_id).draft(type, data)._replace(tail=tail) for type, task_id, data in events]
        first = self._journal.last_written + 1
        for draft in drafts:
            self._write(draft)
        last = self._journal.last_written
        if key is not None and drafts:
            self._forget_committed()
            before = self.remembered(key)
            self._pending[key] = [digest, *([] if before is None else before[1:]), [first, last]]
        self.heard()
        return list(range(first, last + 1))

    def spend(self, task_id: str | None, cost: Decimal, tokens: int) -> None:
        speaker = self.speaker(task_id)
        self.heard()
        self._spending.spend(speaker, cost, tokens, "spend")

    def heard(self) -> None:
        """Something is said now."""
        self.was_heard = True
        if self._idle is not None:
            self._idle.heard()

    # --- keys ---

    def remembered(self, key: str) -> Remembered | None:
        """What was emitted under a key, in the log or on its way there."""
        pending = self._pending.get(key)
        return pending or (self._journal.feed.state.remembered or {}).get(key)

    def _forget_committed(self) -> None:
        """They are in the state by now. The oldest come first, and no more wait than the window holds."""
        last = self._journal.feed.last_seq
        while self._pending and next(iter(self._pending.values()))[-1][1] <= last:
            del self._pending[next(iter(self._pending))]

    # --- backpressure ---

    def room(self) -> Awaitable[None]:
        """An awaitable that is done once the window has room, and where others may run before the next call."""
        room = self._journal.wait_for_room()
        if room is READY:
            if self._owing:
                self._owing.pop(self._caller, None)
            return self._turn
        caller = self._caller
        owed = self._owing[caller] = _Owed(self, room, ref(caller))
        return owed

    @property
    def _caller(self) -> object:
        return asyncio.current_task() or self

    def paid(self, owed: _Owed) -> None:
        """Somebody awaits it."""
        caller = owed.caller()
        if caller is not None and self._owing.get(caller) is owed:
            del self._owing[caller]


class _Owed:
    """The wait for room of one call, which remembers whether it is awaited."""

    __slots__ = ("__weakref__", "_outside", "_room", "caller")

    def __init__(self, outside: Outside, room: Awaitable[None], caller: ref[object]) -> None:
        self.caller = caller
        self._outside = outside
        self._room = room

    def __await__(self) -> Generator[Any, None, None]:
        self._outside.paid(self)
        yield from self._room.__await__()
