"""``engine.running()``: the open runs of an engine."""

from __future__ import annotations

from reactor import Engine
from tests.helpers.flows import endless


async def test_an_engine_tells_its_open_runs_in_their_order(engine: Engine) -> None:
    """A run that has ended is no longer among them."""
    flow = endless()
    first, second, third = [await engine.start(flow) for _ in range(3)]
    assert [run.id for run in engine.running()] == [first.id, second.id, third.id]
    await second.cancel()
    assert [run.id for run in engine.running()] == [first.id, third.id]
