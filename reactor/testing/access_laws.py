"""The laws of who may ask, and how much. Each takes two fresh ends of one store, as two processes have them.

    @pytest.mark.parametrize("law", TICKET_LAWS)
    async def test_the_tickets_keep_the_law(law):
        await law(mine, theirs, time.time)

    @pytest.mark.parametrize("law", CAP_LAWS)
    async def test_the_counter_keeps_the_law(law):
        await law(mine, theirs, asyncio.sleep)

    @pytest.mark.parametrize("law", REVOCATION_LAWS)
    async def test_the_revocations_keep_the_law(law):
        await law(mine, theirs)

``TICKET_LAWS`` take the Unix time of the store, ``CAP_LAWS`` what lets time pass for it. One end may be given twice,
where there is only one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from reactor.ports.access import CapCounter, Revocations, TicketRecord, TicketStore

Now = Callable[[], float]
Passes = Callable[[float], Awaitable[Any]]

SECONDS: Final = 0.5
"""The time for which ``CAP_LAWS`` count what is timed."""
PATIENCE: Final = 1.25
"""So many times as long it may count at most."""
RACERS: Final = 50


def a_ticket(now: float, digest: bytes = b"d" * 32, **fields: Any) -> TicketRecord:
    """A ticket for the run ``r`` that is used within a minute, and over in an hour."""
    given: dict[str, Any] = {
        "principal": "key:k", "run_id": "r", "tenant": "", "redeem_until": now + 60, "expires": now + 3_600, **fields,
    }  # fmt: skip
    return TicketRecord(digest, **given)


# --- TicketStore ---


async def law_a_ticket_is_what_was_issued(mine: TicketStore, theirs: TicketStore, now: Now) -> None:
    """The first use gives the record, whole, from any end; a digest that was never issued gives nothing."""
    start = now()
    one = a_ticket(start, bytes(range(32)), tenant="acme", runs=("a-*", "b"), workflows=("w",))
    two = a_ticket(start, b"2" * 32, run_id="", filter="workflow=w&types=run.*")
    for ticket in (one, two):
        await mine.issue(ticket)
    assert await theirs.redeem(one.digest, "s1", start, again=False) == one
    assert await mine.redeem(two.digest, "s2", start, again=False) == two
    assert await mine.redeem(b"x" * 32, "s3", start, again=False) is None
    assert await mine.redeem(b"x" * 32, "s3", start, again=True) is None


async def law_of_many_first_uses_one_succeeds(mine: TicketStore, theirs: TicketStore, now: Now) -> None:
    """Fifty at the same moment, from both ends."""
    start = now()
    ticket = a_ticket(start)
    await mine.issue(ticket)
    ends = (mine, theirs)
    uses = [ends[i % 2].redeem(ticket.digest, f"s{i}", start, again=False) for i in range(RACERS)]
    winners = [i for i, found in enumerate(await asyncio.gather(*uses)) if found is not None]
    assert len(winners) == 1
    assert await theirs.held_by(ticket.digest) == f"s{winners[0]}"


async def law_a_reconnect_needs_a_stream_that_is_over(mine: TicketStore, theirs: TicketStore, now: Now) -> None:
    """``again`` fails while a stream holds the ticket; of many after it, one succeeds."""
    start = now()
    ticket = a_ticket(start)
    await mine.issue(ticket)
    assert await mine.redeem(ticket.digest, "s1", start, again=False) == ticket
    assert await theirs.redeem(ticket.digest, "thief", start, again=True) is None
    await theirs.give_back(ticket.digest, "thief")
    assert await mine.held_by(ticket.digest) == "s1", "only its holder gives it back"
    await mine.give_back(ticket.digest, "s1")
    assert await theirs.held_by(ticket.digest) is None
    uses = [(mine, theirs)[i % 2].redeem(ticket.digest, f"t{i}", start, again=True) for i in range(RACERS)]
    assert sum(found is not None for found in await asyncio.gather(*uses)) == 1


async def law_a_first_use_is_once(mine: TicketStore, theirs: TicketStore, now: Now) -> None:
    """Also when its stream has closed: without ``again`` the ticket opens nothing any more."""
    start = now()
    ticket = a_ticket(start)
    await mine.issue(ticket)
    assert await mine.redeem(ticket.digest, "s1", start, again=False) == ticket
    await mine.give_back(ticket.digest, "s1")
    assert await theirs.redeem(ticket.digest, "s2", start, again=False) is None
    assert await theirs.redeem(ticket.digest, "s2", start, again=True) == ticket


async def law_the_first_use_may_have_a_cursor(mine: TicketStore, theirs: TicketStore, now: Now) -> None:
    """Who asks for a ticket for each stream comes back with a new one. It is a first use as any other."""
    start = now()
    used, late = a_ticket(start, b"1" * 32), a_ticket(start, b"2" * 32)
    for ticket in (used, late):
        await mine.issue(ticket)
    assert await theirs.redeem(late.digest, "s0", start + 60, again=True) is None, "it comes too late"
    uses = [(mine, theirs)[i % 2].redeem(used.digest, f"s{i}", start, again=i % 3 == 0) for i in range(RACERS)]
    assert sum(found is not None for found in await asyncio.gather(*uses)) == 1


async def law_who_was_told_no_cursor_comes_back_without_one(mine: TicketStore, theirs: TicketStore, now: Now) -> None:
    """Such a client cannot say where it goes on. That ends with the first stream that has told it."""
    start = now()
    ticket = a_ticket(start)
    await mine.issue(ticket)
    assert await mine.redeem(ticket.digest, "s1", start, again=False) == ticket
    assert await theirs.redeem(ticket.digest, "s2", start, again=False) is None, "s1 holds it"
    await mine.give_back(ticket.digest, "thief", has_cursor=True)
    await theirs.give_back(ticket.digest, "s1", has_cursor=False)
    assert await mine.redeem(ticket.digest, "s2", start + 61, again=False) == ticket
    await mine.give_back(ticket.digest, "s2", has_cursor=True)
    assert await mine.redeem(ticket.digest, "s3", start + 62, again=False) is None
    assert await theirs.redeem(ticket.digest, "s4", start + 62, again=True) == ticket
    await mine.give_back(ticket.digest, "s4", has_cursor=False)
    assert await mine.redeem(ticket.digest, "s5", start + 63, again=False) is None, "it was told before"


async def law_a_ticket_ends(mine: TicketStore, theirs: TicketStore, now: Now) -> None:
    """The first use comes before ``redeem_until``, each reconnect before ``expires``."""
    start = now()
    used, unused = a_ticket(start, b"1" * 32), a_ticket(start, b"2" * 32)
    for ticket in (used, unused):
        await mine.issue(ticket)
    assert await mine.redeem(unused.digest, "s", start + 60, again=False) is None
    assert await mine.redeem(used.digest, "s1", start + 59.9, again=False) == used
    await mine.give_back(used.digest, "s1")
    assert await theirs.redeem(used.digest, "s2", start + 3_599, again=True) == used
    await theirs.give_back(used.digest, "s2")
    assert await theirs.redeem(used.digest, "s3", start + 3_600, again=True) is None


async def law_the_tickets_of_a_principal_are_forgotten(mine: TicketStore, theirs: TicketStore, now: Now) -> None:
    """Used or not; those of others stay."""
    start = now()
    used, unused, other = (a_ticket(start, digest * 32) for digest in (b"1", b"2", b"3"))
    other = a_ticket(start, other.digest, principal="key:other")
    for ticket in (used, unused, other):
        await mine.issue(ticket)
    assert await mine.redeem(used.digest, "s1", start, again=False) == used
    await theirs.forget("key:k")
    await mine.give_back(used.digest, "s1")
    assert await mine.redeem(used.digest, "s2", start, again=True) is None
    assert await mine.redeem(unused.digest, "s3", start, again=False) is None
    assert await mine.redeem(other.digest, "s4", start, again=False) == other


TicketLaw = Callable[[TicketStore, TicketStore, Now], Awaitable[None]]
TICKET_LAWS: Final[tuple[TicketLaw, ...]] = (
    law_a_ticket_is_what_was_issued,
    law_of_many_first_uses_one_succeeds,
    law_a_reconnect_needs_a_stream_that_is_over,
    law_a_first_use_is_once,
    law_the_first_use_may_have_a_cursor,
    law_who_was_told_no_cursor_comes_back_without_one,
    law_a_ticket_ends,
    law_the_tickets_of_a_principal_are_forgotten,
)


# --- CapCounter ---


async def law_no_more_than_the_cap_is_taken(mine: CapCounter, theirs: CapCounter, passes: Passes) -> None:
    """Of fifty at once, from both ends, as many succeed as the cap is; what was refused is not counted."""
    for seconds in (None, SECONDS):
        cap = f"cap-{seconds}"
        takes = [(mine, theirs)[i % 2].take(cap, "w", 7, seconds) for i in range(RACERS)]
        assert sum(await asyncio.gather(*takes)) == 7
        assert not await mine.take(cap, "w", 7, seconds)
        await theirs.give_back(cap, "w")
        assert await mine.take(cap, "w", 7, seconds)
        assert not await theirs.take(cap, "w", 7, seconds)


async def law_each_cap_and_each_who_has_a_count(mine: CapCounter, theirs: CapCounter, passes: Passes) -> None:
    """Whatever characters they have."""
    pairs = [("a", "w"), ("a", "W"), ("b", "w"), ("a", ""), ("", "a"), ("a", "w\x00"), ("a:", "w"), ("a", ":w")]
    for cap, who in pairs:
        assert await mine.take(cap, who, 1)
        assert not await theirs.take(cap, who, 1)


async def law_what_is_held_counts_until_it_is_given_back(mine: CapCounter, theirs: CapCounter, passes: Passes) -> None:
    """However long that is; and no more is given back than was taken."""
    assert await mine.take("held", "w", 2)
    await passes(SECONDS * PATIENCE)
    assert await theirs.take("held", "w", 2)
    assert not await theirs.take("held", "w", 2)
    for _ in range(5):
        await theirs.give_back("held", "w")
    await mine.give_back("held", "nobody")
    assert await mine.take("held", "w", 2)
    assert await mine.take("held", "w", 2)
    assert not await mine.take("held", "w", 2)


async def law_what_is_timed_counts_for_its_time(mine: CapCounter, theirs: CapCounter, passes: Passes) -> None:
    """A window that slides: in no ``seconds`` more than the cap, and all of it again when they have passed."""
    assert await mine.take("timed", "w", 2, SECONDS)
    await passes(SECONDS * 0.6)
    assert await theirs.take("timed", "w", 2, SECONDS)
    assert not await mine.take("timed", "w", 2, SECONDS)
    await passes(SECONDS * (PATIENCE - 0.6))
    assert await theirs.take("timed", "w", 2, SECONDS), "the first has been long enough ago"
    await passes(SECONDS * PATIENCE)
    assert await mine.take("timed", "w", 2, SECONDS)
    assert await theirs.take("timed", "w", 2, SECONDS)
    assert not await theirs.take("timed", "w", 2, SECONDS)


async def law_several_are_taken_together_or_none(mine: CapCounter, theirs: CapCounter, passes: Passes) -> None:
    """``count``: three of two left are refused, and two are not."""
    for seconds in (None, SECONDS):
        cap = f"many-{seconds}"
        assert await mine.take(cap, "w", 5, seconds, count=3)
        assert not await theirs.take(cap, "w", 5, seconds, count=3)
        assert await theirs.take(cap, "w", 5, seconds, count=2)
        assert not await mine.take(cap, "w", 5, seconds)
        await mine.give_back(cap, "w", count=4)
        assert not await theirs.take(cap, "w", 5, seconds, count=5)
        assert await theirs.take(cap, "w", 5, seconds, count=4)
        assert not await mine.take(cap, "other", 5, seconds, count=6)


CapLaw = Callable[[CapCounter, CapCounter, Passes], Awaitable[None]]
CAP_LAWS: Final[tuple[CapLaw, ...]] = (
    law_no_more_than_the_cap_is_taken,
    law_each_cap_and_each_who_has_a_count,
    law_what_is_held_counts_until_it_is_given_back,
    law_what_is_timed_counts_for_its_time,
    law_several_are_taken_together_or_none,
)


# --- Revocations ---


async def law_each_end_is_told_once(mine: Revocations, theirs: Revocations) -> None:
    """Of each revocation after its mark, in their order; the mark that it gets goes on from there."""
    marks = [(await end.revoked(""))[0] for end in (mine, theirs)]
    await mine.revoke("key:a")
    await theirs.revoke("jwt:Ann Ö:\n")
    told = ["key:a", "jwt:Ann Ö:\n"]
    later = [await end.revoked(mark) for end, mark in zip((mine, theirs), marks, strict=True)]
    assert [principals for _, principals in later] == [told, told]
    for end, (mark, _) in zip((mine, theirs), later, strict=True):
        assert await end.revoked(mark) == (mark, [])
    await mine.revoke("key:a")
    for end, first, (mark, _) in zip((mine, theirs), marks, later, strict=True):
        assert (await end.revoked(mark))[1] == ["key:a"]
        assert (await end.revoked(first))[1] == [*told, "key:a"]


async def law_who_comes_later_is_not_told_what_was(mine: Revocations, theirs: Revocations) -> None:
    """An empty mark is now: its streams began after that."""
    await mine.revoke("key:a")
    mark, told = await theirs.revoked("")
    assert told == []
    assert (await theirs.revoked(mark))[1] == []
    await mine.revoke("key:b")
    assert (await theirs.revoked(mark))[1] == ["key:b"]


async def law_a_thousand_are_kept(mine: Revocations, theirs: Revocations) -> None:
    """Who looks late is told all of them, in one look or in several."""
    mark, _ = await theirs.revoked("")
    names = [f"key:{i}" for i in range(1_000)]
    for name in names:
        await mine.revoke(name)
    told: list[str] = []
    while (page := await theirs.revoked(mark))[1]:
        mark, told = page[0], told + page[1]
    assert told == names


RevocationLaw = Callable[[Revocations, Revocations], Awaitable[None]]
REVOCATION_LAWS: Final[tuple[RevocationLaw, ...]] = (
    law_each_end_is_told_once,
    law_who_comes_later_is_not_told_what_was,
    law_a_thousand_are_kept,
)
