"""Tickets: what opens one stream where no header can be sent. A browser's EventSource has nothing but its URL.

A ticket stands in URLs, and so in the logs of proxies and in histories. Therefore it opens streams only, it must be
used soon, and while its stream is open nobody else can use it.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from heapq import heappop, heappush
from typing import Final

from reactor.bounds import MAX_TICKETS, MAX_TICKETS_OF_ONE
from reactor.errors import TooManyTickets
from reactor.events.timing import unix_seconds
from reactor.ports.access import TicketRecord
from reactor.ports.clock import Clock

PREFIX: Final = "rt_"
_SECRET_BYTES: Final = 32


def make_ticket() -> tuple[str, bytes]:
    """(a new ticket, the digest under which it is stored)."""
    ticket = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    return ticket, digest_of(ticket)


def digest_of(ticket: str) -> bytes:
    """What a ticket is stored under: it has 256 random bits, so nobody finds it by its digest."""
    return sha256(ticket.encode("utf-8", "surrogateescape")).digest()


class _Ticket:
    """A ticket, and what has become of it."""

    __slots__ = ("has_cursor", "holder", "is_used", "record")

    def __init__(self, record: TicketRecord) -> None:
        self.record = record
        self.is_used = False
        self.has_cursor = False
        """Whether a client was told what it can go on from: then it comes back with that, or not at all."""
        self.holder: str | None = None

    @property
    def until(self) -> float:
        """From when on it opens nothing any more."""
        expires = self.record.expires
        return expires if self.is_used else min(expires, self.record.redeem_until)


class MemoryTickets:
    """Implements ``TicketStore`` in memory, for one process.

    ``most``, ``most_of_one``: how many there may be, and how many of one principal.
    """

    def __init__(self, clock: Clock, most: int = MAX_TICKETS, most_of_one: int = MAX_TICKETS_OF_ONE) -> None:
        self._clock = clock
        self._most = most
        self._most_of_one = most_of_one
        self._tickets: dict[bytes, _Ticket] = {}
        self._of: dict[str, set[bytes]] = {}
        """By principal."""
        self._ends: list[tuple[float, bytes]] = []
        """A heap: when to look at a ticket again. One for each ticket, and it is never later than its end."""

    def __len__(self) -> int:
        return len(self._tickets)

    async def issue(self, ticket: TicketRecord) -> None:
        self._sweep(unix_seconds(self._clock.now().decode()))
        if ticket.digest in self._tickets:
            raise ValueError("there is a ticket of this digest already")
        mine = self._of.get(ticket.principal, ())
        if len(self._tickets) >= self._most:
            raise TooManyTickets(f"there are {self._most:,} tickets already", principal=ticket.principal)
        if len(mine) >= self._most_of_one:
            raise TooManyTickets(f"{ticket.principal} has {self._most_of_one:,} tickets", principal=ticket.principal)
        issued = self._tickets[ticket.digest] = _Ticket(ticket)
        self._of.setdefault(ticket.principal, set()).add(ticket.digest)
        heappush(self._ends, (issued.until, ticket.digest))

    async def redeem(self, digest: bytes, stream_id: str, now: float, *, again: bool) -> TicketRecord | None:
        ticket = self._tickets.get(digest)
        if ticket is None or now >= ticket.until or ticket.holder is not None:
            return None
        if ticket.has_cursor and not again:
            return None
        ticket.is_used = True
        ticket.holder = stream_id
        return ticket.record

    async def held_by(self, digest: bytes) -> str | None:
        ticket = self._tickets.get(digest)
        return None if ticket is None else ticket.holder

    async def give_back(self, digest: bytes, stream_id: str, *, has_cursor: bool = True) -> None:
        ticket = self._tickets.get(digest)
        if ticket is not None and ticket.holder == stream_id:
            ticket.holder = None
            ticket.has_cursor = ticket.has_cursor or has_cursor

    async def forget(self, principal: str) -> None:
        for digest in self._of.pop(principal, ()):
            del self._tickets[digest]  # its place in the heap goes when its time has come
        if len(self._ends) > 2 * len(self._tickets) + 1_000:
            self._ends = sorted((ticket.until, digest) for digest, ticket in self._tickets.items())

    def _sweep(self, now: float) -> None:
        """Forgets what opens nothing any more."""
        while self._ends and self._ends[0][0] <= now:
            _, digest = heappop(self._ends)
            ticket = self._tickets.get(digest)
            if ticket is None:
                continue
            if ticket.until > now:  # it was used since: it lives longer
                heappush(self._ends, (ticket.until, digest))
                continue
            del self._tickets[digest]
            mine = self._of[ticket.record.principal]
            mine.discard(digest)
            if not mine:
                del self._of[ticket.record.principal]
