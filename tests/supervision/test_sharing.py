"""What processes share, in one process: the embedded siblings keep the law suites."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from reactor import Context, Engine, LogLost, RunExists, Workflow
from reactor.logs.memory import MemoryLog
from reactor.supervision.slots import LocalSlots
from reactor.testing import LEASE_LAWS, SLOT_LAWS
from reactor.testing.sharing_laws import MOST, LeaseLaw, SlotLaw
from tests.helpers.log_lines import log_lines


@pytest.mark.parametrize("law", SLOT_LAWS, ids=lambda law: law.__name__)
async def test_the_slots_of_one_process_keep_the_law(law: SlotLaw) -> None:
    """Both ends are the same slots."""
    slots = LocalSlots(MOST)
    await law(slots, slots)


class Leases:
    """A lease among processes: who holds which run."""

    def __init__(self) -> None:
        self.holders: dict[tuple[str, str], End] = {}


class End:
    """Implements ``Lease``: one process's end."""

    def __init__(self, leases: Leases) -> None:
        self.leases = leases
        self.lost: Callable[[str, str], None] = lambda run_id, tenant: None

    async def acquire(self, run_id: str, *, tenant: str = "") -> bool:
        return self.leases.holders.setdefault((tenant, run_id), self) is self

    def release(self, run_id: str, *, tenant: str = "") -> None:
        if self.leases.holders.get((tenant, run_id)) is self:
            del self.leases.holders[tenant, run_id]

    def when_lost(self, lost: Callable[[str, str], None]) -> None:
        self.lost = lost


@pytest.mark.parametrize("law", LEASE_LAWS, ids=lambda law: law.__name__)
async def test_a_lease_among_processes_keeps_the_law(law: LeaseLaw) -> None:
    """The lease that the tests below use is one."""
    leases = Leases()
    await law(End(leases), End(leases))


class SharedLog(MemoryLog, End):
    """A log with a lease."""

    def __init__(self, leases: Leases) -> None:
        MemoryLog.__init__(self)
        End.__init__(self, leases)


async def test_a_run_whose_lease_another_process_has_is_not_started() -> None:
    """RunExists names the run, and nothing is in the log."""
    leases, flow = Leases(), Workflow("flow")
    flow.task(lambda: 1, name="one")
    log = SharedLog(leases)
    assert await End(leases).acquire("theirs")
    async with Engine(log, workflows=[flow]) as engine:
        with pytest.raises(RunExists, match="'theirs' was started by another process"):
            await engine.start(flow, run_id="theirs")
        assert await engine.list() == []
        run = await engine.start(flow, run_id="ours")
        assert leases.holders["", "ours"] is log
        assert await run == {"one": 1}
    assert list(leases.holders) == [("", "theirs")], "an ended run is released"


async def test_a_run_that_is_lost_to_another_process_ends_here() -> None:
    """Its bodies stop, ``await run`` says so, nothing is written any more, and one line names the run."""
    flow, begun, stopped = Workflow("flow"), asyncio.Event(), asyncio.Event()

    @flow.task
    async def wait(ctx: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    log = SharedLog(Leases())
    with log_lines() as lines:
        async with Engine(log) as engine:
            run = await engine.start(flow)
            await begun.wait()
            log.lost("unknown", "")
            log.lost(run.id, "acme")
            assert engine.open_runs == 1
            log.lost(run.id, "")
            with pytest.raises(LogLost):
                await run
            await stopped.wait()
            assert {event.type for event in await log.read(run.id, 0, 100)} <= {"run.started", "task.started"}
    assert [line["run_id"] for line in lines if line["event"] == "another process goes on with a run"] == [run.id]
