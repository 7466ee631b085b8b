"""Slots that several processes share: a limit on what runs at once holds for all of them.

Whoever asks gets a ticket, which holds a slot or waits for one in Redis. A process is told of its tickets on a channel
of its own; it also asks again now and then, so that what was said while its connection was broken is not lost. Tickets
of a process whose lease is over count no more.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Any, Final, Protocol

from reactor.errors import LogUnavailable
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.lease import PARTS, Incarnation
from reactor.logs.redis.relay import Relay
from reactor.logs.redis.wire import Part
from reactor.ports.sharing import SlotWaiter

GRANTED: Final = 0
"""What Redis answers where a ticket has what it asks for."""


class RedisSlots:
    """Implements ``Slots``: at most ``limit`` of this name are taken at once, by all processes of the log together.

    A waiter is always parked first. Loop thread only.
    """

    def __init__(self, tickets: Tickets, name: str, limit: int) -> None:
        self._tickets = tickets
        self._name = name
        self._limit = limit
        self._parked: OrderedDict[SlotWaiter, str] = OrderedDict()
        self._by_ticket: dict[str, SlotWaiter] = {}
        self._early: set[str] = set()
        """Tickets that were granted, as far as is known here, before one that came before them."""
        self._held: deque[str] = deque()

    def acquire(self, waiter: SlotWaiter) -> bool:
        self._park(waiter)
        return False

    def release(self) -> None:
        self._give(self._held.popleft())

    def withdraw(self, waiter: SlotWaiter) -> None:
        ticket = self._parked.pop(waiter, None)
        if ticket is not None:
            del self._by_ticket[ticket]
            self._forget(ticket)
            self._give(ticket)

    def answered(self, ticket: str, answer: int) -> None:
        if answer != GRANTED:
            self._by_ticket[ticket].on_waiting()
        elif ticket in self._early or ticket == next(iter(self._parked.values())):
            self._grant(ticket)
        else:
            self._ask_before(ticket)

    def _grant(self, ticket: str) -> None:
        self._forget(ticket)
        waiter = self._by_ticket.pop(ticket)
        del self._parked[waiter]
        self._held.append(ticket)
        waiter.on_granted()

    def _ask_before(self, granted: str) -> None:
        """Asks for those that came before this ticket, and then for itself: they have their slots too, but the
        connection that tells of them is another one, and slower."""
        self._early.add(granted)
        for ticket in self._parked.values():
            self._ask(ticket)
            if ticket == granted:
                return

    def _forget(self, ticket: str) -> None:
        self._early.discard(ticket)
        self._tickets.forget(ticket)

    def ask_again(self, node: str) -> None:
        """Asks for the slots that are waited for, in their order. Tickets of an earlier lease become new ones."""
        for waiter, ticket in list(self._parked.items()):
            if ticket.startswith(node):
                self._ask(ticket)
            else:
                self.withdraw(waiter)
                self._park(waiter)

    def _park(self, waiter: SlotWaiter) -> None:
        ticket = self._tickets.next(self)
        self._parked[waiter] = ticket
        self._by_ticket[ticket] = waiter
        self._ask(ticket)

    def _ask(self, ticket: str) -> None:
        self._tickets.ask("slot_take", ticket, self._name, self._limit)

    def _give(self, ticket: str) -> None:
        self._tickets.tell("slot_give", ticket, self._name, self._limit)


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
