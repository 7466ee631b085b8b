"""Tenants of one engine: what one does, no other sees, has, waits for or is refused for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from reactor import Cache, Context, Engine, Limit, Run, RunExists, UnknownRun, Workflow, bounds
from reactor.errors import RunOpen
from reactor.tenants.tenant import Tenant
from tests.helpers.inside import kill
from tests.helpers.runs import PATIENCE

A, B = "acme", "globex"

flow = Workflow("add")


@flow.task
async def one(number: int) -> int:
    return number + 1


@flow.task
async def two(one: int, ctx: Context) -> int:
    await ctx.emit("said", {"number": one})
    return one + 1


asking = Workflow("asking")


@asking.task
async def ask(ctx: Context) -> Any:
    return await ctx.receive(prompt="well?")


nested = Workflow("nested")


@nested.task
async def below(number: int, ctx: Context) -> Any:
    return await ctx.run(flow, {"number": number})


FLOWS = (flow, asking, nested)


@pytest.fixture(params=["memory", "sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, workflows=FLOWS, grace=0) as engine:
        yield engine


async def types_of(run: Run) -> list[str]:
    return [event.type async for event in run]


async def test_the_same_id_is_another_run_for_each_tenant(engine: Engine) -> None:
    """Same id, same workflow, other input: each has its outputs, events and state, and the log says whose run it is."""
    runs = {
        tenant: await engine.start(flow, {"number": n}, run_id="r", tenant=tenant)
        for n, tenant in enumerate(("", A, B))
    }
    assert [await run for run in runs.values()] == [{"two": 2}, {"two": 3}, {"two": 4}]
    assert [run.tenant for run in runs.values()] == ["", A, B]
    for tenant, run in runs.items():
        started = await run.beginning()
        assert started.get("tenant", "") == tenant
        found = await engine.get("r", tenant=tenant)
        assert await found.outputs() == await run.outputs()
        assert [record.run_id for record in await engine.list(tenant=tenant)] == ["r"]


async def test_a_run_of_another_tenant_is_a_run_that_is_not_there(engine: Engine) -> None:
    """Every method says UnknownRun, in the same words, whether another tenant has such a run or nobody."""
    run = await engine.start(asking, {}, run_id="mine", tenant=A)
    other = engine.tenant(B)
    for run_id in ("mine", "nobodys"):
        ways: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            lambda id=run_id: other.get(id),
            lambda id=run_id: other.record(id),
            lambda id=run_id: other.cancel(id),
            lambda id=run_id: other.retry(id),
            lambda id=run_id: other.delete(id),
            lambda id=run_id: other.tree(id),
            lambda id=run_id: other.tree_events(id),
            lambda id=run_id: other.descendant(id, "x"),
            lambda id=run_id: other.list(before=id),
        ]
        for way in ways:
            with pytest.raises(UnknownRun) as caught:
                await way()
            assert str(caught.value).replace(run_id, "ID") == str(UnknownRun.of(run_id)).replace(
                run_id, "ID"
            ) or run_id in str(caught.value)
    assert other.running() == []
    assert [one.id for one in engine.tenant(A).running()] == ["mine"]
    assert run.status == "running"


async def test_what_is_deleted_cancelled_or_retried_is_ones_own(engine: Engine) -> None:
    """The run of the other tenant with the same id stays as it is."""
    mine, theirs = [await engine.start(asking, {}, run_id="r", tenant=tenant) for tenant in (A, B)]
    await engine.cancel("r", tenant=A)
    await mine.ended()
    assert theirs.status == "running"
    await engine.delete("r", tenant=A)
    with pytest.raises(UnknownRun):
        await engine.get("r", tenant=A)
    with pytest.raises(RunOpen):
        await engine.delete("r", tenant=B)
    await theirs.send("ask", 7)
    assert await theirs == {"ask": 7}
    again = await engine.retry("r", new_run_id="again", tenant=B)
    assert await again == {"ask": 7}
    with pytest.raises(UnknownRun):
        await engine.get("again", tenant=A)


async def test_who_waits_for_a_run_gets_ones_own(engine: Engine) -> None:
    """A run of the same id that starts for somebody else wakes nobody."""
    waiting = engine.wait_for("r", tenant=A)
    await engine.start(asking, {}, run_id="r", tenant=B)
    await engine.start(asking, {}, run_id="r")
    assert not waiting.done()
    mine = await engine.start(asking, {}, run_id="r", tenant=A)
    assert await asyncio.wait_for(waiting, PATIENCE) is mine


async def test_live_events_lists_and_positions_are_of_one_tenant(engine: Engine) -> None:
    """``live``, ``all_events`` and ``list`` have the runs of one tenant, and no others between them."""
    seen: dict[str, list[str]] = {A: [], B: []}
    for tenant, events in seen.items():
        engine.tenant(tenant).live.subscribe(lambda event, into=events: into.append(event.run_id))
    readers = {tenant: engine.all_events(tenant=tenant) for tenant in (A, B)}
    for number in range(3):
        for tenant in (A, B):
            await (await engine.start(flow, {"number": 1}, run_id=f"{tenant}-{number}", tenant=tenant))
    for tenant, reader in readers.items():
        found: list[str] = []
        while events := await reader.read():
            found += [event.message.run_id for event in events]
        assert set(found) == {f"{tenant}-{number}" for number in range(3)}
        assert set(seen[tenant]) == set(found)
        assert len(seen[tenant]) == len(found)
        assert [record.run_id for record in await engine.list(tenant=tenant)] == [f"{tenant}-{n}" for n in (2, 1, 0)]


async def test_child_runs_are_those_of_the_parents_tenant(engine: Engine) -> None:
    """A parent of the same id in two tenants has a child run of the same id in each."""
    runs = [await engine.start(nested, {"number": n}, run_id="top", tenant=tenant) for n, tenant in ((1, A), (5, B))]
    assert [await run for run in runs] == [{"below": {"two": 3}}, {"below": {"two": 7}}]
    for tenant in (A, B):
        (child,) = await engine.tree("top", tenant=tenant)
        assert (await engine.get(child.run_id, tenant=tenant)).tenant == tenant
    with pytest.raises(UnknownRun):
        await engine.tree("top")


async def test_sessions_are_ones_own(engine: Engine) -> None:
    """The same id opens another session for each tenant, with its own idempotency keys."""
    sessions = [await engine.session("s", tenant=tenant) for tenant in (A, B)]
    for number, session in enumerate(sessions):
        await session.emit("said", {"by": number}, key="k")
        await session.emit("said", {"by": number}, key="k")
        await session.close()
    for number, session in enumerate(sessions):
        said = [event.data async for event in session if event.type == "said"]
        assert said == [{"by": number}]


async def test_answers_of_requests_are_ones_own(engine: Engine) -> None:
    """An idempotency key of one tenant is unknown to the other."""
    for tenant in (A, B):
        answers = engine.tenant(tenant).answers
        assert await answers.answer("key") is None
        await answers.keep_answer("key", tenant.encode())
    for tenant in (A, B):
        assert await engine.tenant(tenant).answers.answer("key") == tenant.encode()
    assert await engine.answers.answer("key") is None


async def test_cached_outputs_are_ones_own(engine: Engine) -> None:
    """What one tenant has paid for is not handed to another, whose input is the same."""
    costly = Workflow("costly")
    calls: list[int] = []

    @costly.task(cache=Cache())
    async def compute(number: int) -> int:
        calls.append(number)
        return len(calls)

    outputs = [await (await engine.start(costly, {"number": 3}, tenant=tenant)) for tenant in (A, B, A, B, "", "")]
    assert [output["compute"] for output in outputs] == [1, 2, 1, 2, 3, 3]


async def test_a_named_limit_and_that_of_a_workflow_is_of_each_tenant() -> None:
    """While one tenant has all places of a limit, another takes its own at once."""
    gate = asyncio.Event()
    limited = Workflow("limited", concurrency=1)

    @limited.task(limits="db")
    async def hold() -> str:
        await gate.wait()
        return "held"

    async with Engine(workflows=[limited], limits=[Limit("db", 1)], grace=0) as engine:
        runs = [await engine.start(limited, tenant=tenant) for tenant in (A, A, B)]
        await asyncio.wait_for(_started(runs[0]), PATIENCE)
        await asyncio.wait_for(_started(runs[2]), PATIENCE)
        assert "hold" not in runs[1].state.tasks or runs[1].state.tasks["hold"].status == "pending"
        gate.set()
        await asyncio.gather(*(run.ended() for run in runs))


async def _started(run: Run) -> None:
    async for event in run:
        if event.type == "task.started":
            return


async def test_the_open_runs_of_every_tenant_go_on_after_a_crash(tmp_path: Path) -> None:
    """Each for its own tenant, also where their ids are the same."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Engine(url, workflows=FLOWS, grace=0) as engine:
        for tenant in ("", A, B):
            await _started(await engine.start(asking, {}, run_id="r", tenant=tenant))
        kill(engine)
    async with Engine(url, workflows=FLOWS, grace=0) as engine:
        assert engine.open_runs == 3
        for number, tenant in enumerate(("", A, B)):
            run = await engine.get("r", tenant=tenant)
            await run.send("ask", number)
            assert await run == {"ask": number}
            assert "run.resumed" in await types_of(run)


