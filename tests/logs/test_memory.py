"""The bounds of the memory log, and the table of URL schemes."""

from __future__ import annotations

import asyncio
import re

import pytest

from reactor import UnknownRun
from reactor.events.fold import replay
from reactor.logs import schemes, stored_run
from reactor.logs.memory import MemoryLog
from reactor.logs.schemes import open_log
from reactor.testing.log_laws import completed, event, started, task_event
from reactor.waiting import NEXT_TURN

FORMS = "memory:// or sqlite:///path or redis://host:6379/0 or rediss://host:6379/0 or unix:///redis.sock"
"""How the URLs of all logs are written."""


async def test_above_its_events_a_run_is_trimmed_behind_a_base() -> None:
    """The oldest events go, the newest stay, and base plus kept events is still the whole state."""
    log = MemoryLog(max_events=50)
    events = [started(), task_event(2, executor="loop", index=0, total=1), *(event(seq) for seq in range(3, 201))]
    for begin in range(0, 200, 10):
        await log.append("r", events[begin : begin + 10])
        assert len(await log.read("r", 0, 1_000)) <= 50
    kept = await log.read("r", 0, 1_000)
    base = await log.base("r")
    record = await log.record("r")
    assert kept == events[base.seq :]
    assert (record.first_seq, record.last_seq) == (base.seq + 1, 200)
    assert base == replay("r", events[: base.seq])
    for e in kept:
        base.seq = e.seq
    assert base == replay("r", events)


@pytest.mark.parametrize("at_once", [1, 100])
async def test_a_large_base_is_copied_while_others_write(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others run meanwhile; the copy is the state before the first event that is kept, also where a hundred events come
    in each turn, so that it has to be trimmed although somebody copies."""
    monkeypatch.setattr(stored_run, "_AT_ONCE", 7)
    monkeypatch.setattr(stored_run, "turn_of", lambda _: NEXT_TURN)
    log, tasks = MemoryLog(max_events=200), 500
    events = [started(), *(task_event(seq, task=f"t{seq}", executor="loop") for seq in range(2, tasks))]
    await log.append("r", events)
    while len(events) < 20_000 and len(events) - tasks < 300 * at_once:
        copying = asyncio.create_task(log.base("r"))
        turns = 0
        while not copying.done():
            more = [event(seq) for seq in range(len(events) + 1, len(events) + 1 + at_once)]
            events += more
            await log.append("r", more)
            assert len(await log.read("r", 0, 1_000)) <= 400
            await asyncio.sleep(0)
            turns += 1
        assert turns > 3
        copied = await copying
        expected = replay("r", events[: min(copied.seq, tasks)])
        expected.seq = copied.seq
        assert copied == expected
        assert (await log.base("r")).seq >= copied.seq


async def test_above_its_bytes_a_run_is_trimmed_payloads_included() -> None:
    """Events and the payloads beside them count, and a trimmed event's payload is gone too."""
    log = MemoryLog(max_bytes=100_000)
    await log.append("r", [started()])
    for seq in range(2, 30):
        await log.append("r", [event(seq, blob=b"x" * 20_000)])
        kept = await log.read("r", 0, 1_000)
        blobs = [blob for e in kept if (blob := await log.blob("r", e.seq)) is not None]
        assert sum(map(len, blobs)) + sum(len(e.json) for e in kept) <= 100_000
    assert kept[-1].seq == 29
    assert await log.blob("r", 2) is None
    assert await log.blob("r", 29) == b"x" * 20_000


async def test_one_window_larger_than_the_bounds_is_taken_and_trimmed() -> None:
    """Nothing is refused for its size; the last event is always kept."""
    log = MemoryLog(max_events=5, max_bytes=1_000)
    await log.append("r", [started(), *(event(seq, text="x" * 2_000) for seq in range(2, 20))])
    assert [e.seq for e in await log.read("r", 0, 100)] == [19]
    assert (await log.base("r")).seq == 18


async def test_of_ended_runs_the_last_are_kept_and_open_ones_never_go() -> None:
    """The oldest ended run is forgotten first, whole; a run that has not ended stays however old it is."""
    log = MemoryLog(max_ended=3)
    await log.append("open", [started("open")])
    for i in range(6):
        await log.append(f"r{i}", [started(f"r{i}"), completed(2, f"r{i}")])
    listed = await log.records(status=None, workflow=None, before=None, limit=100)
    assert [record.run_id for record in listed] == ["r5", "r4", "r3", "open"]
    with pytest.raises(UnknownRun):
        await log.read("r0", 0, 10)


async def test_a_terminal_window_that_comes_again_forgets_nobody_else() -> None:
    """Repeating an append is harmless for the other runs too."""
    log = MemoryLog(max_ended=2)
    for run_id in ("a", "b"):
        await log.append(run_id, [started(run_id), completed(2, run_id)])
    for _ in range(5):
        await log.append("b", [completed(2, "b")])
    assert len(await log.read("a", 0, 10)) == 2


def test_a_url_that_names_no_log_is_refused_with_what_there_is() -> None:
    """The error names the schemes."""
    with pytest.raises(ValueError, match="memory://"):
        open_log("carrier-pigeon://roof")


def test_a_scheme_of_ones_own_opens_the_log_it_was_registered_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """``register_scheme`` adds a line to the table of schemes; the opener gets the whole URL, errors name the form."""
    monkeypatch.setattr(schemes, "SCHEMES", dict(schemes.SCHEMES))
    opened: dict[str, MemoryLog] = {}

    def open_pigeon(url: str) -> MemoryLog:
        opened[url] = MemoryLog()
        return opened[url]

    schemes.register_scheme("carrier-pigeon", open_pigeon, form="carrier-pigeon://roof")
    log = open_log("carrier-pigeon://roof?birds=3")
    assert log is opened["carrier-pigeon://roof?birds=3"]
    sentence = f"'owl://x' is not an event log URL: write {FORMS} or carrier-pigeon://roof"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        open_log("owl://x")
    with pytest.raises(ValueError, match="'memory' of event log URLs is registered already"):
        schemes.register_scheme("memory", open_pigeon)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("runs.db", "sqlite:///runs.db"),
        ("/var/lib/runs", "sqlite:////var/lib/runs"),
        ("data/runs", "sqlite:///data/runs"),
        ("C:\\runs.db", "sqlite:///C:\\runs.db"),
        ("sqlite:runs.db", "sqlite:///runs.db"),
        ("sqlite://runs.db", "sqlite:///runs.db"),
        ("sqlite:/var/runs.db", "sqlite:////var/runs.db"),
        ("sqlite:", "sqlite:///path"),
        ("postgres://host/0", FORMS),
        ("memory", FORMS),
        ("", FORMS),
    ],
)
def test_a_file_name_in_the_place_of_a_url_is_told_its_url(text: str, meant: str) -> None:
    """Nothing is opened: a name without its slashes could be another file."""
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is not an event log URL: write {meant}") + "$"):
        open_log(text)
