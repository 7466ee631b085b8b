"""A view of a run: a pipeline of operators over its events, from the first one on, because operators may hold state.

    events ──function──filter──throttle──▶ one entry for each event that made frames

What the pipeline gives while it is given event ``seq`` is one entry with the address ``seq``. Where an entry has
several frames their ids are ``<seq>.<k>``, and the last is ``<seq>``. The same log gives the same entries, so a client
that comes back is sent exactly what is behind its cursor.

What an operator gives by a clock of its own belongs to no event. It carries no id, and a client that comes back may be
sent it twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

from reactivex import Observable
from reactivex import operators as ops
from reactivex.abc import DisposableBase, SchedulerBase
from reactivex.disposable import Disposable
from reactivex.subject import Subject

from reactor.clock import LoopScheduler, SystemClock
from reactor.events.event import Event, Message
from reactor.events.vocabulary import TERMINAL
from reactor.logger import get_logger
from reactor.operators.attached import Sink, Stage, operator_of
from reactor.operators.encode import encode
from reactor.operators.select import matcher
from reactor.operators.throttle_latest import event_flushes, event_key, throttle_latest
from reactor_web.bounds import CHANNEL_BYTES, KEPT_STATE_EVENTS
from reactor_web.dialects.framing import number, split, without_id
from reactor_web.http.query import StreamOptions
from reactor_web.streaming.pipeline.compose import NumberedFrame, beats
from reactor_web.streaming.pipeline.history import History
from reactor_web.streaming.pipeline.items import Made, make
from reactor_web.streaming.pipeline.kept import FoldStart

logger = get_logger("reactor.web")

_BEAT: Sequence[NumberedFrame] = ((0, b""),)
"""Stands for a heartbeat that is made when it leaves."""


class ViewPipeline:
    """One pipeline over one run: messages in, entries out. Loop thread only.

    ``on_entry`` is called with each entry, ``on_over`` when nothing more comes because the pipeline has completed, or
    has raised ``error``.
    """

    def __init__(
        self, run_id: str, options: StreamOptions, loop: asyncio.AbstractEventLoop, start: FoldStart | None = None
    ) -> None:
        self.dialect = options.find_dialect()
        start = start or FoldStart(self.dialect.begin(None, "resume")[0])
        self.state = start.state
        self.seq = start.seq
        """The last event that the pipeline was given."""
        self.made = list(start.made)
        """How many entries there were, and how many of the frames that came by a clock."""
        self.count = start.frames
        """How many frames there were, in a dialect that counts them."""
        self.error: Exception | None = None
        self.history = History(CHANNEL_BYTES, start.seq)
        self.opening: tuple[int, int | None, bytes] | None = None
        """The event that the last opening was made at, the id it has, and its frames."""
        self.on_entry: Callable[[NumberedFrame], None] = _nothing
        self.on_over: Callable[[], None] = _nothing
        self.on_keep: Callable[[FoldStart], int | None] | None = None
        """Called with the state now and then; returns after how many more events it is to be called again, if it is."""
        self._keep_at = start.seq + KEPT_STATE_EVENTS
        self._is_plain = options.view is None
        self._run_id = run_id
        self._has_ended = False
        self._has_source_ended = False
        self._source: Subject[Message] = Subject()
        # what the pipeline gives while it is subscribed goes with the first event
        self._group: list[Made] | None = []
        self._subscription: DisposableBase = Disposable()
        try:
            # without a scheduler: with one, ``rx.of`` in a ``flat_map`` would give its items only after the event
            self._subscription = self._compose(options, loop).subscribe(
                _on_loop(loop, self._on_made), _on_loop(loop, self._on_error), _on_loop(loop, self._end)
            )
        except (Exception, asyncio.CancelledError) as error:
            self._on_error(error)

    def _compose(self, options: StreamOptions, loop: asyncio.AbstractEventLoop) -> Observable[Made]:
        items: Any = self._source if options.view is None else options.view(self._source)
        if not isinstance(items, Observable):
            raise TypeError(f"a view must return an Observable, not {type(items).__name__}")
        matches: Callable[[Any], bool] = matcher(options.types, options.tasks, any_type=True)
        # filters come last: a dialect folds over every event, and they only decide which frames leave
        source = cast(Observable[Any], items)
        made = source.pipe(encode(self._make), _filter(matches))
        if options.throttle is None:
            return made
        period, scheduler = options.throttle / 1000, LoopScheduler(loop)
        return made.pipe(throttle_latest(period, key=_key, flushes=_flushes, scheduler=scheduler, clock=loop.time))

    @property
    def has_more(self) -> bool:
        """Whether it has seen the whole run and has not completed: its operators hold something back for a time."""
        return self._has_source_ended and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes, however the run goes on."""
        return self._has_ended and not self._group

    def push(self, messages: Sequence[Message]) -> None:
        """Gives the next messages of the run to the pipeline. What it raises ends the view and reaches nobody else."""
        for message in messages:
            if self.is_over:
                return
            self._push(message.view())

    def _push(self, message: Message) -> None:
        group = self._group = self._group or []
        self.seq = message.seq if isinstance(message, Event) else message.data.get("to", self.seq)
        try:
            self._source.on_next(message)
            if message.type in TERMINAL:
                self._has_source_ended = True
                self._source.on_completed()  # what a reduction gives at the end belongs to the last event
        except (Exception, asyncio.CancelledError) as error:  # a CancelledError of the view's own is only its failure
            self._on_error(error)
        self._group = None
        if group and (entry := self._entry(group)):
            self.made[0] += 1
            if self.dialect.info.counted:
                self.count += entry.count(b"\n\n")
            self._leave((self.seq, entry), self.seq)
        if self.on_keep is not None and self.seq >= self._keep_at:
            made = self.made[0], self.made[1]
            pause = self.on_keep(FoldStart(self.state, self.seq, made, self.count))
            if pause is None:
                self.on_keep = None
            else:
                self._keep_at = self.seq + pause
        if self._has_ended:
            self.on_over()

    def _entry(self, group: Sequence[Made]) -> bytes:
        """The frames that the last event has caused, with ids by which a client can go on after any of them."""
        frames = [made.frames for made in group]
        # as nearly always; without a view a single item has the ids of its dialect
        if len(group) == 1 and (self._is_plain or (group[0].id in (self.seq, None) and frames[0].count(b"\n\n") <= 1)):
            return frames[0]
        return number(split(b"".join(frames)), self.seq)

    def _make(self, item: object) -> Made:
        return make(item, self.dialect, self.state)

    def _on_made(self, made: Made) -> None:
        if self._group is not None:
            self._group.append(made)
        elif made.frames:
            self.made[1] += 1
            # it lies between two events: who comes back from the first is sent it, who has the second is not
            self._leave((0, without_id(made.frames)), self.seq + 1)

    def _leave(self, frame: NumberedFrame, seq: int) -> None:
        self.history.append((seq, frame[1]))
        self.on_entry(frame)

    def _on_error(self, error: BaseException) -> None:
        if self._has_ended:
            return
        self.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
        logger.error("a view broke off", run_id=self._run_id, exc_info=error)
        self._end()

    def _end(self) -> None:
        self._has_ended = True
        if self._group is None:
            self.on_over()

    def dispose(self) -> None:
        """Ends the pipeline without a word."""
        self._has_ended, self._group = True, None
        self.on_entry = self.on_over = _nothing
        self._subscription.dispose()