async def test_an_id_is_taken_for_ones_own_tenant_only(engine: Engine) -> None:
    """RunExists says that oneself has such a run."""
    await engine.start(asking, {}, run_id="r", tenant=A)
    await engine.start(asking, {}, run_id="r", tenant=B)
    with pytest.raises(RunExists):
        await engine.start(asking, {}, run_id="r", tenant=A)
    run, is_new = await engine.ensure(asking, {}, run_id="r", tenant=B)
    assert (run.tenant, is_new) == (B, False)


@pytest.mark.parametrize("name", ["a b", "a/b", "x" * 65, "é", "a\n", None, 3])
async def test_what_cannot_be_a_tenant_is_refused(engine: Engine, name: Any) -> None:
    """One sentence, and nothing has started."""
    with pytest.raises(ValueError, match="is not a valid tenant"):
        await engine.start(flow, {"number": 1}, tenant=name)
    assert engine.open_runs == 0


async def test_tenants_for_whom_nothing_goes_on_are_not_kept(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names tenants cannot fill the memory, and what goes on for one is never forgotten."""
    monkeypatch.setattr(bounds, "TENANTS", 10)
    open_run = await engine.start(asking, {}, run_id="r", tenant=A)
    waiting = engine.wait_for("later", tenant=B)
    for number in range(100):
        run = await engine.start(flow, {"number": number}, run_id="r", tenant=f"t{number}")
        assert await run == {"two": number + 2}
    del run
    kept: list[Tenant] = list(engine._tenants)  # pyright: ignore[reportPrivateUsage]  # nothing public counts them
    assert len(kept) <= 13
    assert await engine.get("r", tenant=A) is open_run
    later = await engine.start(asking, {}, run_id="later", tenant=B)
    assert await asyncio.wait_for(waiting, PATIENCE) is later
    assert await (await engine.get("r", tenant="t0")).outputs() == {"two": 2}


async def test_of_one_tenant_there_are_never_two_objects(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds one that was dropped, because nothing went on in it, starts runs that everybody finds."""
    monkeypatch.setattr(bounds, "TENANTS", 3)
    held = engine.tenant(A)
    for number in range(10):
        engine.tenant(f"t{number}")
    run = await held.start(asking, {}, run_id="r")
    assert engine.open_runs == 1
    for number in range(10):
        engine.tenant(f"t{number}")
    assert engine.tenant(A) is held
    assert await engine.get("r", tenant=A) is run


async def test_by_is_who_starts_it(engine: Engine) -> None:
    """``run.started`` says who has started a run, retried it, or opened a session."""
    run = await engine.start(flow, {"number": 1}, by="key:ann")
    await run
    again = await engine.retry(run.id, by="key:bob")
    await again
    session = await engine.session("s", by="jwt:eve")
    assert [(await one.beginning())["by"] for one in (run, again, session)] == ["key:ann", "key:bob", "jwt:eve"]
