"""The laws of what may be kept beside the events: each takes a fresh, opened store of yours and asserts one law.

    @pytest.mark.parametrize("law", OUTPUT_LAWS)
    async def test_the_store_of_outputs_keeps_the_law(law):
        await law(MyOutputs())

``CHECKPOINT_LAWS``, ``IDEMPOTENCY_LAWS``, ``ORDER_LAWS`` and ``WHOLE_LAWS`` take a log, since what they are about
belongs to runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from reactor import bounds
from reactor.ports.order import CommitOrder, Committed, Removed, WholeOrder
from reactor.ports.outputs import OutputStore
from reactor.ports.stores import Checkpoints, CleanStops, DigestKey, Idempotency, Log
from reactor.testing.log_laws import completed, event, started


class CheckpointedLog(Log, Checkpoints, Protocol):
    """A log that keeps checkpoints."""


class OrderedLog(Log, CommitOrder, Protocol):
    """A log that keeps the order of commits."""


class WholeLog(Log, WholeOrder, Protocol):
    """A log that keeps the order of all commits."""


class AnsweringLog(Log, Idempotency, Protocol):
    """A log that remembers answers."""


# --- OutputStore ---


async def law_an_output_is_remembered_until_its_time_is_over(store: OutputStore) -> None:
    """``recall`` gives what was last remembered under a key, byte for byte, and nothing from ``until`` on."""
    await store.remember("a", b"[1]", 10.0)
    await store.remember("b", bytes(range(256)), 20.0)
    assert (await store.recall("a", 9.9), await store.recall("a", 10.0)) == (b"[1]", None)
    assert (await store.recall("b", 19.0), await store.recall("c", 0.0)) == (bytes(range(256)), None)
    await store.remember("a", b"[2]", 30.0)
    assert await store.recall("a", 11.0) == b"[2]"


async def law_an_output_is_found_under_its_own_key_only(store: OutputStore) -> None:
    """Keys are compared whole, whatever characters they have."""
    keys = ["flow/1/task/a", "flow/1/task/A", "flow/1/task/a ", "flow/1/task/\u00e4", "%", ""]
    for i, key in enumerate(keys):
        await store.remember(key, b"%d" % i, float("inf"))
    assert [await store.recall(key, 1e12) for key in keys] == [b"%d" % i for i in range(len(keys))]


# --- Checkpoints ---


async def law_the_nearest_checkpoint_is_found(log: CheckpointedLog) -> None:
    """``checkpoint(run, until)`` gives the state with the highest seq up to ``until``, byte for byte; None below."""
    await log.append("r", [started()])
    for seq in (20, 10):
        await log.keep_checkpoint("r", seq, bytes(range(256)) + b"%d" % seq)
    found = [await log.checkpoint("r", until) for until in (9, 10, 19, 20, 1_000)]
    assert found == [None, *(bytes(range(256)) + seq for seq in (b"10", b"10", b"20", b"20"))]
    assert await log.checkpoint("nobody", 1_000) is None


async def law_a_checkpoint_may_be_kept_again(log: CheckpointedLog) -> None:
    """The later one of the same seq counts."""
    await log.append("r", [started()])
    await log.keep_checkpoint("r", 10, b"first")
    await log.keep_checkpoint("r", 10, b"second")
    assert await log.checkpoint("r", 10) == b"second"


async def law_the_last_checkpoints_of_a_run_stay(log: CheckpointedLog) -> None:
    """Of each run the ``bounds.CHECKPOINTS`` highest are kept."""
    for run_id in ("a", "b"):
        await log.append(run_id, [started(run_id)])
    await log.keep_checkpoint("b", 1, b"b")
    most = bounds.CHECKPOINTS
    for seq in range(1, most + 3):
        await log.keep_checkpoint("a", seq, b"%d" % seq)
    found = [await log.checkpoint("a", seq) for seq in range(1, most + 3)]
    assert found == [None, None, *(b"%d" % seq for seq in range(3, most + 3))]
    assert await log.checkpoint("b", 9) == b"b"


async def law_checkpoints_belong_to_a_tenant_and_go_with_their_run(log: CheckpointedLog) -> None:
    """Another tenant's run of the same id has its own; ``delete`` takes them along."""
    for tenant in ("", "acme"):
        await log.append("r", [started(), completed(2)], tenant=tenant)
        await log.keep_checkpoint("r", 2, tenant.encode(), tenant=tenant)
    await log.delete("r")
    await log.append("r", [started()])
    assert await log.checkpoint("r", 9) is None
    assert await log.checkpoint("r", 9, tenant="acme") == b"acme"


