"""Clients of three nodes on one Redis are told of one log, whatever becomes of the nodes, their network and Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.histories.faults import NODES, schedule
from benchmarks.histories.parts import Process
from benchmarks.histories.rounds import RUNS, Round
from tests.helpers.redis import find_redis
from tests.helpers.warm import Started, start_python

SECONDS = float(os.environ.get("HISTORY_SECONDS", "30"))


class Warm:
    """Starts nodes that need not import anything."""

    def __init__(self) -> None:
        self._started: list[Started] = []

    def __call__(self, words: Sequence[str], environment: dict[str, str]) -> Process:
        self._started.append(started := start_python(*words, quiet=True, **environment))
        return started

    def close(self) -> None:
        for started in self._started:
            started.close_pipes()


@pytest.fixture
def warm() -> Iterator[Warm]:
    warm = Warm()
    yield warm
    warm.close()


@pytest.mark.slow
async def test_what_clients_are_told_is_one_log(tmp_path: Path, warm: Warm) -> None:
    """200 runs with maps, children, questions and sessions, commanded and followed on any node and in their processes.
    Nodes are killed, stopped, drained and cut off meanwhile, and Redis is killed and ended. See ``check_histories``.

    ``HISTORY_SEED`` does the same to the same parts again; ``python -m benchmarks.histories`` does many rounds.
    """
    find_redis()
    seed = os.environ.get("HISTORY_SEED", str(time.time_ns()))
    print(f"HISTORY_SEED={seed}")
    outcome = await Round(seed, tmp_path, seconds=SECONDS, starts=warm).play()
    print(dict(outcome.figures), f"by {outcome.network}")
    assert outcome.faults == [], f"HISTORY_SEED={seed}"
    assert outcome.figures["runs"] > RUNS
    assert all(outcome.figures[kind] for kind in ("kill", "stop", "cut", "drain", "redis killed", "redis ended"))
    assert outcome.figures["recoveries"]


def test_a_seed_does_the_same_again() -> None:
    """The same parts at the same times; every kind of fault once at least; no node is taken away twice at once."""
    faults = schedule("7", 30.0)
    assert schedule("7", 30.0) == faults != schedule("8", 30.0)
    assert {fault.kind for fault in faults} == {"kill", "stop", "cut", "drain", "redis killed", "redis ended"}
    for node in range(NODES):
        mine = [fault for fault in faults if fault.node == node]
        assert all(one.at + one.seconds < other.at for one, other in pairwise(mine))
