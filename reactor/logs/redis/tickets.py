"""Tickets: how what is limited is asked for, where several processes share it.

Whoever asks gets a ticket, which has what it asks for or waits for it in Redis. A process is told of its tickets on a
channel of its own; it also asks again now and then, so that what was said while its connection was broken is not lost.
Tickets of a process whose lease is over count no more.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from reactor.errors import LogUnavailable
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.lease import PARTS, Incarnation
from reactor.logs.redis.relay import Relay
from reactor.logs.redis.wire import Part

W = TypeVar("W")

GRANTED: Final = 0
"""What Redis answers where a ticket has what it asks for."""


class Asker(Protocol):
    """Whose ticket it is."""

    def answered(self, ticket: str, answer: int) -> None:
        """What Redis says of a ticket that waits: ``GRANTED``, or anything else. It may say so twice."""
        ...

    def ask_again(self, node: str) -> None:
        """What was said may have been lost. ``node``: whose tickets count."""
        ...


class Tickets:
    """The tickets of one open log."""

    def __init__(self, calls: Calls, incarnation: Incarnation, relay: Relay) -> None:
        self._calls = calls
        self._incarnation = incarnation
        self._relay = relay
        self._count = 0
        self._waiting: dict[str, Asker] = {}
        """By ticket: who waits with it."""
        self._owed: list[tuple[str, str, tuple[Part, ...]]] = []
        """What could not be told: there was no connection."""
        self._asking: asyncio.Task[None] | None = None

    def next(self, asker: Asker) -> str:
        """A new ticket."""
        self._count += 1
        ticket = f"{self._incarnation.id}:{self._count}"
        self._waiting[ticket] = asker
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
        return ticket

    def forget(self, ticket: str) -> None:
        """Nobody waits with it any more."""
        self._waiting.pop(ticket, None)

    def is_current(self, ticket: str) -> bool:
        """Whether it counts still: the lease in which it was made goes on."""
        return ticket.startswith(self._incarnation.id)

    def ask(self, function: str, ticket: str, *parts: Part) -> None:
        """Asks for what the ticket waits for. Where there is no answer it is asked again later."""

        def answered(answer: Any) -> None:
            asker = self._waiting.get(ticket)
            if asker is not None and not isinstance(answer, Exception):
                asker.answered(ticket, answer)

        self._calls.writes.call(self._calls.names.call(function, ticket, *parts), answered)

    def tell(self, function: str, ticket: str, *parts: Part) -> None:
        """Says what became of a ticket, as soon as there is a connection."""

        def told(answer: Any) -> None:
            if isinstance(answer, Exception):
                self._owed.append((function, ticket, parts))

        self._calls.writes.call(self._calls.names.call(function, ticket, *parts), told)

    async def close(self) -> None:
        """Asks for nothing more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> None:
        """Listens for what is granted, and asks again now and then: also for what was told to nobody."""
        stop, heard = None, ""
        while True:
            node = self._incarnation.id
            if heard != node:
                if stop is not None:
                    stop()
                try:
                    stop = await self._relay.hear(self._calls.names.node_channel(node), self._told)
                    heard = node
                except LogUnavailable:  # others say so; it is tried again
                    stop, heard = None, ""
            self._ask_again()
            await asyncio.sleep(self._incarnation.seconds / PARTS)

    def _told(self, data: bytes) -> None:
        kind, _, ticket = data.decode().partition(" ")
        asker = self._waiting.get(ticket)
        if kind == "slot" and asker is not None:
            asker.answered(ticket, GRANTED)

    def _ask_again(self) -> None:
        owed, self._owed = self._owed, []
        for function, ticket, parts in owed:
            self.tell(function, ticket, *parts)
        for asker in set(self._waiting.values()):
            asker.ask_again(self._incarnation.id)


class TicketLine(Generic[W]):
    """Who waits for one thing in this process, in the order in which they came. Loop thread only.

    ``ask``: asks Redis for a ticket.
    """

    def __init__(self, tickets: Tickets, asker: Asker, ask: Callable[[str], None]) -> None:
        self._tickets = tickets
        self._asker = asker
        self._ask = ask
        self._parked: OrderedDict[W, str] = OrderedDict()
        self._by_ticket: dict[str, W] = {}
        self._early: set[str] = set()
        """Tickets that were granted, as far as is known here, before one that came before them."""

    def __bool__(self) -> bool:
        return bool(self._parked)

    @property
    def first(self) -> str:
        """The ticket of who waits the longest."""
        return next(iter(self._parked.values()))

    def of(self, ticket: str) -> W:
        """Who waits with a ticket."""
        return self._by_ticket[ticket]

    def park(self, waiter: W) -> None:
        """Puts somebody at the end, with a new ticket."""
        ticket = self._tickets.next(self._asker)
        self._parked[waiter] = ticket
        self._by_ticket[ticket] = waiter
        self._ask(ticket)

    def leave(self, waiter: W) -> str | None:
        """Takes somebody out; returns the ticket, None for who does not wait."""
        ticket = self._parked.pop(waiter, None)
        if ticket is not None:
            del self._by_ticket[ticket]
            self._early.discard(ticket)
            self._tickets.forget(ticket)
        return ticket

    def granted(self, ticket: str) -> W | None:
        """Who is served now, and waits no more; None where others came before, and are asked for first.

        They have it too, but the connection that tells of them is another one, and slower.
        """
        if ticket in self._early or ticket == self.first:
            waiter = self._by_ticket[ticket]
            self.leave(waiter)
            return waiter
        self._early.add(ticket)
        for parked in self._parked.values():
            self._ask(parked)
            if parked == ticket:
                break
        return None

    def ask_again(self, node: str, renew: Callable[[W], None]) -> None:
        """Asks for all, in their order. ``renew`` parks anew who has a ticket of an earlier lease, and those behind."""
        is_stale = False
        for waiter, ticket in list(self._parked.items()):
            is_stale = is_stale or not ticket.startswith(node)
            if is_stale:
                renew(waiter)
            else:
                self._ask(ticket)
