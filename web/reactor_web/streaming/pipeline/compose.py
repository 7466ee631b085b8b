"""The live pipeline of one set of stream options: windows of events in, frames out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from reactivex import Observable
from reactivex.abc import SchedulerBase

from reactor.clock import LoopScheduler
from reactor.events.event import Event, Message
from reactor.operators.attached import Sink, Stage, operator_of
from reactor.operators.encode import encode
from reactor.operators.heartbeat import heartbeat
from reactor.operators.select import matcher, select
from reactor.operators.throttle_latest import event_flushes, event_key, throttle_latest
from reactor.operators.unwindow import unwindow
from reactor_web.dialects import Dialect
from reactor_web.dialects.framing import without_id
from reactor_web.http.query import StreamOptions

NumberedFrame: TypeAlias = tuple[int, bytes]
"""(seq of the event, or 0 for a frame without one; the frame). A plain tuple, because one is made for each event."""


class Late(NamedTuple):
    """A progress event that a throttle held back, and that leaves after later events."""

    event: Message


def compose(
    windows: Observable[Sequence[Message]], options: StreamOptions, dialect: Dialect, loop: asyncio.AbstractEventLoop
) -> Observable[Sequence[NumberedFrame]]:
    """The frames of what ``options`` ask for, in a dialect that does not fold, and a heartbeat after each silence.

    Without a throttle a window goes through as a whole: what an event costs here is what it costs the run.
    """
    scheduler = LoopScheduler(loop)
    encoder = Encoder(dialect)
    beat = beats(options.heartbeat, ((0, dialect.heartbeat(None, 0, "")),), scheduler, loop.time)
    if options.throttle is None:
        matches = None if options.types is options.tasks is None else matcher(options.types, options.tasks)
        return windows.pipe(operator_of(lambda sink: _EncodingWindows(encoder, matches, sink)), beat)
    return windows.pipe(
        unwindow(),
        select(options.types, options.tasks),
        throttle(options.throttle, scheduler, loop.time),
        encode(encoder.encode_one),
        beat,
    )


def beats(
    period: float, beat: Sequence[NumberedFrame], scheduler: SchedulerBase, clock: Callable[[], float]
) -> Callable[[Observable[Sequence[NumberedFrame]]], Observable[Sequence[NumberedFrame]]]:
    """``heartbeat``, or no operator at all for a period of 0."""
    if not period:
        return _pass_all
    return heartbeat(period, beat, scheduler=scheduler, clock=clock)


def throttle(
    period_ms: float | None, scheduler: SchedulerBase, clock: Callable[[], float]
) -> Callable[[Observable[Message]], Observable[Message | Late]]:
    """``throttle_latest`` of progress events, or no operator at all without a period."""
    if period_ms is None:
        return _pass_all
    return throttle_latest(period_ms / 1000, key=_key, flushes=_flushes, late=_late, scheduler=scheduler, clock=clock)


def _pass_all(source: Observable[Any]) -> Observable[Any]:
    return source


def _key(item: Message | Late) -> object:
    return event_key(item.event if isinstance(item, Late) else item)


def _flushes(item: Message | Late) -> object:
    return event_flushes(item.event if isinstance(item, Late) else item)


def _late(item: Message | Late) -> Message | Late:
    return item if isinstance(item, Late) else Late(item)


class Encoder:
    """Makes the frames of one pipeline. Ids on the wire only grow, so a late event gets one only if it still is larger.

    Late events cannot simply go without: a client that reconnects would then be sent the last of them again.
    """

    __slots__ = ("_last_id", "_notice", "_step")

    def __init__(self, dialect: Dialect) -> None:
        self._step = dialect.step
        self._notice = dialect.notice
        self._last_id = 0

    def encode_window(self, messages: Iterable[Message]) -> list[NumberedFrame]:
        """The frames of messages in their order, none of them late."""
        step, notice = self._step, self._notice
        return [
            (message.seq, step(None, message)) if isinstance(message, Event) else (0, notice(None, message))
            for message in messages
        ]

    def encode_one(self, item: Message | Late) -> Sequence[NumberedFrame]:
        return (self.encode(item),)

    def encode(self, item: Message | Late) -> NumberedFrame:
        if isinstance(item, Late):
            item = item.event
            if isinstance(item, Event) and item.seq <= self._last_id:
                return item.seq, without_id(self._step(None, item))
        if isinstance(item, Event):
            self._last_id = seq = item.seq
            return seq, self._step(None, item)
        return 0, self._notice(None, item)


class _EncodingWindows(Stage[Sequence[Message], Sequence[NumberedFrame]]):
    """The frames of what matches in each window. A window of which nothing does gives nothing."""

    __slots__ = ("_encoder", "_matches")

    def __init__(
        self, encoder: Encoder, matches: Callable[[Message], bool] | None, sink: Sink[Sequence[NumberedFrame]]
    ) -> None:
        super().__init__(sink)
        self._encoder = encoder
        self._matches = matches

    def on_next(self, window: Sequence[Message], /) -> None:
        if self.is_disposed:
            return
        try:
            frames = self._encoder.encode_window(window if self._matches is None else filter(self._matches, window))
        except Exception as error:
            self.dispose()
            self.sink.on_error(error)
            return
        if frames:
            self.sink.on_next(frames)
