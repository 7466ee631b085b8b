"""The laws of an ``EventLog``: each an async function that takes a fresh, opened log of yours and asserts one law.

    @pytest.mark.parametrize("law", LOG_LAWS)  # from reactor.testing import LOG_LAWS
    async def test_the_log_keeps_the_law(law):
        await law(MyLog())

They append up to 50 small events a run, so no bound of a log should trim them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from reactor.errors import UnknownRun
from reactor.events.event import Draft, Event, task_head
from reactor.events.fold import replay
from reactor.ports.log import EventLog


def event(seq: int, run_id: str = "r", type: str = "number.said", *, blob: bytes | None = None, **data: Any) -> Event:
    """An event as the pipeline makes it."""
    draft = Draft(type, orjson.dumps(data), blob=blob)
    return Event.from_draft(seq, run_id, b"2026-11-21T02:51:00.%06dZ" % (seq % 1_000_000), draft)


def task_event(seq: int, run_id: str = "r", type: str = "task.started", task: str = "t", **data: Any) -> Event:
    """The same, of a task."""
    draft = Draft(type, orjson.dumps(data), task, task_head(task, task, None, 1))
    return Event.from_draft(seq, run_id, b"2026-11-21T02:51:00.%06dZ" % (seq % 1_000_000), draft)


def started(run_id: str = "r", workflow: str = "w", version: str = "1", parent: str | None = None) -> Event:
    """``run.started`` of a run with one task ``t``; ``parent``: the run that started it."""
    tasks = [{"id": "t", "kind": "task", "depends_on": list[str]()}]
    origin: dict[str, Any] = {} if parent is None else {"parent": {"run_id": parent, "task_id": "t"}}
    return event(1, run_id, "run.started", workflow=workflow, version=version, total_tasks=1, tasks=tasks, **origin)


def completed(seq: int, run_id: str = "r") -> Event:
    """The terminal event of a run that went well."""
    return event(seq, run_id, "run.completed", outputs={}, duration_ms=1.0)


async def law_what_was_appended_is_read_back_byte_for_byte(log: EventLog) -> None:
    """Reading gives the appended events in order, with the very JSON, type and task id they were appended with."""
    window = [started(), task_event(2, executor="loop", index=0, total=1), event(3, text="ü \u2028 \U0001f600")]
    await log.append("r", window)
    read = await log.read("r", 0, 100)
    assert [e.json for e in read] == [e.json for e in window]
    assert [(e.seq, e.run_id, e.type, e.task_id) for e in read] == [(e.seq, "r", e.type, e.task_id) for e in window]


async def law_a_read_continues_after_the_cursor_and_stops_at_the_limit(log: EventLog) -> None:
    """``read(after, limit)`` gives at most ``limit`` events with ``seq > after``, and none beyond the last."""
    events = [started(), *(event(seq) for seq in range(2, 51))]
    await log.append("r", events[:20])
    await log.append("r", events[20:])
    for after in (0, 1, 19, 20, 21, 49, 50, 51, 10_000):
        for limit in (1, 7, 100):
            assert await log.read("r", after, limit) == events[after : after + limit]


async def law_what_is_done_is_seen(log: EventLog) -> None:
    """When the future of an append is done, a read that begins then finds all of its window."""
    seen: list[int] = []
    for seq in range(1, 11):
        await log.append("r", [started() if seq == 1 else event(seq)])
        seen.append(len(await log.read("r", 0, 100)))
    assert seen == list(range(1, 11))


async def law_an_append_never_blocks_the_loop_and_answers_by_a_future(log: EventLog) -> None:
    """``append`` returns an asyncio future of the running loop."""
    done = log.append("r", [started()])
    assert asyncio.isfuture(done)
    assert done.get_loop() is asyncio.get_running_loop()
    await done


async def law_a_repeated_window_changes_nothing(log: EventLog) -> None:
    """A window is keyed (run, seq): after a failed commit the same one, or one that begins with it, may come again."""
    first, second = [started(), event(2)], [event(3), event(4)]
    for window in (first, first, second, second, [*first, *second], [event(4), event(5)]):
        await log.append("r", window)
    assert await log.read("r", 0, 100) == [*first, *second, event(5)]


async def law_a_gap_is_refused(log: EventLog) -> None:
    """A window that does not follow the last one is refused and leaves everything as it was."""
    await log.append("r", [started()])
    assert await _refuses(log, "r", [event(3)])
    assert [e.seq for e in await log.read("r", 0, 100)] == [1]


async def law_a_refused_first_window_makes_no_run(log: EventLog) -> None:
    """A run begins with seq 1; a window that does not leaves no run behind."""
    assert await _refuses(log, "r", [event(2)])
    assert await is_unknown(log.read("r", 0, 10), "r")


async def law_positions_number_the_windows_of_all_runs(log: EventLog) -> None:
    """Each window of each run has a position, above that of every window that was committed before it.

    A window that comes again has the position of the last window of its run.
    """
    windows = [(run_id, started(run_id) if seq == 1 else event(seq, run_id)) for seq in (1, 2, 3) for run_id in "ab"]
    positions = [await log.append(run_id, [only]) for run_id, only in windows]
    assert positions == sorted(set(positions))
    assert positions[0] >= 1
    assert await log.append("a", [event(3, "a")]) == positions[-2]


async def law_tenants_do_not_see_each_other(log: EventLog) -> None:
    """Two tenants may use the same run id: each has a run of its own. The tenant is ``""`` where none is named."""
    await log.append("r", [started(), event(2, said="nobody")])
    await log.append("r", [started(), event(2, said="acme", blob=b"acme")], tenant="acme")
    assert [e.data.get("said") for e in (await log.read("r", 1, 10))] == ["nobody"]
    assert [e.data.get("said") for e in (await log.read("r", 1, 10, tenant="acme"))] == ["acme"]
    assert await log.blob("r", 2) is None
    assert await log.blob("r", 2, tenant="acme") == b"acme"
    assert await is_unknown(log.read("r", 0, 10, tenant="other"), "r")


async def law_runs_are_independent(log: EventLog) -> None:
    """Windows of several runs in flight at once end up each in its own sequence."""
    windows = [(f"r{i}", [started(f"r{i}"), event(2, f"r{i}", i=i)]) for i in range(10)]
    await asyncio.gather(*(log.append(run_id, window) for run_id, window in windows))
    for run_id, window in windows:
        assert await log.read(run_id, 0, 100) == window


async def law_windows_of_a_run_are_kept_in_the_order_of_their_append(log: EventLog) -> None:
    """Windows handed over before the first one's future is done are committed in their order."""
    events = [started(), *(event(seq) for seq in range(2, 21))]
    await asyncio.gather(*(log.append("r", events[i : i + 2]) for i in range(0, 20, 2)))
    assert await log.read("r", 0, 100) == events


