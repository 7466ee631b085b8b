"""Slots that several processes share: a limit on what runs at once holds for all of them.

Whoever asks gets a ticket (``tickets.py``), which holds a slot or waits for one in Redis.
"""

from __future__ import annotations

from collections import deque

from reactor.logs.redis.tickets import GRANTED, TicketLine, Tickets
from reactor.ports.sharing import SlotWaiter


class RedisSlots:
    """Implements ``Slots``: at most ``limit`` of this name are taken at once, by all processes of the log together.

    A waiter is always parked first. Loop thread only.
    """

    def __init__(self, tickets: Tickets, name: str, limit: int) -> None:
        self._tickets = tickets
        self._name = name
        self._limit = limit
        self._line: TicketLine[SlotWaiter] = TicketLine(tickets, self, self._ask)
        self._held: deque[str] = deque()

    def acquire(self, waiter: SlotWaiter) -> bool:
        self._line.park(waiter)
        return False

    def release(self) -> None:
        self._give(self._held.popleft())

    def withdraw(self, waiter: SlotWaiter) -> None:
        ticket = self._line.leave(waiter)
        if ticket is not None:
            self._give(ticket)

    def answered(self, ticket: str, answer: int) -> None:
        if answer != GRANTED:
            self._line.of(ticket).on_waiting()
            return
        waiter = self._line.granted(ticket)
        if waiter is not None:
            self._held.append(ticket)
            waiter.on_granted()

    def ask_again(self, node: str) -> None:
        """Asks for the slots that are waited for, in their order. Tickets of an earlier lease become new ones."""
        self._line.ask_again(node, self._renew)

    def _renew(self, waiter: SlotWaiter) -> None:
        self.withdraw(waiter)
        self._line.park(waiter)

    def _ask(self, ticket: str) -> None:
        self._tickets.ask("slot_take", ticket, self._name, self._limit)

    def _give(self, ticket: str) -> None:
        self._tickets.tell("slot_give", ticket, self._name, self._limit)
