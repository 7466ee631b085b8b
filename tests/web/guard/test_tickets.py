"""Tickets: they open one stream, soon, and nobody else while it is open; the store stays small."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from reactor.errors import TooManyTickets
from reactor.events.timing import unix_seconds
from reactor.ports.access import TicketStore
from reactor.testing import TICKET_LAWS, VirtualClock
from reactor.testing.access_laws import TicketLaw, a_ticket
from reactor_web.guard.tickets import MemoryTickets, digest_of, make_ticket
from reactor_web.http.problems import document_of


def clock_and_now() -> tuple[VirtualClock, Callable[[], float]]:
    clock = VirtualClock(jumps=False)
    return clock, lambda: unix_seconds(clock.now().decode())


@pytest.mark.parametrize("law", TICKET_LAWS, ids=lambda law: law.__name__)
async def test_the_tickets_in_memory_keep_the_law(law: TicketLaw) -> None:
    """Both ends are the same store, in virtual time."""
    clock, now = clock_and_now()
    store: TicketStore = MemoryTickets(clock)
    await law(store, store, now)


def test_a_ticket_has_256_bits_and_is_found_by_its_digest() -> None:
    """No two are alike; it can stand in a URL as it is; what is no ticket has a digest, too."""
    made = [make_ticket() for _ in range(100)]
    assert len({ticket for ticket, _ in made}) == 100
    for ticket, digest in made:
        assert ticket.startswith("rt_")
        assert len(ticket) == 3 + 43
        assert ticket.replace("_", "a").replace("-", "a").isalnum()
        assert digest_of(ticket) == digest
        assert ticket[3:].encode() not in digest
    assert len(digest_of("")) == len(digest_of("ä\udcff")) == 32


async def test_fifty_racing_first_uses_are_one() -> None:
    """And the one that won is the holder."""
    clock, now = clock_and_now()
    store = MemoryTickets(clock)
    await store.issue(a_ticket(now()))
    uses = [store.redeem(b"d" * 32, f"s{i}", now(), again=False) for i in range(50)]
    found = await asyncio.gather(*uses)
    assert [i for i, record in enumerate(found) if record is not None] == [0]
    assert await store.held_by(b"d" * 32) == "s0"


def digest(number: int) -> bytes:
    return number.to_bytes(32)


async def test_what_opens_nothing_any_more_is_forgotten() -> None:
    """Unused tickets when their time is over, used ones with the token that issued them."""
    clock, now = clock_and_now()
    store = MemoryTickets(clock)
    for i in range(1_000):
        await store.issue(a_ticket(now(), digest(i), principal=f"key:{i % 7}"))
    for i in range(10):
        assert await store.redeem(digest(i), "s", now(), again=False)
    clock.jump(61)
    await store.issue(a_ticket(now(), digest(1_000)))
    assert len(store) == 11
    await store.give_back(digest(3), "s")
    assert await store.redeem(digest(3), "t", now(), again=True)
    clock.jump(3_600)
    await store.issue(a_ticket(now(), digest(1_001)))
    assert len(store) == 1
    assert store._of == {"key:k": {digest(1_001)}}  # pyright: ignore[reportPrivateUsage]  # nothing is left
    assert len(store._ends) == 1  # pyright: ignore[reportPrivateUsage]


async def test_a_full_store_refuses_and_has_room_again_later() -> None:
    """503 with a code; one principal alone cannot fill it; those that were there go on working."""
    clock, now = clock_and_now()
    store = MemoryTickets(clock, most=10, most_of_one=6)
    for i in range(6):
        await store.issue(a_ticket(now(), digest(i)))
    with pytest.raises(TooManyTickets, match="key:k has 6 tickets") as refused:
        await store.issue(a_ticket(now(), digest(6)))
    document = document_of(refused.value)
    assert document is not None
    assert (document["status"], document["code"]) == (503, "too-many-tickets")
    for i in range(10, 14):
        await store.issue(a_ticket(now(), digest(i), principal="key:other"))
    with pytest.raises(TooManyTickets, match="there are 10 tickets"):
        await store.issue(a_ticket(now(), digest(14), principal="key:third"))
    assert await store.redeem(digest(0), "s", now(), again=False)
    clock.jump(60)
    for i in range(20, 25):
        await store.issue(a_ticket(now(), digest(i)))
    assert len(store) == 6
    with pytest.raises(ValueError, match="a ticket of this digest"):
        await store.issue(a_ticket(now(), digest(20), principal="key:third"))


async def test_revoking_again_and_again_keeps_the_store_small() -> None:
    """Tickets that were forgotten leave nothing that grows."""
    clock, now = clock_and_now()
    store = MemoryTickets(clock)
    await store.issue(a_ticket(now(), digest(0), principal="key:stays"))
    for round in range(20):
        for i in range(1, 501):
            await store.issue(a_ticket(now(), digest(round * 1_000 + i)))
        await store.forget("key:k")
        await store.forget("key:k")
        assert len(store) == 1
    assert len(store._ends) <= 1_600  # pyright: ignore[reportPrivateUsage]  # its size is what is asked about
    assert await store.redeem(digest(0), "s", now(), again=False)
    clock.jump(4_000)
    await store.issue(a_ticket(now(), digest(1)))
    assert len(store) == 1
