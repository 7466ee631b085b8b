"""The laws of what processes share. Each takes two fresh ends of one store, as two processes have them.

    @pytest.mark.parametrize("law", LEASE_LAWS)
    async def test_the_lease_keeps_the_law(law):
        await law(mine, theirs)

``SLOT_LAWS`` take slots with a limit of two, ``START_LAWS`` starts with a rate of ``RATE``. One end may be given twice,
where there is only one process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from reactor.ports.sharing import Lease, NamedRate, Slots, Starts

MOST: Final = 2
"""The limit of the slots that ``SLOT_LAWS`` take."""

RATE: Final = NamedRate("r", 2, 0.1)
"""What the starts of ``START_LAWS`` may not be above."""

PATIENCE: Final = 5.0
"""Seconds that a store has to tell another process."""

# --- Lease ---


async def law_a_run_has_one_holder(mine: Lease, theirs: Lease) -> None:
    """While one holds a run the other gets it not; the holder gets it again; other runs and tenants are free."""
    assert await mine.acquire("r")
    assert await mine.acquire("r")
    assert not await theirs.acquire("r")
    assert await theirs.acquire("s")
    assert await theirs.acquire("r", tenant="acme")


async def law_one_of_many_gets_it(mine: Lease, theirs: Lease) -> None:
    """Of two that ask at once, one gets it."""
    for i in range(20):
        answers = await asyncio.gather(mine.acquire(f"r{i}"), theirs.acquire(f"r{i}"))
        assert sorted(answers) == [False, True]


async def law_what_is_released_is_free(mine: Lease, theirs: Lease) -> None:
    """Soon after a release the other gets it. A release of what one does not hold changes nothing."""
    assert await mine.acquire("r")
    theirs.release("r")
    assert not await theirs.acquire("r")
    mine.release("r")
    async with asyncio.timeout(PATIENCE):
        while not await theirs.acquire("r"):  # noqa: ASYNC110  # the store says nothing when it is free
            await asyncio.sleep(0.01)
    assert not await mine.acquire("r")


LeaseLaw = Callable[[Lease, Lease], Awaitable[None]]
LEASE_LAWS: Final[tuple[LeaseLaw, ...]] = (
    law_a_run_has_one_holder,
    law_one_of_many_gets_it,
    law_what_is_released_is_free,
)

# --- Slots ---


class _Waiter:
    def __init__(self) -> None:
        self.grants = 0
        self.waits = 0

    def on_granted(self) -> None:
        self.grants += 1

    def on_waiting(self) -> None:
        self.waits += 1


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # the grant may come from another process
            await asyncio.sleep(0.005)


async def _take(slots: Slots) -> None:
    """Takes a slot that is free, or soon will be."""
    waiter = _Waiter()
    if not slots.acquire(waiter):
        await _until(lambda: waiter.grants == 1)


async def law_no_more_than_the_limit(mine: Slots, theirs: Slots) -> None:
    """Both ends together take no more than the limit; of those that wait, one comes in for each that goes."""
    await _take(mine)
    await _take(theirs)
    waiters = [_Waiter(), _Waiter()]
    assert [end.acquire(waiter) for end, waiter in zip((mine, theirs), waiters, strict=True)] == [False, False]
    await asyncio.sleep(0.02)
    assert [waiter.grants for waiter in waiters] == [0, 0]
    for count, end in enumerate((theirs, mine), 1):
        end.release()
        await _until(lambda count=count: sum(waiter.grants for waiter in waiters) == count)
    await asyncio.sleep(0.02)
    assert [waiter.grants for waiter in waiters] == [1, 1]


async def law_a_slot_that_is_given_back_goes_to_the_first_waiter(mine: Slots, theirs: Slots) -> None:
    """Each release grants one slot to one waiter, in the order in which they came; nobody is granted twice."""
    for _ in range(MOST):
        await _take(mine)
    waiters = [_Waiter() for _ in range(4)]
    for waiter in waiters:
        assert not theirs.acquire(waiter)
    await asyncio.sleep(0.02)
    for count in range(1, MOST + 1):
        mine.release()
        await _until(lambda count=count: sum(waiter.grants for waiter in waiters) == count)
        assert [waiter.grants for waiter in waiters] == [1] * count + [0] * (len(waiters) - count)
    for count in range(MOST + 1, len(waiters) + 1):
        theirs.release()
        await _until(lambda count=count: sum(waiter.grants for waiter in waiters) == count)
        assert [waiter.grants for waiter in waiters] == [1] * count + [0] * (len(waiters) - count)


async def law_one_that_withdraws_is_passed_over(mine: Slots, theirs: Slots) -> None:
    """Its slot goes to the next; to withdraw what is not parked does nothing, and no slot is lost."""
    for _ in range(MOST):
        await _take(mine)
    gone, next_one = _Waiter(), _Waiter()
    assert not theirs.acquire(gone)
    assert not theirs.acquire(next_one)
    theirs.withdraw(gone)
    theirs.withdraw(gone)
    mine.release()
    await _until(lambda: next_one.grants == 1)
    mine.release()
    theirs.release()
    for _ in range(MOST):
        await _take(mine)
    assert gone.grants == 0


async def law_a_slot_is_not_lost_by_who_withdraws_as_it_is_granted(mine: Slots, theirs: Slots) -> None:
    """However close the two are, what is granted to one that has withdrawn goes on to the next."""
    for _ in range(20):
        for _ in range(MOST):
            await _take(mine)
        gone, next_one = _Waiter(), _Waiter()
        assert not theirs.acquire(gone)
        assert not theirs.acquire(next_one)
        mine.release()
        if not gone.grants:
            theirs.withdraw(gone)
        else:
            theirs.release()
        await _until(lambda next_one=next_one: next_one.grants == 1)
        theirs.release()
        mine.release()


async def law_who_waits_is_told_so(mine: Slots, theirs: Slots) -> None:
    """While nobody gives a slot back, and not who is granted a slot that is free."""
    first, last = _Waiter(), _Waiter()
    if not theirs.acquire(first):
        await _until(lambda: first.grants == 1)
    await _take(mine)
    assert not theirs.acquire(last)
    await _until(lambda: last.waits > 0)
    assert (first.waits, last.grants) == (0, 0)


SlotLaw = Callable[[Slots, Slots], Awaitable[None]]
SLOT_LAWS: Final[tuple[SlotLaw, ...]] = (
    law_no_more_than_the_limit,
    law_a_slot_that_is_given_back_goes_to_the_first_waiter,
    law_one_that_withdraws_is_passed_over,
    law_a_slot_is_not_lost_by_who_withdraws_as_it_is_granted,
    law_who_waits_is_told_so,
)

# --- Starts ---


class _Starter:
    """Starts as soon as it may, or keeps what it is promised."""

    def __init__(self, starts: Starts, *, keeps: bool = False) -> None:
        self.starts = starts
        self.keeps = keeps
        self.is_promised = False
        self.waits = 0
        self.began: float | None = None
        self.try_again()

    def try_again(self) -> None:
        if not self.starts.is_free_for(self):
            self.starts.park(self)
        elif self.keeps:
            self.is_promised = True
        else:
            self.began = time.monotonic()
            self.starts.take(self)

    def let_go(self) -> None:
        self.waits += 1


async def _begun(starters: list[_Starter]) -> None:
    await _until(lambda: all(starter.began is not None for starter in starters))


async def law_no_window_has_more_starts_than_the_rate(mine: Starts, theirs: Starts) -> None:
    """Of both ends together, wherever the window begins; and nobody waits for ever."""
    starters = [_Starter(end) for _ in range(5) for end in (mine, theirs)]
    await _begun(starters)
    began = sorted(starter.began or 0.0 for starter in starters)
    for first, last in zip(began, began[RATE.amount :], strict=False):
        assert last - first > RATE.per - 0.001, "clocks differ by less"


async def law_starts_come_in_the_order_of_one_end(mine: Starts, theirs: Starts) -> None:
    """Who came before starts before, also where the other end asks for starts meanwhile."""
    lines = [[_Starter(end)] for end in (mine, theirs)]
    for _ in range(3):
        for line, end in zip(lines, (mine, theirs), strict=True):
            line.append(_Starter(end))
    for line in lines:
        await _begun(line)
        assert sorted(line, key=lambda starter: starter.began or 0.0) == line


async def law_only_who_waits_is_told_to_let_go(mine: Starts, theirs: Starts) -> None:
    """While a start is free nobody is."""
    starters = [_Starter(mine), _Starter(theirs)]
    await _begun(starters)
    late = _Starter(theirs)
    await _until(lambda: late.waits > 0)
    await _begun([late])
    assert [starter.waits for starter in starters] == [0, 0]


async def law_a_start_that_is_not_wanted_is_the_next_one_s(mine: Starts, theirs: Starts) -> None:
    """Of one that withdraws while it waits, and of one that withdraws what it was promised: no start is lost."""
    await _begun([_Starter(mine), _Starter(theirs)])
    gone, keeper, other = _Starter(mine), _Starter(mine, keeps=True), _Starter(mine, keeps=True)
    mine.withdraw(gone)
    mine.withdraw(gone)
    await _until(lambda: keeper.is_promised and other.is_promised)
    next_one = _Starter(theirs)
    await asyncio.sleep(2 * RATE.per)
    assert next_one.began is None, "what is promised is taken"
    mine.withdraw(keeper)
    await _begun([next_one])
    mine.withdraw(other)
    await _begun([_Starter(mine), _Starter(theirs), _Starter(theirs)])
    assert gone.began is None


StartLaw = Callable[[Starts, Starts], Awaitable[None]]
START_LAWS: Final[tuple[StartLaw, ...]] = (
    law_no_window_has_more_starts_than_the_rate,
    law_starts_come_in_the_order_of_one_end,
    law_only_who_waits_is_told_to_let_go,
    law_a_start_that_is_not_wanted_is_the_next_one_s,
)