def compose_view(
    windows: Observable[Sequence[Message]], view: ViewPipeline, period: float, loop: asyncio.AbstractEventLoop
) -> Observable[Sequence[NumberedFrame]]:
    """The frames of a view that goes on with these windows, and a heartbeat after each silence."""
    scheduler = LoopScheduler(loop)
    frames = windows.pipe(operator_of(lambda sink: _Viewing(view, sink)))
    if not view.dialect.info.folds:
        beat = view.dialect.heartbeat(view.state, 0, "")
        return frames.pipe(beats(period, ((0, beat),), scheduler, loop.time))
    return frames.pipe(beats(period, _BEAT, scheduler, loop.time), encode(_Beats(view).encode))


class _Viewing(Stage[Sequence[Message], Sequence[NumberedFrame]]):
    """Gives windows to a view and passes on its frames, those of a window together. It ends with the view, or with the
    windows."""

    __slots__ = ("_together", "view")

    def __init__(self, view: ViewPipeline, sink: Sink[Sequence[NumberedFrame]]) -> None:
        super().__init__(sink)
        self.view = view
        self._together: list[NumberedFrame] | None = None
        view.on_entry = self._on_entry
        view.on_over = self._end

    def attach_to(self, source: Observable[Sequence[Message]], scheduler: SchedulerBase | None) -> None:
        super().attach_to(source, scheduler)
        if self.view.is_over:  # before the first event: it could not be made
            self.sink.on_completed()

    def on_next(self, window: Sequence[Message], /) -> None:
        self._together = []
        try:
            self.view.push(window)
        finally:
            self._leave()

    def _on_entry(self, frame: NumberedFrame) -> None:
        if self._together is None:  # by a clock
            self.sink.on_next((frame,))
        else:
            self._together.append(frame)

    def _leave(self) -> None:
        frames, self._together = self._together, None
        if frames:
            self.sink.on_next(frames)

    def _end(self) -> None:
        self._leave()
        self.sink.on_completed()

    def on_completed(self) -> None:
        if not self.view.has_more:  # else ``on_over`` completes
            self.sink.on_completed()

    def dispose(self) -> None:
        self.view.dispose()
        super().dispose()


class _Beats:
    """Puts the heartbeats of a dialect that counts them in the place of ``_BEAT``."""

    __slots__ = ("_clock", "_count", "_view")

    def __init__(self, view: ViewPipeline) -> None:
        self._view = view
        self._clock = SystemClock()
        self._count = 0

    def encode(self, frames: Sequence[NumberedFrame]) -> Sequence[NumberedFrame]:
        if frames is not _BEAT:
            return frames
        self._count += 1
        return ((0, self._view.dialect.heartbeat(self._view.state, self._count, self._clock.now().decode())),)


def _on_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., None]) -> Callable[..., None]:
    """The function, called on the loop. An operator with a scheduler of its own may call it on another thread."""
    loop_thread = threading.get_ident()

    def call(*arguments: Any) -> None:
        if threading.get_ident() == loop_thread:
            function(*arguments)
        else:
            loop.call_soon_threadsafe(function, *arguments)

    return call


def _filter(matches: Callable[[Any], bool]) -> Callable[[Observable[Made]], Observable[Made]]:
    def passes(made: Made) -> bool:
        return matches(made if made.message is None else made.message)

    return ops.filter(passes)


def _key(made: Made) -> object:
    return None if made.message is None else event_key(made.message)


def _flushes(made: Made) -> object:
    return None if made.message is None else event_flushes(made.message)


def _nothing(*_: object) -> None:
    """Nobody listens."""
