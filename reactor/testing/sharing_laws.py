"""The laws of what processes share. Each takes two fresh ends of one store, as two processes have them.

    @pytest.mark.parametrize("law", LEASE_LAWS)
    async def test_the_lease_keeps_the_law(law):
        await law(mine, theirs)

``SLOT_LAWS`` take slots with a limit of two. One end may be given twice, where there is only one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from reactor.ports.sharing import Lease, Slots

MOST: Final = 2
"""The limit of the slots that ``SLOT_LAWS`` take."""

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

    def on_granted(self) -> None:
        self.grants += 1


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110  # the grant may come from another process
            await asyncio.sleep(0.005)


async def law_no_more_than_the_limit(mine: Slots, theirs: Slots) -> None:
    """Both ends together take no more than the limit."""
    assert [mine.acquire(_Waiter()), theirs.acquire(_Waiter())] == [True, True]
    assert [mine.acquire(_Waiter()), theirs.acquire(_Waiter())] == [False, False]


async def law_a_slot_that_is_given_back_goes_to_the_first_waiter(mine: Slots, theirs: Slots) -> None:
    """Each release grants one slot to one waiter, in the order in which they came; nobody is granted twice."""
    for _ in range(MOST):
        assert mine.acquire(_Waiter())
    waiters = [_Waiter() for _ in range(4)]
    for waiter in waiters:
        assert not theirs.acquire(waiter)
    for count in range(1, len(waiters) + 1):
        mine.release()
        await _until(lambda count=count: sum(waiter.grants for waiter in waiters) == count)
        assert [waiter.grants for waiter in waiters] == [1] * count + [0] * (len(waiters) - count)


async def law_one_that_withdraws_is_passed_over(mine: Slots, theirs: Slots) -> None:
    """Its slot goes to the next; to withdraw what is not parked does nothing, and no slot is lost."""
    for _ in range(MOST):
        assert mine.acquire(_Waiter())
    gone, next_one = _Waiter(), _Waiter()
    assert not theirs.acquire(gone)
    assert not theirs.acquire(next_one)
    theirs.withdraw(gone)
    theirs.withdraw(gone)
    mine.release()
    await _until(lambda: next_one.grants == 1)
    for _ in range(MOST):
        mine.release()
    await _until(lambda: mine.acquire(_Waiter()))
    assert gone.grants == 0


SlotLaw = Callable[[Slots, Slots], Awaitable[None]]
SLOT_LAWS: Final[tuple[SlotLaw, ...]] = (
    law_no_more_than_the_limit,
    law_a_slot_that_is_given_back_goes_to_the_first_waiter,
    law_one_that_withdraws_is_passed_over,
)
