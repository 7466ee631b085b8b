"""Logs of real runs that ended in every way, for laws over any log."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import strategies as st

from reactor import Engine, RunEnded
from reactor.events.event import Event
from reactor.testing import read_all
from tests.helpers.dags import Spec, build, dags
from tests.helpers.runs import PATIENCE


@st.composite
def small_dags(draw: st.DrawFn) -> Spec:
    """Up to eight tasks that map, fail, are skipped, are tried again and pass their checkpoints."""
    return tuple(
        replace(task, fails_first=draw(st.sampled_from([0, 0, 0, 1, 2])), length=min(task.length, 3))
        for task in draw(dags(8))
    )


STOPS = st.one_of(st.none(), st.integers(0, 30))
"""After how many turns of the loop a run is cancelled; None: it is not."""


def record(spec: Spec, stop: int | None) -> list[Event]:
    """The whole log of one run of a spec."""

    async def main() -> list[Event]:
        async with Engine() as engine:
            run = await engine.start(build(spec))
            if stop is not None:
                for _ in range(stop):
                    await asyncio.sleep(0)
                try:
                    await run.cancel(grace=1)
                except RunEnded:
                    pass  # it was faster
            await asyncio.wait_for(run.ended(), PATIENCE)
            return await read_all(engine.log, run.id)

    return asyncio.run(main())
