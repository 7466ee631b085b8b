"""Rates that several processes share: no window of a rate has more starts than it may, over all of them.

Whoever asks gets a ticket, as for slots (``tickets.py``). Redis counts a start that it has granted until this process
says that the body starts, and from then on for the time of the rate.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from math import ceil
from typing import Final

from reactor.logs.redis.tickets import GRANTED, TicketLine, Tickets
from reactor.ports.sharing import NamedRate, StartWaiter

SHORTEST_SECONDS: Final = 0.001
"""Before it is asked again whether a start is free."""


class RedisStarts:
    """Implements ``Starts``: each is a start of all of these rates, by all processes of the log together.

    A waiter is always parked first, and is told to let go once Redis says that it waits. Loop thread only.
    """

    def __init__(self, tickets: Tickets, rates: Sequence[NamedRate]) -> None:
        self._tickets = tickets
        self._rates = json.dumps([(rate.name, rate.amount, ceil(rate.per * 1000)) for rate in rates])
        self._line: TicketLine[StartWaiter] = TicketLine(tickets, self, self._ask)
        self._promised: dict[StartWaiter, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        """Until Redis may have a start for those that are parked: it tells nobody that time has passed."""

    def is_free_for(self, waiter: StartWaiter) -> bool:
        ticket = self._promised.get(waiter)
        return ticket is not None and self._tickets.is_current(ticket)

    def take(self, waiter: StartWaiter) -> None:
        self._tickets.tell("rate_start", self._promised.pop(waiter), self._rates)

    def park(self, waiter: StartWaiter) -> None:
        self.withdraw(waiter)  # what an earlier lease was promised
        self._line.park(waiter)

    def withdraw(self, waiter: StartWaiter) -> None:
        ticket = self._promised.pop(waiter, None) or self._line.leave(waiter)
        if ticket is None:
            return
        self._tickets.tell("rate_give", ticket, self._rates)
        if not self._line and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answered(self, ticket: str, answer: int) -> None:
        """``answer``: if there is no start, the milliseconds after which to ask again."""
        if answer != GRANTED:
            self._line.of(ticket).let_go()
            self._arm(answer / 1000)
            return
        waiter = self._line.granted(ticket)
        if waiter is not None:
            self._promised[waiter] = ticket
            if self._timer is None:
                self._arm(0.0)
            waiter.try_again()

    def ask_again(self, node: str) -> None:
        """Asks for the starts that are waited for, in their order. Tickets of an earlier lease become new ones."""
        self._line.ask_again(node, self.park)

    def _ask(self, ticket: str) -> None:
        self._tickets.ask("rate_take", ticket, self._rates)

    def _arm(self, seconds: float) -> None:
        """Asks then, or at an earlier time that was set before."""
        if not self._line:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, SHORTEST_SECONDS)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._on_due)

    def _on_due(self) -> None:
        self._timer = None
        if self._line:
            self._ask(self._line.first)  # the call serves all that wait
