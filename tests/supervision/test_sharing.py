"""What processes share, in one process: the embedded siblings keep the law suites."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from reactor import Context, Engine, LogLost, RunExists, RunNotHere, Workflow
from reactor.logs.memory import MemoryLog
from reactor.supervision.slots import LocalSlots, Rate
from reactor.testing import LEASE_LAWS, SLOT_LAWS, START_LAWS
from reactor.testing.sharing_laws import MOST, RATE, LeaseLaw, SlotLaw, StartLaw
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import wait_for_event


@pytest.mark.parametrize("law", SLOT_LAWS, ids=lambda law: law.__name__)
async def test_the_slots_of_one_process_keep_the_law(law: SlotLaw) -> None:
    """Both ends are the same slots."""
    slots = LocalSlots(MOST)
    await law(slots, slots)


@pytest.mark.parametrize("law", START_LAWS, ids=lambda law: law.__name__)
async def test_the_rates_of_one_process_keep_the_law(law: StartLaw) -> None:
    """Both ends are the same rate."""
    loop = asyncio.get_running_loop()
    rate = Rate(RATE.amount, RATE.per, clock=loop.time, call_later=loop.call_later)
    await law(rate, rate)


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


class SlowLease(SharedLog):
    """A lease that takes a while to answer, and is ours again at each call."""

    async def acquire(self, run_id: str, *, tenant: str = "") -> bool:
        await asyncio.sleep(0.005)
        return await super().acquire(run_id, tenant=tenant)


async def test_of_several_starts_of_one_id_one_gets_in() -> None:
    """While the lease is asked for, the id is taken: one run, and its body runs once."""
    flow, ran = Workflow("flow"), list[str]()

    @flow.task
    async def note(ctx: Context) -> None:
        ran.append(ctx.run_id)

    async with Engine(SlowLease(Leases())) as engine:
        starts = [engine.start(flow, run_id="same") for _ in range(5)]
        started = await asyncio.gather(*starts, return_exceptions=True)
        assert sorted(type(run).__name__ for run in started) == ["Run"] + ["RunExists"] * 4
        ensured = await asyncio.gather(*(engine.ensure(flow, run_id="other") for _ in range(5)))
        assert sorted(is_new for _, is_new in ensured) == [False] * 4 + [True]
        for run, _ in ensured:
            await run
        await (await engine.get("same"))
    assert sorted(ran) == ["other", "same"]


def endless_child() -> tuple[Workflow, asyncio.Event]:
    """A workflow to be a child run, and what is set when its body has begun."""
    child, begun = Workflow("child"), asyncio.Event()

    @child.task
    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    return child, begun


async def test_a_run_that_another_process_goes_on_with_is_not_ended_here() -> None:
    """A cancel is refused with a sentence, and nothing is written; its child runs have stopped here with it."""
    flow, (child, begun) = Workflow("flow"), endless_child()

    @flow.task
    async def ask(ctx: Context) -> None:
        await ctx.run(child)

    leases = Leases()
    log = SharedLog(leases)
    async with Engine(log, workflows=[flow, child], grace=0) as engine:
        run = await engine.start(flow, run_id="r")
        await begun.wait()
        for id in ("r", "r.ask.1"):
            leases.holders["", id] = End(leases)
        log.lost("r", "")
        assert engine.open_runs == 0
        seqs = {id: len(await log.read(id, 0, 100)) for id in ("r", "r.ask.1")}
        with pytest.raises(RunNotHere, match="another process goes on with run r; ask it there"):
            await engine.cancel(run.id)
        assert {id: len(await log.read(id, 0, 100)) for id in seqs} == seqs


async def test_a_child_run_that_another_process_goes_on_with_fails_the_body_that_waits_for_it() -> None:
    """Its lease alone is lost: ``ctx.run`` raises, and asks for it no more."""
    flow, (child, begun) = Workflow("flow"), endless_child()

    @flow.task
    async def ask(ctx: Context) -> str:
        try:
            await ctx.run(child)
        except LogLost:
            return "lost"
        return "ended"

    leases = Leases()
    log = SharedLog(leases)
    async with Engine(log, workflows=[flow, child], grace=0) as engine:
        run = await engine.start(flow, run_id="r")
        await begun.wait()
        leases.holders["", "r.ask.1"] = End(leases)
        log.lost("r.ask.1", "")
        event = await asyncio.wait_for(wait_for_event(run, "task.completed", "ask"), 10)
        assert event.data["output"] == "lost"
