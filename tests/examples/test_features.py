"""The tour of all features takes each of its roads."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import orjson

from tests.helpers.paths import ROOT


def ran(*arguments: str) -> tuple[int, list[dict[str, object]]]:
    """Exit code and events of ``reactor run examples/features.py``."""
    command = [sys.executable, "-m", "reactor_web", "run", "examples/features.py", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60)
    return done.returncode, [orjson.loads(line) for line in done.stdout.splitlines()]


def test_the_tour_completes_with_somebody_who_agrees() -> None:
    """A broken line is tried again, a person is asked, a process computes, and every task says so."""
    code, events = ran("ask=true", "--send", "approve=true")
    types = Counter(str(event["type"]) for event in events)
    assert (code, types["task.retrying"], types["task.received"], types["run.completed"]) == (0, 1, 1, 1)
    outputs = events[-1]["data"]["outputs"]  # type: ignore[index]
    assert outputs["approve"] is True
    assert outputs["trend"] == "rising"


def test_a_failure_on_the_tour_is_handled() -> None:
    """One station fails, what depends on it is skipped, and the run completes because somebody hung up."""
    code, events = ran("fail=true", 'settings={"warm": 35}')
    ends = {event["task_id"]: event["type"] for event in events if str(event["type"]).startswith("task.")}
    assert (code, events[-1]["type"]) == (0, "run.completed")
    assert (ends["measure[2]"], ends["convert[2]"], ends["hang_up"]) == (
        "task.failed",
        "task.skipped",
        "task.completed",
    )


def test_a_value_for_a_task_that_is_none_is_refused() -> None:
    """One sentence, exit code 2, nothing started."""
    assert ran("--send", "nobody=1") == (2, [])