async def law_an_unknown_run_is_named(log: EventLog) -> None:
    """Whatever is asked of a run the log does not have raises UnknownRun with its id."""
    for question in (
        log.read("nobody", 0, 10),
        log.base("nobody"),
        log.blob("nobody", 1),
    ):
        assert await is_unknown(question, "nobody")


async def law_a_payload_beside_an_event_is_kept(log: EventLog) -> None:
    """``blob`` gives the bytes stored with an event, also after the event let go of them; None where there are none."""
    large = bytes(range(256)) * 1_024
    window = [started(), event(2, blob=large)]
    await log.append("r", window)
    window[1].blob = None
    assert await log.blob("r", 2) == large
    assert await log.blob("r", 1) is None
    assert await log.blob("r", 99) is None


async def law_the_base_and_the_kept_events_are_the_state(log: EventLog) -> None:
    """``base`` plus the events after it fold to the state; nothing trimmed means an empty base, owned by the caller."""
    events = [started(), task_event(2, executor="loop", index=0, total=1)]
    events.append(task_event(3, type="task.completed", output=1, duration_ms=1.0))
    await log.append("r", events)
    base = await log.base("r")
    assert base.seq == 0
    base.seq, base.status = 99, "failed"
    assert (await log.base("r")).seq == 0
    assert (await log.base("r")).status == "pending"
    assert replay("r", await log.read("r", 0, 100)) == replay("r", events)


async def _refuses(log: EventLog, run_id: str, window: list[Event]) -> bool:
    try:
        await log.append(run_id, window)
    except Exception:  # whichever: the engine makes LogLost of all
        return True
    return False


async def is_unknown(question: Awaitable[Any], run_id: str) -> bool:
    """Whether a question about a run is answered by UnknownRun with its id."""
    try:
        await question
    except UnknownRun as error:
        return error.run_id == run_id
    return False


Law = Callable[[EventLog], Awaitable[None]]

LAWS: Final[tuple[Law, ...]] = (
    law_what_was_appended_is_read_back_byte_for_byte,
    law_a_read_continues_after_the_cursor_and_stops_at_the_limit,
    law_what_is_done_is_seen,
    law_an_append_never_blocks_the_loop_and_answers_by_a_future,
    law_a_repeated_window_changes_nothing,
    law_a_gap_is_refused,
    law_a_refused_first_window_makes_no_run,
    law_positions_number_the_windows_of_all_runs,
    law_tenants_do_not_see_each_other,
    law_runs_are_independent,
    law_windows_of_a_run_are_kept_in_the_order_of_their_append,
    law_an_unknown_run_is_named,
    law_a_payload_beside_an_event_is_kept,
    law_the_base_and_the_kept_events_are_the_state,
)
"""All of them, for ``pytest.mark.parametrize``."""
