"""``kill -9`` between storing that a time has come and storing that its run has started."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from reactor import Engine
from reactor.testing import VirtualClock
from tests.helpers.warm import start_python
from tests.schedules.killed import flow
from tests.schedules.waiting import found


@pytest.mark.parametrize("catch_up", ["one", "all", "none"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_kill_loses_no_time_and_starts_none_twice(tmp_path: Path, moment: str, catch_up: Any) -> None:
    """The next engine, an hour later, has the run of 7:00 once, also where nothing is caught up with."""
    file = tmp_path / "runs.db"
    with start_python(Path(__file__).with_name("killed.py"), file, moment, catch_up) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    clock = VirtualClock("2026-01-01T07:59:59Z", jumps=False)
    async with Engine(f"sqlite:///{file}", clock=clock, workflows=[flow]) as engine:
        assert await (await found(engine, "census~20260101T070000Z")) == {"work": 1}
        clock.jump(1)
        assert await (await found(engine, "census~20260101T080000Z")) == {"work": 1}
        records = await engine.list()
        assert [record.run_id[-7:] for record in records] == ["080000Z", "070000Z"]