# --- Idempotency ---


async def law_a_key_has_the_answer_that_was_kept_last(store: Idempotency) -> None:
    """Byte for byte; a key that was never seen has none."""
    assert await store.answer("k") is None
    await store.keep_answer("k", b"first")
    await store.keep_answer("other", bytes(range(256)))
    await store.keep_answer("k", b"second")
    assert (await store.answer("k"), await store.answer("other")) == (b"second", bytes(range(256)))


async def law_a_key_belongs_to_its_run_and_tenant(store: Idempotency) -> None:
    """The same key of another run, of no run or of another tenant is another key."""
    places = [("", ""), ("r", ""), ("s", ""), ("r", "acme")]
    for run_id, tenant in places:
        await store.keep_answer("k", f"{run_id}/{tenant}".encode(), run_id=run_id, tenant=tenant)
    found = [await store.answer("k", run_id=run_id, tenant=tenant) for run_id, tenant in places]
    assert found == [f"{run_id}/{tenant}".encode() for run_id, tenant in places]
    assert await store.answer("k", tenant="other") is None


async def law_the_last_answers_of_a_run_stay(store: Idempotency) -> None:
    """Of one run ``bounds.RUN_ANSWERS`` keys are kept, the ones used first go first; other keys stay."""
    await store.keep_answer("k", b"no run")
    await store.keep_answer("k", b"other run", run_id="s")
    for i in range(bounds.RUN_ANSWERS + 2):
        await store.keep_answer(f"k{i}", b"%d" % i, run_id="r")
    found = [await store.answer(f"k{i}", run_id="r") for i in (0, 1, 2, bounds.RUN_ANSWERS + 1)]
    assert found == [None, None, b"2", b"%d" % (bounds.RUN_ANSWERS + 1)]
    assert (await store.answer("k"), await store.answer("k", run_id="s")) == (b"no run", b"other run")


async def law_answers_go_with_their_run(log: AnsweringLog) -> None:
    """``delete`` of a run forgets the keys that belong to it, and no others."""
    await log.append("r", [started(), completed(2)])
    await log.keep_answer("k", b"run", run_id="r")
    await log.keep_answer("k", b"no run")
    await log.delete("r")
    assert await log.answer("k", run_id="r") is None
    assert await log.answer("k") == b"no run"


# --- CleanStops ---


async def law_a_clean_stop_is_told_once(store: CleanStops) -> None:
    """None at first; True after a mark; False where the engine that took the mark left none."""
    assert await store.take_stop() is None
    assert await store.take_stop() is False
    await store.mark_stop()
    assert await store.take_stop() is True
    assert await store.take_stop() is False


# --- DigestKey ---


async def law_the_key_of_digests_stays(store: DigestKey) -> None:
    """32 bytes, the same at every call, and not a constant."""
    key = await store.digest_key()
    assert len(key) == 32
    assert len(set(key)) > 4
    assert await store.digest_key() == key


# --- CommitOrder ---


