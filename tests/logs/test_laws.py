"""The law suites of all ports of a log, over both logs there are and over what stands in for a port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reactor.logs.embedded import MemoryAnswers, MemoryDigestKey, MemoryOutputs, MemoryStops
from reactor.logs.memory import MemoryLog
from reactor.logs.sqlite.log import SqliteLog
from reactor.testing import (
    CHECKPOINT_LAWS,
    DIGEST_KEY_LAWS,
    IDEMPOTENCY_LAWS,
    INDEX_LAWS,
    LOG_LAWS,
    ORDER_LAWS,
    OUTPUT_LAWS,
    RUNS_LAWS,
    SCHEDULE_LAWS,
    STOP_LAWS,
    WHOLE_LAWS,
    LogAround,
    index_laws,
    log_laws,
    runs_laws,
    schedule_laws,
    store_laws,
)

AnyLog = MemoryLog | SqliteLog | LogAround


@pytest.fixture(params=["memory", "sqlite", "around"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyLog]:
    kinds = {
        "memory": MemoryLog,
        "sqlite": lambda: SqliteLog(tmp_path / "runs.db"),
        "around": lambda: LogAround(MemoryLog()),
    }
    opened: AnyLog = kinds[request.param]()
    await opened.open()
    yield opened
    await opened.close()


def name_of(law: object) -> str:
    return law.__name__  # type: ignore[attr-defined]


@pytest.mark.parametrize("law", LOG_LAWS, ids=name_of)
async def test_events(law: log_laws.Law, log: AnyLog) -> None:
    """A log keeps the laws of ``EventLog``."""
    await law(log)


@pytest.mark.parametrize("law", INDEX_LAWS, ids=name_of)
async def test_the_list_of_runs(law: index_laws.Law, log: AnyLog) -> None:
    """A log keeps the laws of ``RunIndex``."""
    await law(log)


@pytest.mark.parametrize("law", OUTPUT_LAWS, ids=name_of)
async def test_outputs(law: store_laws.OutputLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``OutputStore``."""
    await law(log)


@pytest.mark.parametrize("law", CHECKPOINT_LAWS, ids=name_of)
async def test_checkpoints(law: store_laws.CheckpointLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``Checkpoints``."""
    await law(log)


@pytest.mark.parametrize("law", IDEMPOTENCY_LAWS, ids=name_of)
async def test_answers(law: store_laws.IdempotencyLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``Idempotency``."""
    await law(log)


@pytest.mark.parametrize("law", WHOLE_LAWS, ids=name_of)
async def test_the_order_of_all_commits(law: store_laws.WholeLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``WholeOrder``."""
    await law(log)


@pytest.mark.parametrize("law", RUNS_LAWS, ids=name_of)
async def test_the_order_of_commits_of_some_runs(law: runs_laws.RunsLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``RunsOrder``."""
    await law(log)


@pytest.mark.parametrize("law", ORDER_LAWS, ids=name_of)
async def test_the_order_of_commits(law: store_laws.OrderLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``CommitOrder``."""
    await law(log)


@pytest.mark.parametrize("law", STOP_LAWS, ids=name_of)
async def test_clean_stops(law: store_laws.StopLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``CleanStops``."""
    await law(log)


@pytest.mark.parametrize("law", DIGEST_KEY_LAWS, ids=name_of)
async def test_the_key_of_digests(law: store_laws.DigestKeyLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``DigestKey``."""
    await law(log)


@pytest.mark.parametrize("law", SCHEDULE_LAWS, ids=name_of)
async def test_schedules(law: schedule_laws.ScheduleLaw, log: AnyLog) -> None:
    """A log keeps the laws of ``ScheduleStore``."""
    await law(log)


async def test_the_key_of_digests_survives_a_restart_and_is_that_of_its_file(tmp_path: Path) -> None:
    """Two files have two keys; one file has the same key whoever opens it."""
    keys: list[bytes] = []
    for name in ("a", "b", "a"):
        log = SqliteLog(tmp_path / f"{name}.db")
        await log.open()
        keys.append(await log.digest_key())
        await log.close()
    assert keys[0] == keys[2] != keys[1]


async def test_what_stands_in_for_a_port_keeps_its_laws() -> None:
    """The stand-ins that an engine uses for a log without these ports."""
    for law in OUTPUT_LAWS:
        await law(MemoryOutputs())
    for law in (store_laws.law_a_key_has_the_answer_that_was_kept_last, store_laws.law_the_last_answers_of_a_run_stay):
        await law(MemoryAnswers())
    for law in STOP_LAWS:
        await law(MemoryStops())
    for law in DIGEST_KEY_LAWS:
        await law(MemoryDigestKey())
