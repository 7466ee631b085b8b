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


def started(run_id: str = "r", workflow: str = "w", version: str = "1") -> Event:
    """``run.started`` of a run with one task ``t``."""
    tasks = [{"id": "t", "kind": "task", "depends_on": list[str]()}]
    return event(1, run_id, "run.started", workflow=workflow, version=version, total_tasks=1, tasks=tasks)


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
    assert await done is None


async def law_a_repeated_window_changes_nothing(log: EventLog) -> None:
    """A window is keyed (run, seq): after a failed commit the same one, or one that begins with it, may come again."""
    first, second = [started(), event(2)], [event(3), event(4)]
    for window in (first, first, second, second, [*first, *second], [event(4), event(5)]):
        await log.append("r", window)
    assert await log.read("r", 0, 100) == [*first, *second, event(5)]
    assert (await log.record("r")).last_seq == 5


async def law_a_gap_is_refused(log: EventLog) -> None:
    """A window that does not follow the last one is refused and leaves everything as it was."""
    await log.append("r", [started()])
    assert await _refuses(log, "r", [event(3)])
    assert [e.seq for e in await log.read("r", 0, 100)] == [1]


async def law_a_refused_first_window_makes_no_run(log: EventLog) -> None:
    """A run begins with seq 1; a window that does not leaves no run behind."""
    assert await _refuses(log, "r", [event(2)])
    assert await _is_unknown(log.record("r"))


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
        log.record("nobody"),
        log.records(status=None, workflow=None, before="nobody", limit=10),
    ):
        assert await _is_unknown(question, "nobody")


async def law_a_payload_beside_an_event_is_kept(log: EventLog) -> None:
    """``blob`` gives the bytes stored with an event, also after the event let go of them; None where there are none."""
    large = bytes(range(256)) * 1_024
    window = [started(), event(2, blob=large)]
    await log.append("r", window)
    window[1].blob = None
    assert await log.blob("r", 2) == large
    assert await log.blob("r", 1) is None
    assert await log.blob("r", 99) is None


async def law_the_record_says_what_the_events_said(log: EventLog) -> None:
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


async def law_records_come_newest_first_page_by_page(log: EventLog) -> None:
    """Pages that follow each other by ``before`` list every run once, the newest first, under each filter."""
    ids = [f"r{i}" for i in range(7)]
    for i, run_id in enumerate(ids):
        await log.append(run_id, [started(run_id, "odd" if i % 2 else "even")])
        if i < 3:
            await log.append(run_id, [completed(2, run_id)])
    assert await _pages(log, None, None) == ids[::-1]
    assert await _pages(log, "completed", None) == ["r2", "r1", "r0"]
    assert await _pages(log, None, "odd") == ["r5", "r3", "r1"]
    assert await _pages(log, "completed", "odd") == ["r1"]
    assert await _pages(log, "failed", None) == []


async def law_the_base_and_the_kept_events_are_the_state(log: EventLog) -> None:
    """``base`` plus the events after it fold to the state; nothing trimmed means an empty base, owned by the caller."""
    events = [started(), task_event(2, executor="loop", index=0, total=1)]
    events.append(task_event(3, type="task.completed", output=1, duration_ms=1.0))
    await log.append("r", events)
    base = await log.base("r")
    assert base.seq == 0
    base.seq, base.status = 99, "spoilt"
    assert (await log.base("r")).seq == 0
    assert (await log.base("r")).status == "pending"
    assert replay("r", await log.read("r", 0, 100)) == replay("r", events)


async def law_a_run_that_pauses_and_goes_on_is_listed_as_such(log: EventLog) -> None:
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


async def law_an_output_is_remembered_until_its_time_is_over(log: EventLog) -> None:
    """``recall`` gives what was last remembered under a key, byte for byte, and nothing from ``until`` on."""
    await log.remember("a", b"[1]", 10.0)
    await log.remember("b", bytes(range(256)), 20.0)
    assert (await log.recall("a", 9.9), await log.recall("a", 10.0)) == (b"[1]", None)
    assert (await log.recall("b", 19.0), await log.recall("c", 0.0)) == (bytes(range(256)), None)
    await log.remember("a", b"[2]", 30.0)
    assert await log.recall("a", 11.0) == b"[2]"


async def _refuses(log: EventLog, run_id: str, window: list[Event]) -> bool:
    try:
        await log.append(run_id, window)
    except Exception:  # whichever: the engine makes LogLost of all
        return True
    return False


async def _is_unknown(question: Awaitable[Any], run_id: str = "r") -> bool:
    try:
        await question
    except UnknownRun as error:
        return error.run_id == run_id
    return False


async def _pages(log: EventLog, status: str | None, workflow: str | None) -> list[str]:
    found: list[str] = []
    before: str | None = None
    while page := await log.records(status=status, workflow=workflow, before=before, limit=2):
        assert len(page) <= 2
        found += [record.run_id for record in page]
        before = found[-1]
    return found


Law = Callable[[EventLog], Awaitable[None]]

LAWS: Final[tuple[Law, ...]] = (
    law_what_was_appended_is_read_back_byte_for_byte,
    law_a_read_continues_after_the_cursor_and_stops_at_the_limit,
    law_what_is_done_is_seen,
    law_an_append_never_blocks_the_loop_and_answers_by_a_future,
    law_a_repeated_window_changes_nothing,
    law_a_gap_is_refused,
    law_a_refused_first_window_makes_no_run,
    law_runs_are_independent,
    law_windows_of_a_run_are_kept_in_the_order_of_their_append,
    law_an_unknown_run_is_named,
    law_a_payload_beside_an_event_is_kept,
    law_the_record_says_what_the_events_said,
    law_records_come_newest_first_page_by_page,
    law_the_base_and_the_kept_events_are_the_state,
    law_a_run_that_pauses_and_goes_on_is_listed_as_such,
    law_an_output_is_remembered_until_its_time_is_over,
)
"""All of them, for ``pytest.mark.parametrize``."""
