"""The ports for who may ask, and how much: keys, tickets, caps. Nothing in the engine uses them yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it is stored: never the key itself."""

    id: str
    digest: bytes
    """SHA-256 of the secret part."""
    name: str
    scopes: frozenset[str]
    tenant: str | None
    """None: all tenants."""
    expires: str | None
    """ISO 8601, UTC. None: never."""
    revoked: bool = False


class KeyStore(Protocol):
    """The keys of a service."""

    async def find(self, id: str) -> KeyRecord | None:
        """The key of this id, also one that is expired or revoked; None where there is none."""
        ...

    async def add(self, record: KeyRecord) -> None:
        """Stores a key. Raises ValueError where there is one of this id."""
        ...

    async def revoke(self, id: str) -> bool:
        """Marks a key as revoked; False where there is none of this id."""
        ...

    async def all(self) -> list[KeyRecord]:
        """All keys, in the order in which they were added."""
        ...


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """What a ticket opens. It is stored under the SHA-256 of the ticket."""

    digest: bytes
    principal: str
    run_id: str
    tenant: str
    redeem_until: float
    """Unix seconds: the first use comes before."""
    expires: float
    """Unix seconds: the end of what it was issued for."""


class TicketStore(Protocol):
    """The tickets that open streams."""

    async def issue(self, ticket: TicketRecord) -> None:
        """Stores a ticket. It may be forgotten after ``expires``."""
        ...

    async def redeem(self, digest: bytes, stream_id: str, now: float, *, again: bool) -> TicketRecord | None:
        """Takes the ticket for a stream; None where it does not open one.

        Of uses at the same moment one succeeds. ``again``: a reconnect, which succeeds only after a first use, and
        while no other stream holds the ticket.
        """
        ...

    async def give_back(self, digest: bytes, stream_id: str) -> None:
        """The stream is closed: the ticket may be used again by a reconnect."""
        ...


class CapCounter(Protocol):
    """Counts what is capped: open streams, starts in a second."""

    @property
    def scope(self) -> Literal["process", "global"]:
        """Whether it counts this process, or all that share the store."""
        ...

    async def take(self, cap: str, who: str, most: int, seconds: float | None = None) -> bool:
        """Counts one more under (cap, who); False, and nothing is counted, where that would be above ``most``.

        ``seconds``: it counts for so long. None: until ``give_back``.
        """
        ...

    async def give_back(self, cap: str, who: str) -> None:
        """Counts one less."""
        ...