async def law_the_windows_of_a_tree_come_in_the_order_of_their_commits(log: OrderedLog) -> None:
    """Of each run of the tree and of no other, each once, also page by page and from any position on."""
    positions: dict[int, tuple[str, list[int]]] = {}
    for run_id, parent in (("top", None), ("other", None), ("a", "top"), ("a.x", "a"), ("b", "top")):
        position = await log.append(run_id, [started(run_id, parent=parent), event(2, run_id)])
        positions[position] = (run_id, [1, 2])
    for run_id in ("b", "a.x", "top", "other", "a", "top"):
        seq = (await log.record(run_id)).last_seq + 1
        positions[await log.append(run_id, [event(seq, run_id)])] = (run_id, [seq])
    wanted = [(at, *positions[at]) for at in sorted(positions) if positions[at][0] != "other"]
    for after in (0, *positions, max(positions) + 1):
        for limit in (1, 2, 100):
            found = await _windows(log, after, limit, root="top")
            seen = [(window.position, window.run_id, [event.seq for event in window.events]) for window in found]
            assert seen == [window for window in wanted if window[0] > after], f"after {after}, pages of {limit}"
    everything = await _windows(log, 0, 100, root="top")
    assert [(window.run_id, window.first_seq, window.before) for window in everything if window.run_id == "top"] == [
        ("top", 1, 0), ("top", 3, 2), ("top", 4, 3),
    ]  # fmt: skip
    assert [e.json for e in everything[0].events] == [e.json for e in await log.read("top", 0, 2)]
    assert await log.committed(0, 100, root="a") == await log.committed(0, 100, root="nobody") == []


async def _windows(log: OrderedLog, after: int, limit: int, *, root: str) -> list[Committed]:
    """All windows after a position, page by page."""
    found: list[Committed] = []
    while page := await log.committed(found[-1].position if found else after, limit, root=root):
        assert len(page) <= limit
        found += page
    return found


async def law_nothing_is_read_behind_the_end_of_a_root(log: OrderedLog) -> None:
    """A child run that a crash has left open ends after it, and its events belong to no stream of the tree."""
    await log.append("top", [started("top")])
    await log.append("a", [started("a", parent="top")])
    await log.append("a", [event(2, "a")])
    await log.append("top", [completed(2, "top")])
    await log.append("a", [completed(3, "a")])
    found = [(window.run_id, window.first_seq) for window in await _windows(log, 0, 100, root="top")]
    assert found == [("top", 1), ("a", 1), ("a", 2), ("top", 2)]


