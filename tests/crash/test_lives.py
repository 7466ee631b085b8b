"""A hundred lives: whatever the moment at which a server is killed, the log is right, and nothing is done twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.running import run

SEED = os.environ.get("CRASH_SEED", "20261130")
LIVES = int(os.environ.get("CRASH_LIVES", "100"))
WORLDS = 4


@pytest.mark.slow
async def test_a_hundred_lives_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """What bodies did, what commands were answered, what followers were shown and what the log has are the same."""
    print(f"CRASH_SEED={SEED}")
    outcome = await run(tmp_path, SEED, LIVES, WORLDS)
    print(outcome)
    assert not outcome.faults, f"CRASH_SEED={SEED}: " + "\n".join(outcome.faults[:20])
    assert outcome.figures["lives"] == LIVES
    assert outcome.kills.keys() >= {"line", "window", "answer", "shown", "commit", "boot", "stopped"}
    assert outcome.figures["bodies run again"] > 0
