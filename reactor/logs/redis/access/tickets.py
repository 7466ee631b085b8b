"""``RedisTickets``: what opens a stream on any node. Those that streams of a dead node held can be used again."""

from __future__ import annotations

import asyncio
import secrets
import time
from hashlib import sha256
from typing import Any, Final

import orjson

from reactor.bounds import MAX_TICKETS, MAX_TICKETS_OF_ONE
from reactor.errors import TooManyTickets
from reactor.logs.redis.access.asking import ask, look, tell
from reactor.logs.redis.access.place import Parts, Place
from reactor.ports.access import TicketRecord

_AT_ONCE: Final = 1_000
"""Tickets that one call forgets."""


class RedisTickets:
    """Implements ``TicketStore``. Its time is that of whoever asks: the clocks of the nodes must agree within seconds.

    ``most``, ``most_of_one``: how many there may be, and how many of one principal.
    """

    def __init__(self, place: Place, most: int = MAX_TICKETS, most_of_one: int = MAX_TICKETS_OF_ONE) -> None:
        self._place = place
        self._most = most
        self._most_of_one = most_of_one
        self._held: dict[bytes, str] = {}
        """By ticket: the stream of this process that holds it."""
        self._owed: dict[bytes, tuple[str, bool]] = {}
        """By ticket: a stream that could not give it back, since there was no connection, and whether with a cursor."""

    async def issue(self, ticket: TicketRecord) -> None:
        members: dict[str, Any] = {
            "principal": ticket.principal,
            "run_id": ticket.run_id,
            "tenant": ticket.tenant,
            "redeem_until": ticket.redeem_until,
            "expires": ticket.expires,
            "runs": ticket.runs,
            "workflows": ticket.workflows,
            "filter": ticket.filter,
        }
        said = await self._place.now().calls.write(
            "ticket_issue", ticket.digest.hex(), secrets.token_hex(8), orjson.dumps(members), _name(ticket.principal),
            repr(ticket.redeem_until), repr(ticket.expires), repr(time.time()), self._most, self._most_of_one,
        )  # fmt: skip
        if said == b"THERE":
            raise ValueError("there is a ticket of this digest already")
        if said == b"FULL":
            raise TooManyTickets(f"there are {self._most:,} tickets already", principal=ticket.principal)
        if said == b"FULL OF ONE":
            raise TooManyTickets(f"{ticket.principal} has {self._most_of_one:,} tickets", principal=ticket.principal)

    async def redeem(self, digest: bytes, stream_id: str, now: float, *, again: bool) -> TicketRecord | None:
        parts = self._place.now()

        def answered(found: Any, is_wanted: bool) -> None:
            if found is None or isinstance(found, Exception):
                return
            self._held[digest] = stream_id
            if not is_wanted:
                self._give_back(parts, digest, stream_id, has_cursor=False)

        given = (digest.hex(), stream_id, parts.incarnation.id, repr(now), "1" if again else "0")
        found = await ask(parts.calls, "ticket_redeem", *given, answered=answered)
        return None if found is None else _record(digest, found)

    async def held_by(self, digest: bytes) -> str | None:
        holder = await look(self._place.now().calls, "ticket_holder", digest.hex())
        return None if holder is None else holder.decode()

    async def give_back(self, digest: bytes, stream_id: str, *, has_cursor: bool = True) -> None:
        parts = self._place.parts
        if parts is not None:  # else this node is none any more, and holds nothing
            await self._give_back(parts, digest, stream_id, has_cursor=has_cursor)

    def _give_back(self, parts: Parts, digest: bytes, stream_id: str, *, has_cursor: bool) -> asyncio.Future[None]:
        if self._held.get(digest) == stream_id:
            del self._held[digest]

        def answered(answer: Any) -> None:
            if isinstance(answer, Exception):
                self._owed[digest] = (stream_id, has_cursor)

        given = ("ticket_back", digest.hex(), stream_id, "1" if has_cursor else "0")
        return tell(parts.calls, *given, answered=answered)

    async def forget(self, principal: str) -> None:
        calls = self._place.now().calls
        while await calls.write("ticket_forget", _name(principal), _AT_ONCE):
            pass

    def came_back(self, parts: Parts) -> None:
        """This node may have counted as dead: its streams are still open. Or Redis was away when one was closed."""
        owed, self._owed = self._owed, {}
        for digest, (stream_id, has_cursor) in owed.items():
            self._give_back(parts, digest, stream_id, has_cursor=has_cursor)
        for digest, stream_id in self._held.items():
            given = ("ticket_keep", digest.hex(), stream_id, parts.incarnation.id)
            tell(parts.calls, *given, answered=lambda answer: None)  # what fails is done with the next connection

    def drop(self) -> None:
        self._held.clear()
        self._owed.clear()


def _name(principal: str) -> str:
    """What its tickets are listed under, whatever signs it has."""
    return sha256(principal.encode("utf-8", "surrogatepass")).hexdigest()


def _record(digest: bytes, found: bytes) -> TicketRecord:
    members: dict[str, Any] = orjson.loads(found)
    for name in ("runs", "workflows"):
        members[name] = None if members[name] is None else tuple(members[name])
    return TicketRecord(digest, **members)
