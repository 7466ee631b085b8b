"""Rates that several processes share: no window of a rate has more starts than it may, over all of them.

Whoever asks gets a ticket, as for slots (``slots.py``). Redis counts a start that it has granted until this process
says that the body starts, and from then on for the time of the rate.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from math import ceil
from typing import Final

from reactor.logs.redis.slots import GRANTED, Tickets
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
        self._parked: OrderedDict[StartWaiter, str] = OrderedDict()
        self._by_ticket: dict[str, StartWaiter] = {}
        self._promised: dict[StartWaiter, str] = {}
        self._early: set[str] = set()
        """Tickets that were granted, as far as is known here, before one that came before them."""
        self._timer: asyncio.TimerHandle | None = None
        """Until Redis may have a start for those that are parked: it tells nobody that time has passed."""

    def is_free_for(self, waiter: StartWaiter) -> bool:
        ticket = self._promised.get(waiter)
        return ticket is not None and self._tickets.is_current(ticket)

    def take(self, waiter: StartWaiter) -> None:
        self._tickets.tell("rate_start", self._promised.pop(waiter), self._rates)

    def park(self, waiter: StartWaiter) -> None:
        self.withdraw(waiter)  # what an earlier lease was promised
        ticket = self._tickets.next(self)
        self._parked[waiter] = ticket
        self._by_ticket[ticket] = waiter
        self._ask(ticket)

    def withdraw(self, waiter: StartWaiter) -> None:
        ticket = self._promised.pop(waiter, None) or self._parked.pop(waiter, None)
        if ticket is None:
            return
        self._by_ticket.pop(ticket, None)
        self._forget(ticket)
        self._tickets.tell("rate_give", ticket, self._rates)
        if not self._parked and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answered(self, ticket: str, answer: int) -> None:
        """``answer``: if there is no start, the milliseconds after which to ask again."""
        if answer != GRANTED:
            self._by_ticket[ticket].let_go()
            self._arm(answer / 1000)
        elif ticket in self._early or ticket == next(iter(self._parked.values())):
            self._promise(ticket)
        else:
            self._ask_before(ticket)

    def _promise(self, ticket: str) -> None:
        self._forget(ticket)
        waiter = self._by_ticket.pop(ticket)
        del self._parked[waiter]
        self._promised[waiter] = ticket
        if self._timer is None:
            self._arm(0.0)
        waiter.try_again()

    def _ask_before(self, granted: str) -> None:
        """Asks for those that came before this ticket, and then for itself: they have their starts too, but the
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
        """Asks for the starts that are waited for, in their order. Tickets of an earlier lease become new ones."""
        for waiter, ticket in list(self._parked.items()):
            if ticket.startswith(node):
                self._ask(ticket)
            else:
                self.park(waiter)

    def _ask(self, ticket: str) -> None:
        self._tickets.ask("rate_take", ticket, self._rates)

    def _arm(self, seconds: float) -> None:
        """Asks then, or at an earlier time that was set before."""
        if not self._parked:
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
        if self._parked:
            self._ask(next(iter(self._parked.values())))  # the call serves all that wait
