"""The soak says what does not come back to idle, and where a stream is not the log: it can fail."""

from __future__ import annotations

import pytest

from benchmarks.soak.held import Idle
from benchmarks.soak.logged import check_same
from benchmarks.soak.measure import GROWS, ROOM, Soak, complaints, problems

ROUNDS = 10


def soaked(**each_round: float) -> Soak:
    """Ten rounds after which something is more than before."""
    start = {"rss": 90.0, "files": 15, "log": 1.0, "tasks": 7, "threads": 38, "objects": 1_000, "workers": 2}
    grown = [
        {name: value + number * each_round.get(name, 0) for name, value in start.items()}
        for number in range(ROUNDS + 1)
    ]
    return Soak(600.0, idles=[Idle(seconds=60.0 * number, **values) for number, values in enumerate(grown)])  # type: ignore[arg-type]


def test_a_server_that_comes_back_to_idle_has_no_problem() -> None:
    """Memory may move a little, and the log may grow."""
    assert problems(soaked(rss=GROWS / 2, log=10.0)) == []


@pytest.mark.parametrize("name", ["files", "tasks", "workers"])
def test_what_is_more_after_each_round_is_a_problem(name: str) -> None:
    """A descriptor, a task or a process that stays."""
    (problem,) = problems(soaked(**{name: 1}))
    assert problem.startswith(f"{name} at rest")


def test_memory_that_grows_is_a_problem() -> None:
    """Slowly but steadily, or to more than what may be kept."""
    (slowly,) = problems(soaked(rss=GROWS * 1.5))
    assert "grows by 1.50 MB" in slowly
    assert len(problems(soaked(rss=ROOM / 5))) == 2


def test_what_the_server_complains_of_is_a_problem() -> None:
    """All that it says at ERROR, but the tasks that were told to fail."""
    assert complaints('{"event": "task failed", "run_id": "r"}\nTask exception was never retrieved\n') == [
        "Task exception was never retrieved"
    ]


@pytest.mark.parametrize(
    "shown", [[b"1", b"3"], [b"1", b"2"], [b"1", b"2", b"2", b"3"], [b"2", b"1", b"3"], [b"1", b"2", b"4"]]
)
def test_a_stream_that_is_not_the_log_is_found(shown: list[bytes]) -> None:
    """One that has lost, doubled, changed or not yet sent something, or has it in another order."""
    with pytest.raises(AssertionError):
        check_same("a stream", shown, [b"1", b"2", b"3"])
    check_same("a stream", [b"1", b"2", b"3"], [b"1", b"2", b"3"])
