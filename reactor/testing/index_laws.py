"""The laws of a ``RunIndex``: each takes a fresh, opened log of yours and asserts one law.

@pytest.mark.parametrize("law", INDEX_LAWS)
async def test_the_list_of_runs_keeps_the_law(law):
    await law(MyLog())
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Unpack

from reactor.errors import RunOpen
from reactor.ports.index import RunFilter
from reactor.ports.stores import Log
from reactor.testing import listing_laws
from reactor.testing.log_laws import completed, event, is_unknown, started


async def law_the_record_says_what_the_events_said(log: Log) -> None:
    """A run's record holds its workflow, version, status, creation and first and last seq, as of its last window."""
    await log.append("r", [started("r", "census", "7"), event(2)])
    record = await log.record("r")
    assert (record.run_id, record.workflow, record.version, record.status) == ("r", "census", "7", "running")
    assert (record.first_seq, record.last_seq, record.created) == (1, 2, started().time)
    await log.append("r", [event(3, "r", "run.cancelling", reason="asked", by=None)])
    assert (await log.record("r")).status == "cancelling"
    await log.append("r", [completed(4)])
    record = await log.record("r")
    assert (record.status, record.last_seq) == ("completed", 4)


async def law_records_come_newest_first_page_by_page(log: Log) -> None:
    """Pages that follow each other by ``before`` list every run once, the newest first, under each filter."""
    ids = [f"r{i}" for i in range(7)]
    for i, run_id in enumerate(ids):
        await log.append(run_id, [started(run_id, "odd" if i % 2 else "even")])
        if i < 3:
            await log.append(run_id, [completed(2, run_id)])
    assert await _pages(log) == ids[::-1]
    assert await _pages(log, status="completed") == ["r2", "r1", "r0"]
    assert await _pages(log, workflow="odd") == ["r5", "r3", "r1"]
    assert await _pages(log, status="completed", workflow="odd") == ["r1"]
    assert await _pages(log, status="failed") == []


async def law_a_run_that_pauses_and_goes_on_is_listed_as_such(log: Log) -> None:
    """``run.paused`` and ``run.resumed`` change the status a record shows; ``run.resumed`` after a crash does not."""
    statuses: list[str] = []
    said = [
        ("run.paused", "asked"),
        ("run.resumed", "recovered"),
        ("run.resumed", "asked"),
        ("run.cancelling", "asked"),
    ]
    await log.append("r", [started()])
    for seq, (type, reason) in enumerate([*said, ("run.resumed", "recovered")], 2):
        await log.append("r", [event(seq, "r", type, reason=reason, by=None)])
        statuses.append((await log.record("r")).status)
    assert statuses == ["paused", "paused", "running", "cancelling", "cancelling"]


async def law_a_run_in_a_later_graph_is_listed_with_its_version(log: Log) -> None:
    """``run.upgraded`` changes the version that a record shows, and not its status."""
    graph: dict[str, Any] = {
        "from": "f",
        "to": "g",
        "total_tasks": 1,
        "maps": 0,
        "downtime_ms": 1.0,
        "graph_ref": "runs/r",
    }
    await log.append("r", [started(version="1"), event(2, "r", "run.paused", reason="asked", by=None)])
    await log.append("r", [event(3, "r", "run.upgraded", version="2", **graph)])
    record = await log.record("r")
    assert (record.version, record.status) == ("2", "paused")


async def law_an_unknown_run_is_named(log: Log) -> None:
    """Whatever is asked of a run that is not there raises UnknownRun with its id."""
    for question in (
        log.record("nobody"),
        log.records(status=None, workflow=None, before="nobody", limit=10),
        log.delete("nobody"),
    ):
        assert await is_unknown(question, "nobody")


async def law_the_record_names_the_parent_and_the_root(log: Log) -> None:
    """A run without a parent is its own root; a child has the root of its parent, also where the parent is not here."""
    for run_id, parent in (("top", None), ("middle", "top"), ("low", "middle"), ("lost", "elsewhere")):
        await log.append(run_id, [started(run_id, parent=parent)])
    records = [await log.record(run_id) for run_id in ("top", "middle", "low", "lost")]
    assert [record.parent for record in records] == [None, "top", "middle", "elsewhere"]
    assert [record.root for record in records] == ["top", "top", "top", "elsewhere"]


