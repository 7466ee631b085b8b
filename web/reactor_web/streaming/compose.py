"""The live pipeline of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from reactivex import Observable
from reactivex.abc import SchedulerBase

from reactor.clock import LoopScheduler
from reactor.events.event import Control, Event, Message
from reactor.operators.encode import encode
from reactor.operators.heartbeat import heartbeat
from reactor.operators.select import select
from reactor.operators.throttle_latest import event_flushes, event_key, throttle_latest
from reactor.operators.unwindow import unwindow
from reactor_web.http.query import StreamOptions
from reactor_web.sse import frames as sse


class Late(NamedTuple):
    """A held progress event that leaves after others: its frame carries no id, because ids only grow."""

    event: Message


def compose(
    windows: Observable[Sequence[Event]], options: StreamOptions, loop: asyncio.AbstractEventLoop
) -> Observable[Frame]:
    """The live pipeline of a stream."""
    scheduler = LoopScheduler(loop)
    return windows.pipe(
        unwindow(),
        select(options.types, options.tasks),
        throttled(options.throttle, scheduler, loop.time),
        encode(Encoder().encode),
        heartbeat(options.heartbeat, (0, sse.HEARTBEAT), scheduler=scheduler, clock=loop.time),
    )


def throttled(
    period_ms: float | None, scheduler: SchedulerBase, clock: Callable[[], float]
) -> Callable[[Observable[Message]], Observable[Message | Late]]:
    """``throttle_latest`` for what is progress only, or nothing at all."""
    if period_ms is None:
        return _unthrottled
    return throttle_latest(period_ms / 1000, key=_key, flushes=_flushes, late=_late, scheduler=scheduler, clock=clock)


def _unthrottled(source: Observable[Message]) -> Observable[Message | Late]:
    return source


def _key(item: Message | Late) -> object:
    return event_key(item.event if isinstance(item, Late) else item)


def _flushes(item: Message | Late) -> object:
    return event_flushes(item.event if isinstance(item, Late) else item)


def _late(item: Message | Late) -> Message | Late:
    return item if isinstance(item, Late) else Late(item)


def framed(item: Message | Late) -> Frame:
    """The bytes that were made for the log, with an id unless it leaves late."""
    message = item.event if isinstance(item, Late) else item
    if isinstance(message, Control):
        return 0, sse.control_frame(message)
    return message.seq, sse.frame_without_id(message) if isinstance(item, Late) else sse.frame(message)


class Encoder:
    """Encodes what one pipeline sends: a late frame keeps its id where ids still grow with it.

    Without one, a client that reconnects would be given it again.
    """

    def __init__(self) -> None:
        self._last_id = 0

    def encode(self, item: Message | Late) -> Frame:
        if isinstance(item, Late) and isinstance(item.event, Event) and item.event.seq > self._last_id:
            item = item.event
        if isinstance(item, Event):
            self._last_id = seq = item.seq
            return seq, sse.frame(item)
        return framed(item)


Frame: TypeAlias = tuple[int, bytes]
"""(seq of the event, 0 where it has none; its bytes on the wire). A plain tuple: one is made for each event."""
