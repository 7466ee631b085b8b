"""The state that the JavaScript client folds is the server's, after every event, in exact numbers."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from reactor.events.event import Event
from reactor.events.fold import _FOLDS, evolve  # pyright: ignore[reportPrivateUsage]
from reactor.events.state import RunState
from tests.helpers.any_log import AnyLog
from tests.helpers.canonical import as_text, canonical
from tests.helpers.dags import Spec
from tests.helpers.node import node_script
from tests.helpers.paths import ROOT
from tests.helpers.recorded_runs import STOPS, record, small_dags

GOLDEN = sorted((ROOT / "tests/events/golden").glob("*.jsonl"))
Log = list[Event]


def folded(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the client makes of each line: ``{states, shown}``. One process for all."""
    text = "\n".join(json.dumps(line) for line in lines)
    done = subprocess.run(node_script("fold.mjs"), input=text, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def texts(log: Sequence[Event]) -> list[str]:
    return [event.json.decode() for event in log]


def states_of(log: Log) -> list[dict[str, Any]]:
    """The server's canonical state after each event."""
    state = RunState(log[0].run_id)
    return [canonical(evolve(state, event)) for event in log]


def state_at(log: Log, seq: int) -> RunState:
    state = RunState(log[0].run_id)
    for event in log[:seq]:
        evolve(state, event)
    return state


def agree(log: Sequence[Event], expected: list[dict[str, Any]], answer: dict[str, Any]) -> None:
    for event, ours, theirs in zip(log, expected, answer["states"], strict=True):
        assert theirs == ours, f"{event.run_id} after {event.seq} ({event.type})"
    if log:
        assert as_text(answer["states"][-1]) == as_text(expected[-1])  # tells true from 1, which == does not


def hold_to_the_server(logs: list[Log], *, cuts: list[list[int]]) -> None:
    """Both folds agree at every seq: from the first event on, and from the snapshots after some seqs of each log."""
    lines = [{"run_id": log[0].run_id, "events": texts(log)} for log in logs]
    cut = [(log, at) for log, places in zip(logs, cuts, strict=True) for at in places]
    bases = [json.dumps(state_at(log, at).to_dict()) for log, at in cut]
    lines += [
        {"state": json.loads(base), "events": texts(log[at:])} for (log, at), base in zip(cut, bases, strict=True)
    ]
    answers = folded(lines)
    for log, answer in zip(logs, answers, strict=False):
        agree(log, states_of(log), answer)
        shown = state_at(log, len(log)).to_dict()
        del shown["progress"]
        assert as_text(answer["shown"]) == as_text(shown)
    for (log, at), base, answer in zip(cut, bases, answers[len(logs) :], strict=True):
        state = RunState.from_dict(json.loads(base))
        agree(log[at:], [canonical(evolve(state, event)) for event in log[at:]], answer)


@cache
def golden_logs() -> list[Log]:
    return [[Event.from_json(line) for line in Path(path).read_bytes().splitlines()] for path in GOLDEN]


@cache
def any_logs() -> list[Log]:
    return [AnyLog(seed, 25 + seed).log for seed in range(40)]


def test_every_golden_log_at_every_seq() -> None:
    """Logs of this version and of those before it; also from the ``run.state`` at every seq on."""
    assert len(GOLDEN) > 15
    logs = golden_logs()
    hold_to_the_server(logs, cuts=[list(range(len(log))) for log in logs])


def test_every_type_that_the_server_folds_is_in_a_log() -> None:
    """None of the logs that no engine wrote lacks what this file is to show."""
    said = {event.type for log in any_logs() for event in log}
    assert said >= set(_FOLDS)


def test_any_order_of_any_events() -> None:
    """Exact sums, integers beyond 2^53, names of JavaScript's own, times in any zone; also from snapshots on."""
    logs = any_logs()
    chance = random.Random(14)
    hold_to_the_server(logs, cuts=[[chance.randrange(len(log)) for _ in range(2)] for log in logs])


def test_a_snapshot_goes_on_as_the_whole_log_does() -> None:
    """What the server itself folds from a snapshot is what it folds from the first event, so the client's is, too."""
    for log in golden_logs():
        whole = states_of(log)
        for at in range(len(log)):
            state = RunState.from_dict(state_at(log, at).to_dict())
            assert [canonical(evolve(state, event)) for event in log[at:]] == whole[at:]


def random_runs(count: int) -> list[Log]:
    """Logs of real runs of random graphs: maps, failures, retries, skips, cancels."""
    found: list[Log] = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(small_dags(), STOPS)
    def collect(spec: Spec, stop: int | None) -> None:
        if len(found) < count:
            found.append(record(spec, stop))

    collect()
    return found


@pytest.mark.slow
def test_200_random_runs_at_every_seq() -> None:
    """Real runs of random graphs, and each from one snapshot on."""
    logs = random_runs(200)
    assert len(logs) == 200
    chance = random.Random(7)
    hold_to_the_server(logs, cuts=[[chance.randrange(len(log))] for log in logs])
