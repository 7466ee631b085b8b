from __future__ import annotations

from collections.abc import Callable

from reactivex import Observable
from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

from reactor.events.event import Message, Notice
from reactor.events.fold import evolve
from reactor.events.state import RunState


def to_state(run_id: str | None = None) -> Callable[[Observable[Message]], Observable[RunState]]:
    """The state of the run after each of its events: a ``scan`` with ``evolve``.

        source  --e1-----e2--gap--e3-----|
                    to_state()
        result  --s(1)---s(2)-----s(3)---|

    Every emitted state is the *same* object, changed in place, because copying 50,000 tasks for each event would cost
    more than the run. Read what you need at once, or keep ``state.to_dict()``. Each subscription has its own state.
    Messages without a seq (``stream.gap``) are ignored. If the source carries several runs, ``run_id`` picks one; the
    default is the run of the first event. An exception in ``evolve`` becomes an ``on_error``.

        >>> from reactivex import from_iterable
        >>> from reactor.events.event import Draft, Event
        >>> cancelling = Draft("run.cancelling", b'{"reason":"asked","by":"me"}')
        >>> event = Event.from_draft(1, "r", b"2026-11-21T02:51:00.000000Z", cancelling)
        >>> from_iterable([event]).pipe(to_state()).subscribe(lambda state: print(state.status, state.reason)).dispose()
        cancelling asked
    """

    def operator(source: Observable[Message]) -> Observable[RunState]:
        def subscribe(observer: ObserverBase[RunState], scheduler: SchedulerBase | None = None) -> DisposableBase:
            state: RunState | None = None

            def on_next(message: Message) -> None:
                nonlocal state
                if isinstance(message, Notice) or (run_id is not None and message.run_id != run_id):
                    return
                try:
                    state = evolve(RunState(message.run_id) if state is None else state, message)
                except Exception as error:
                    observer.on_error(error)
                else:
                    observer.on_next(state)

            return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

        return Observable(subscribe)

    return operator
