"""Kept states: whoever loads a long run folds only what came after the nearest one, and sees the same state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import Context, Engine, Workflow, bounds
from reactor.events.event import Event
from reactor.events.fold import evolve, replay
from reactor.events.state import RunState, TaskState
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.stream.checkpoints import decode_state, encode_state, load_state
from reactor.testing import LogAround, log_laws
from tests.events.golden.record import FOLDER, read

GOLDEN = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


class CountingLog(LogAround):
    """Counts the events that are read, and may refuse checkpoints."""

    def __init__(self, inner: MemoryLog | SqliteLog) -> None:
        super().__init__(inner)
        self.events_read = 0
        self.refuses = False

    async def read(self, run_id: str, after: int, limit: int, *, tenant: str = "") -> list[Event]:
        events = await super().read(run_id, after, limit, tenant=tenant)
        self.events_read += len(events)
        return events

    def keep_checkpoint(self, run_id: str, seq: int, state: bytes, *, tenant: str = "") -> asyncio.Future[None]:
        if self.refuses:
            raise OSError("no space left")
        return super().keep_checkpoint(run_id, seq, state, tenant=tenant)


@pytest.fixture(params=["memory", "sqlite"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CountingLog]:
    counting = CountingLog(MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "runs.db"))
    await counting.open()
    yield counting
    await counting.close()


@pytest.fixture
def every_ten_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CHECKPOINT_EVENTS", 10)
    monkeypatch.setattr(bounds, "READ_EVENTS", 5)


def long_run(count: int) -> list[Event]:
    """A run of so many events: a task that starts, and says numbers."""
    said = [log_laws.event(seq, number=seq) for seq in range(3, count)]
    return [
        log_laws.started(),
        log_laws.task_event(2, executor="loop", index=0, total=1),
        *said,
        log_laws.completed(count),
    ]


@given(name=st.sampled_from(GOLDEN), data=st.data())
def test_a_kept_state_and_the_events_after_it_are_the_state(name: str, data: st.DataObject) -> None:
    """fold(checkpoint, rest) == fold(all), wherever the run is cut, equal in every field."""
    events, _ = read(name)
    cut = data.draw(st.integers(0, len(events)))

    async def through_bytes() -> RunState | None:
        return await decode_state(await encode_state(replay(events[0].run_id, events[:cut])))

    state = asyncio.run(through_bytes())
    assert state is not None
    for event in events[cut:]:
        evolve(state, event)
    assert state == replay(events[0].run_id, events)


@pytest.mark.usefixtures("every_ten_events")
async def test_a_load_starts_from_the_nearest_kept_state(log: CountingLog) -> None:
    """The first load folds everything; the next ones what came after the last kept state; each gives the same state."""
    events = long_run(100)
    await log.append("r", events)
    assert await load_state(log, log, "r") == replay("r", events)
    assert log.events_read == 100
    await log.append("other", [log_laws.started("other")])  # the log writes in order: what was to be kept is kept
    log.events_read = 0
    assert await load_state(log, log, "r") == replay("r", events)
    assert log.events_read <= 10
    for seq in (95, 81, 40, 7):
        assert await load_state(log, log, "r", seq) == replay("r", events[:seq])


@pytest.mark.usefixtures("every_ten_events")
async def test_what_was_trimmed_since_makes_an_old_kept_state_useless() -> None:
    """The base is taken where it is newer: after the kept state there would be a gap."""
    log = CountingLog(MemoryLog(max_events=20))
    events = long_run(80)
    await log.append("r", events[:15])
    assert (await load_state(log, log, "r")).seq == 15
    assert await log.checkpoint("r", 15) is not None
    await log.append("r", events[15:])
    assert (await log.base("r")).seq > 15
    assert await load_state(log, log, "r") == replay("r", events)


@pytest.mark.usefixtures("every_ten_events")
async def test_a_kept_state_of_another_version_or_in_ruins_is_not_used(log: CountingLog) -> None:
    """The events are folded again: a state of another version may lack what this one knows."""
    events = long_run(50)
    await log.append("r", events)
    strange = replay("r", events)
    strange.status = "strange"
    head, *tasks = (await encode_state(strange)).split(b"\n")
    other = orjson.dumps({**orjson.loads(head), "form": "other"})
    for spoilt in (b"\n".join([other, *tasks]), b"{", b""):
        await log.keep_checkpoint("r", 50, spoilt)
        assert await load_state(log, log, "r") == replay("r", events)


@pytest.mark.usefixtures("every_ten_events")
async def test_a_store_that_refuses_harms_nobody(log: CountingLog) -> None:
    """The state is folded from the events, each time."""
    events = long_run(50)
    await log.append("r", events)
    log.refuses = True
    for _ in range(2):
        log.events_read = 0
        assert await load_state(log, log, "r") == replay("r", events)
        assert log.events_read == 50


async def test_others_use_the_loop_while_a_large_state_is_kept_and_read() -> None:
    """20,000 tasks are written and read in at least 100 steps each."""
    state = RunState("r", seq=9, tasks={f"t{i}": TaskState(f"t{i}", "t", depends_on=("a",)) for i in range(20_000)})
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    kept = await encode_state(state)
    written = turns
    assert await decode_state(kept) == state
    counting.cancel()
    assert written >= 100
    assert turns - written >= 100


async def test_an_engine_keeps_states_of_long_runs_and_a_restart_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first engine that reads an ended run keeps states; the next one reads only its end."""
    monkeypatch.setattr(bounds, "CHECKPOINT_EVENTS", 1_000)
    flow = Workflow("long")

    @flow.task
    async def talk(ctx: Context) -> None:
        for number in range(5_000):
            await ctx.emit("line.said", {"number": number})

    async with Engine(f"sqlite:///{tmp_path}/runs.db", workflows=[flow]) as engine:
        run = await engine.start(flow, run_id="r")
        await run
    read: list[int] = []
    for _ in range(2):
        log = CountingLog(SqliteLog(tmp_path / "runs.db"))
        async with Engine(log, workflows=[flow]) as engine:
            assert (await engine.get("r")).state == run.state
        read.append(log.events_read)
    assert read[0] > 5_000
    assert read[1] <= 2_000