async def law_a_page_of_windows_has_a_bound_of_bytes(log: OrderedLog) -> None:
    """Windows above it come one a page, and none is left out."""
    await log.append("top", [started("top")])
    for seq in range(2, 6):
        await log.append("top", [event(seq, "top", text="x" * (bounds.READ_BYTES // 2))])
    at, pages = 0, list[int]()
    while page := await log.committed(at, 100, root="top"):
        pages.append(len(page))
        at = page[-1].position
    assert sum(pages) == 5
    assert len(pages) >= 3


async def law_trees_belong_to_a_tenant(log: OrderedLog) -> None:
    """A tree of the same root under another tenant is another tree."""
    await log.append("top", [started("top")])
    await log.append("top", [started("top"), event(2, "top")], tenant="acme")
    found = await log.committed(0, 100, root="top", tenant="acme")
    assert [[event.seq for event in window.events] for window in found] == [[1, 2]]
    assert await log.committed(0, 100, root="top", tenant="other") == []


# --- WholeOrder ---


async def law_the_windows_of_all_runs_come_in_the_order_of_their_commits(log: WholeLog) -> None:
    """Each once, page by page and from any position on; of this tenant only."""
    wanted = [(await log.append(id, [started(id), event(2, id)]), id, [1, 2]) for id in ("a", "b", "c")]
    await log.append("a", [started("a")], tenant="acme")
    for run_id in ("c", "a", "a", "b"):
        seq = (await log.record(run_id)).last_seq + 1
        wanted.append((await log.append(run_id, [event(seq, run_id)]), run_id, [seq]))
    for after in (0, *(position for position, _, _ in wanted), wanted[-1][0] + 5):
        for limit in (1, 2, 100):
            found = await _entries(log, after, limit)
            seen = [(at.position, at.run_id, [e.seq for e in at.events]) for at in found if isinstance(at, Committed)]
            assert seen == [window for window in wanted if window[0] > after], f"after {after}, pages of {limit}"
            assert len(seen) == len(found)
    assert [at.run_id for at in await log.whole(0, 100, tenant="acme")] == ["a"]


async def law_a_deleted_run_is_told_in_place_of_its_last_window(log: WholeLog) -> None:
    """To who is behind that position, with its last seq; whatever else is kept stays as it is."""
    await log.append("top", [started("top")])
    await log.append("a", [started("a", parent="top")])
    await log.append("b", [started("b")])
    gone = await log.append("a", [event(2, "a"), completed(3, "a")])
    last = await log.append("b", [event(2, "b")])
    await log.append("top", [completed(2, "top")])
    await log.delete("a")
    for limit in (1, 100):
        found = await _entries(log, 0, limit)
        assert [(at.run_id, type(at)) for at in found] == [
            ("top", Committed), ("b", Committed), ("a", Removed), ("b", Committed), ("top", Committed),
        ]  # fmt: skip
        (removed,) = [at for at in found if isinstance(at, Removed)]
        assert (removed.position, removed.last_seq, removed.parent) == (gone, 3, "top")
        assert (await _entries(log, gone, limit))[0].position == last
    await log.append("a", [started("a")])
    assert [type(at) for at in await _entries(log, 0, 100) if at.run_id == "a"] == [Removed, Committed]


async def law_a_page_of_all_windows_has_a_bound_of_bytes(log: WholeLog) -> None:
    """Windows above it come one a page, and none is left out."""
    await log.append("a", [started("a")])
    for seq in range(2, 6):
        await log.append("a", [event(seq, "a", text="x" * (bounds.READ_BYTES // 2))])
    at, pages = 0, list[int]()
    while page := await log.whole(at, 100):
        pages.append(len(page))
        at = page[-1].position
    assert (sum(pages), len(pages) >= 3) == (5, True)


async def _entries(log: WholeLog, after: int, limit: int) -> list[Committed | Removed]:
    """All that stands behind a position, page by page."""
    found: list[Committed | Removed] = []
    while page := await log.whole(found[-1].position if found else after, limit):
        assert len(page) <= limit
        found += page
    return found


OrderLaw = Callable[[OrderedLog], Awaitable[None]]
WholeLaw = Callable[[WholeLog], Awaitable[None]]
OutputLaw = Callable[[OutputStore], Awaitable[None]]
CheckpointLaw = Callable[[CheckpointedLog], Awaitable[None]]
IdempotencyLaw = Callable[[AnsweringLog], Awaitable[None]]
StopLaw = Callable[[CleanStops], Awaitable[None]]
DigestKeyLaw = Callable[[DigestKey], Awaitable[None]]

OUTPUT_LAWS: Final[tuple[OutputLaw, ...]] = (
    law_an_output_is_remembered_until_its_time_is_over,
    law_an_output_is_found_under_its_own_key_only,
)
CHECKPOINT_LAWS: Final[tuple[CheckpointLaw, ...]] = (
    law_the_nearest_checkpoint_is_found,
    law_a_checkpoint_may_be_kept_again,
    law_the_last_checkpoints_of_a_run_stay,
    law_checkpoints_belong_to_a_tenant_and_go_with_their_run,
)
IDEMPOTENCY_LAWS: Final[tuple[IdempotencyLaw, ...]] = (
    law_a_key_has_the_answer_that_was_kept_last,
    law_a_key_belongs_to_its_run_and_tenant,
    law_the_last_answers_of_a_run_stay,
    law_answers_go_with_their_run,
)
ORDER_LAWS: Final[tuple[OrderLaw, ...]] = (
    law_the_windows_of_a_tree_come_in_the_order_of_their_commits,
    law_nothing_is_read_behind_the_end_of_a_root,
    law_a_page_of_windows_has_a_bound_of_bytes,
    law_trees_belong_to_a_tenant,
)
WHOLE_LAWS: Final[tuple[WholeLaw, ...]] = (
    law_the_windows_of_all_runs_come_in_the_order_of_their_commits,
    law_a_deleted_run_is_told_in_place_of_its_last_window,
    law_a_page_of_all_windows_has_a_bound_of_bytes,
)
STOP_LAWS: Final[tuple[StopLaw, ...]] = (law_a_clean_stop_is_told_once,)
DIGEST_KEY_LAWS: Final[tuple[DigestKeyLaw, ...]] = (law_the_key_of_digests_stays,)