async def law_records_are_found_by_parent_and_by_root(log: Log) -> None:
    """Pages list the children of a run, or its whole tree, under the other filters too."""
    await log.append("top", [started("top"), completed(2, "top")])
    for i in range(5):
        await log.append(f"c{i}", [started(f"c{i}", parent="top"), *([completed(2, f"c{i}")] if i < 2 else [])])
        await log.append(f"g{i}", [started(f"g{i}", parent=f"c{i}")])
    await log.append("other", [started("other")])
    assert await _pages(log, parent="top") == ["c4", "c3", "c2", "c1", "c0"]
    assert await _pages(log, parent="top", status="completed") == ["c1", "c0"]
    assert await _pages(log, parent="c3") == ["g3"]
    assert sorted(await _pages(log, root="top")) == sorted(["top", *(f"{kind}{i}" for i in range(5) for kind in "cg")])
    assert await _pages(log, root="other") == ["other"]
    assert await _pages(log, root="c3") == []


async def law_the_record_has_the_position_of_the_last_window(log: Log) -> None:
    """It is what ``append`` answered."""
    await log.append("a", [started("a")])
    position = await log.append("b", [started("b")])
    assert (await log.record("b")).position == position
    position = await log.append("a", [event(2, "a")])
    assert (await log.record("a")).position == position


async def law_unfinished_runs_are_listed_oldest_first(log: Log) -> None:
    """``unfinished`` has the runs of all tenants without a terminal event."""
    for run_id, tenant in (("a", ""), ("b", ""), ("c", "acme")):
        await log.append(run_id, [started(run_id)], tenant=tenant)
    await log.append("a", [completed(2, "a")])
    assert [(record.run_id, record.tenant) for record in await log.unfinished()] == [("b", ""), ("c", "acme")]


async def law_tenants_have_lists_of_their_own(log: Log) -> None:
    """A list, a record and a delete are of one tenant."""
    await log.append("r", [started(), completed(2)])
    await log.append("r", [started(workflow="theirs")], tenant="acme")
    assert (await log.record("r", tenant="acme")).workflow == "theirs"
    found = await log.records(status=None, workflow=None, before=None, limit=10, tenant="acme")
    assert [(record.run_id, record.tenant, record.workflow) for record in found] == [("r", "acme", "theirs")]
    assert await is_unknown(log.records(status=None, workflow=None, before="r", limit=10, tenant="other"), "r")
    await log.delete("r")
    assert await is_unknown(log.record("r"), "r")
    assert (await log.record("r", tenant="acme")).status == "running"


async def law_only_a_run_that_has_ended_is_deleted(log: Log) -> None:
    """``delete`` raises RunOpen for an open run and leaves it as it was."""
    await log.append("r", [started()])
    assert await _is_open(log.delete("r"), "r")
    assert [e.seq for e in await log.read("r", 0, 10)] == [1]
    await log.append("r", [completed(2)])
    await log.delete("r")


async def law_what_is_deleted_is_gone_and_its_id_is_free(log: Log) -> None:
    """Its events, payloads and record are gone, other runs stay, and a new run may take the id."""
    for run_id in ("other", "r"):
        await log.append(run_id, [started(run_id), event(2, run_id, blob=b"large"), completed(3, run_id)])
    position = (await log.record("r")).position
    await log.delete("r")
    for question in (log.record("r"), log.read("r", 0, 10), log.base("r"), log.blob("r", 2), log.delete("r")):
        assert await is_unknown(question, "r")
    assert await _pages(log) == ["other"]
    assert await log.blob("other", 2) == b"large"
    assert await log.append("r", [started(workflow="new")]) > position
    assert (await log.record("r")).workflow == "new"
    assert [e.seq for e in await log.read("r", 0, 10)] == [1]
    assert await log.blob("r", 2) is None


async def _is_open(question: Awaitable[None], run_id: str) -> bool:
    try:
        await question
    except RunOpen as error:
        return error.run_id == run_id
    return False


async def _pages(log: Log, **wanted: Unpack[RunFilter]) -> list[str]:
    found: list[str] = []
    before: str | None = None
    while page := await log.records(before=before, limit=2, **wanted):
        assert len(page) <= 2
        found += [record.run_id for record in page]
        before = found[-1]
    return found


Law = Callable[[Log], Awaitable[None]]

LAWS: Final[tuple[Law, ...]] = (
    law_the_record_says_what_the_events_said,
    law_records_come_newest_first_page_by_page,
    law_a_run_that_pauses_and_goes_on_is_listed_as_such,
    law_a_run_in_a_later_graph_is_listed_with_its_version,
    law_an_unknown_run_is_named,
    law_the_record_names_the_parent_and_the_root,
    law_records_are_found_by_parent_and_by_root,
    law_the_record_has_the_position_of_the_last_window,
    law_unfinished_runs_are_listed_oldest_first,
    law_tenants_have_lists_of_their_own,
    law_only_a_run_that_has_ended_is_deleted,
    law_what_is_deleted_is_gone_and_its_id_is_free,
    *listing_laws.LAWS,
)
"""All of them, for ``pytest.mark.parametrize``."""
