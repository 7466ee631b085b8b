"""The laws of ``RunsOrder``: each takes a fresh, opened log of yours and asserts one law.

@pytest.mark.parametrize("law", RUNS_LAWS)
async def test_the_log_keeps_the_law(law):
    await law(MyLog())
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from reactor import bounds
from reactor.ports.order import Committed, Removed, RunsOrder, WholeOrder
from reactor.ports.stores import Log
from reactor.testing.log_laws import completed, event, started


class RunsLog(Log, WholeOrder, RunsOrder, Protocol):
    """A log that keeps the order of all commits, and finds those of some runs in it."""


async def law_what_is_read_of_some_runs_is_what_all_have_of_them(log: RunsLog) -> None:
    """The same entries in the same order, deleted runs included, from any position on and by pages of any size."""
    for run_id in ("a", "b", "a", "c", "a", "d", "b", "a"):
        await _say(log, run_id)
    for run_id in ("b", "c"):
        await log.append(run_id, [completed((await log.record(run_id)).last_seq + 1, run_id)])
        await _say(log, "a")
    await log.append("a", [started("a")], tenant="acme")
    await log.delete("b")
    await _say(log, "a")
    await _say(log, "b")  # another run with the id of one that was deleted
    entries = await log.whole(0, 100)
    for runs in (["a"], ["b"], ["c", "a"], ["nobody", "b", "d", "b"], ["nobody"], ["a", "b", "c", "d"]):
        wanted = [entry for entry in entries if entry.run_id in runs]
        for after in (0, *(entry.position for entry in entries), entries[-1].position + 5):
            for limit in (1, 2, 100):
                found = await _entries(log, after, limit, runs)
                assert found == [entry for entry in wanted if entry.position > after], f"{runs} after {after}"
    (window,) = await log.of_runs(0, 100, runs=["a"], tenant="acme")
    assert window == (await log.whole(0, 100, tenant="acme"))[0]


async def law_a_run_that_starts_later_is_found(log: RunsLog) -> None:
    """Nobody is told of it before; then it is there from its first window on, behind what was read before."""
    at = await log.append("a", [started("a")])
    assert [entry.position for entry in await log.of_runs(0, 100, runs=["late", "a"])] == [at]
    assert await log.of_runs(at, 100, runs=["late", "a"]) == []
    await log.append("other", [started("other")])
    late = await log.append("late", [started("late")])
    assert [entry.position for entry in await log.of_runs(at, 100, runs=["late", "a"])] == [late]


async def law_a_page_of_some_runs_has_a_bound_of_bytes(log: RunsLog) -> None:
    """Windows above it come one a page, and none is left out."""
    for run_id in ("a", "b"):
        await log.append(run_id, [started(run_id)])
        for seq in range(2, 5):
            await log.append(run_id, [event(seq, run_id, text="x" * (bounds.READ_BYTES // 2))])
    at, pages = 0, list[int]()
    while page := await log.of_runs(at, 100, runs=["a", "b"]):
        pages.append(len(page))
        at = page[-1].position
    assert (sum(pages), len(pages) >= 4) == (8, True)


async def _say(log: RunsLog, run_id: str) -> None:
    """One more window of a run; its first if there is none."""
    known = {record.run_id: record.last_seq for record in await log.records(
        status=None, workflow=None, before=None, limit=100
    )}  # fmt: skip
    seq = known.get(run_id, 0) + 1
    await log.append(run_id, [started(run_id) if seq == 1 else event(seq, run_id)])


async def _entries(log: RunsLog, after: int, limit: int, runs: Sequence[str]) -> list[Committed | Removed]:
    """All that stands of these runs behind a position, page by page."""
    found: list[Committed | Removed] = []
    while page := await log.of_runs(found[-1].position if found else after, limit, runs=runs):
        assert len(page) <= limit
        found += page
    return found


RunsLaw = Callable[[RunsLog], Awaitable[None]]

RUNS_LAWS: Final[tuple[RunsLaw, ...]] = (
    law_what_is_read_of_some_runs_is_what_all_have_of_them,
    law_a_run_that_starts_later_is_found,
    law_a_page_of_some_runs_has_a_bound_of_bytes,
)
