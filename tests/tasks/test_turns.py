"""Long work on the loop: however much of it there is, it leaves the loop to others as often as one piece of it does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator
from itertools import count
from typing import Any

import pytest

from reactor.tasks import turns
from reactor.tasks.turns import Turns

STEPS = 20


@pytest.mark.parametrize("works", [1, 30])
async def test_long_works_share_the_time_of_one(monkeypatch: pytest.MonkeyPatch, works: int) -> None:
    """In each turn of the loop all of them together take the steps that one may take; and all come to their end."""
    ticks = count()
    monkeypatch.setattr(turns, "perf_counter", lambda: next(ticks) / 1000)  # a look at the clock takes a millisecond
    turn, ended = 0, list[str]()
    steps_in: Counter[int] = Counter()

    def steps(name: str) -> Generator[None, None, str]:
        for _ in range(STEPS):
            steps_in[turn] += 1
            yield
        return name

    names = [str(number) for number in range(works)]
    for name in names:
        Turns(steps(name), ended.append, pytest.fail).begin()
    for turn in range(1, 10 * STEPS * works):  # noqa: B007  # read by the steps
        if len(ended) == works:
            break
        await asyncio.sleep(0)
    assert sorted(ended) == sorted(names)
    assert max(steps_in.values()) <= 5


async def test_work_that_begins_while_other_work_ends_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one calls at its end may begin another, and may stop one that waits."""
    monkeypatch.setattr(turns, "_HOLD_SECONDS", 0.0)
    said: list[Any] = []

    def steps(value: Any) -> Generator[None, None, Any]:
        yield
        return value

    stopped = Turns(steps("stopped"), said.append, pytest.fail)

    def first(value: Any) -> None:
        said.append(value)
        Turns(steps("second"), said.append, pytest.fail).begin()
        stopped.stop()

    Turns(steps("first"), first, pytest.fail).begin()
    stopped.begin()
    for _ in range(20):
        await asyncio.sleep(0)
    assert said == ["first", "second"]
