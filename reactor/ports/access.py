"""The ports for who may ask, and how much: keys, tickets, caps, revocations. The server uses them, no engine does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it is stored: never the key itself."""

    id: str
    """1 to 32 of A-Z a-z 0-9. It is no secret."""
    digest: bytes = field(repr=False)
    """SHA-256 of the secret part."""
    name: str
    scopes: frozenset[str]
    tenant: str | None
    """None: all tenants."""
    expires: str | None
    """ISO 8601, UTC. None: never."""
    revoked: bool = False
    runs: tuple[str, ...] | None = None
    """Patterns of run ids (``acme-*``); None: all runs."""
    workflows: tuple[str, ...] | None = None
    """Patterns of workflow names; None: all workflows."""
    created: str = ""
    """ISO 8601, UTC; empty where nobody knows."""


class KeyStore(Protocol):
    """The keys of a service. What one process adds or revokes, the others find within five seconds."""

    async def find(self, id: str) -> KeyRecord | None:
        """The key of this id, also one that is expired or revoked; None where there is none, whatever the text."""
        ...

    async def add(self, record: KeyRecord) -> None:
        """Stores a key. Raises ValueError where there is one of this id, also a revoked one."""
        ...

    async def revoke(self, id: str) -> bool:
        """Marks a key as revoked, for ever; False where there is none of this id."""
        ...

    async def all(self) -> list[KeyRecord]:
        """All keys, in the order in which they were added."""
        ...


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """What a ticket opens. It is stored under the SHA-256 of the ticket."""

    digest: bytes = field(repr=False)
    principal: str
    run_id: str
    tenant: str
    redeem_until: float
    """Unix seconds: the first use comes before."""
    expires: float
    """Unix seconds: the end of what it was issued for."""
    runs: tuple[str, ...] | None = None
    """Patterns of run ids that its holder sees; None: all."""
    workflows: tuple[str, ...] | None = None
    """Patterns of workflow names that its holder sees; None: all."""
    filter: str = ""
    """Of a ticket for the events of several runs, where ``run_id`` is empty: the query that it opens."""


class TicketStore(Protocol):
    """The tickets that open streams."""

    async def issue(self, ticket: TicketRecord) -> None:
        """Stores a ticket. Raises TooManyTickets where it has no room, ValueError where there is one of this digest.

        It is forgotten from ``expires`` on; one that was never used, from ``redeem_until`` on.
        """
        ...

    async def redeem(self, digest: bytes, stream_id: str, now: float, *, again: bool) -> TicketRecord | None:
        """Takes the ticket for a stream; None where it does not open one.

        Of uses at the same moment one succeeds. The first one is before ``redeem_until``, each further one before
        ``expires``, while no stream holds the ticket, and with ``again``: it has a cursor. Without a cursor it is a
        further use only where no stream before has said one (``give_back``).
        """
        ...

    async def held_by(self, digest: bytes) -> str | None:
        """The stream that holds the ticket; None where none does, or where there is no such ticket."""
        ...

    async def give_back(self, digest: bytes, stream_id: str, *, has_cursor: bool = True) -> None:
        """The stream is closed: the ticket may be used again by a reconnect. Nothing happens unless it holds it.

        ``has_cursor``: whether the client was told anything that it can go on from.
        """
        ...

    async def forget(self, principal: str) -> None:
        """Forgets all tickets of a principal, whose key was revoked."""
        ...


class CapCounter(Protocol):
    """Counts what is capped: open streams, starts in a second."""

    @property
    def scope(self) -> Literal["process", "global"]:
        """Whether it counts this process, or all that share the store."""
        ...

    async def take(self, cap: str, who: str, most: int, seconds: float | None = None, *, count: int = 1) -> bool:
        """Counts ``count`` more under (cap, who); False, and nothing is counted, where that would be above ``most``.

        ``seconds``: it counts for so long, or a little longer. None: until ``give_back``. One cap is always counted
        for the same time.
        """
        ...

    async def give_back(self, cap: str, who: str, *, count: int = 1) -> None:
        """Counts ``count`` less, but never fewer than nothing; of a cap with ``seconds`` the newest."""
        ...


class Revocations(Protocol):
    """Whose streams are to end, told to all processes that share the store."""

    async def revoke(self, principal: str) -> None:
        """Tells all of them that the open streams of a principal end."""
        ...

    async def revoked(self, since: str) -> tuple[str, list[str]]:
        """(the mark of now, the principals that were revoked since another one, the oldest first).

        Since an empty mark nobody was. A store keeps the last thousand at least.
        """
        ...


@dataclass(frozen=True, slots=True)
class AccessStores:
    """What the processes that share a log also share of who may ask."""

    keys: KeyStore
    tickets: TicketStore
    caps: CapCounter
    revocations: Revocations


@runtime_checkable
class SharesAccess(Protocol):
    """For a log that several processes share: a server that has no other stores takes these."""

    @property
    def access(self) -> AccessStores:
        """They can be used while the log is open."""
        ...
