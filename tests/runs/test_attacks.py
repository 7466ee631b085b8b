"""What an attack has found once stays found: values and functions of users that do what nobody should."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import Budget, Cache, Context, Engine, InvalidEvent, Limit, Retry, RunFailed, Workflow, load_plan, tool
from reactor.context.forms import Form
from reactor.errors import BodyError
from reactor.events.fold import replay
from reactor.testing import read_all
from tests.helpers.runs import PATIENCE, full_log, wait_for_event


def cancelled(**given: Any) -> Any:
    raise asyncio.CancelledError


class Lazy(ConnectionError):
    """An error of a client library with an attribute that is computed, and cannot be."""

    @property
    def retry_after(self) -> float:
        raise RuntimeError("no response")


class Mute(Exception):
    """An error that cannot even be told."""

    def __str__(self) -> str:
        raise asyncio.CancelledError


@pytest.mark.parametrize("options", [{"when": lambda one: cancelled()}, {"cache": Cache(key=lambda one: cancelled())}])
async def test_a_cancel_raised_beside_a_body_fails_that_task_and_locks_nobody_out(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """The task fails, the run ends, and the engine can be entered again."""
    flow = Workflow("beside")
    flow.task(lambda: 1, name="one")
    flow.task(lambda one: one, name="two", **options)
    for run_id in ("first", "second"):
        async with Engine(f"sqlite:///{tmp_path}/runs.db", workflows=[flow]) as engine:
            run = await engine.start(flow, run_id=run_id)
            await asyncio.wait_for(run.ended(), PATIENCE)
            assert run.state.tasks["two"].error == {"type": "CancelledError", "message": ""}


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (Lazy("lost"), Retry(attempts=2, delay=0)),
        (Mute(), None),
        (ValueError("x"), Retry(attempts=2, retry_on=lambda error: cancelled())),
        (type("E" * 100_000, (Exception,), {})("long"), None),
    ],
)
async def test_a_failure_that_cannot_be_told_ends_its_run_all_the_same(error: Exception, retry: Retry | None) -> None:
    """Whatever an error does when it is looked at, the task fails, in events of a size that clients can take."""
    flow = Workflow("untold")

    @flow.task(retry=retry)
    async def body() -> None:
        raise error

    async with Engine() as engine:
        run = await engine.start(flow)
        events = await asyncio.wait_for(full_log(engine, run), PATIENCE)
        assert events[-1].type == "run.failed"
        assert max(len(event.json) for event in events) < 48 * 1024


async def test_numbers_beyond_reason_are_refused_before_they_count() -> None:
    """A spend or a budget that no event could carry changes nothing, and the run ends."""
    flow = Workflow("beyond")

    @flow.task
    async def body(ctx: Context) -> str:
        with pytest.raises(ValueError, match="tokens"):
            await ctx.spend(tokens=2**63)
        with pytest.raises(InvalidEvent, match="key"):
            await ctx.receive(key="k" * 100_000)
        return "fine"

    async with Engine() as engine:
        assert await (await engine.start(flow)) == {"body": "fine"}
        with pytest.raises(ValueError, match="tokens"):
            await engine.start(flow, budget=Budget(tokens=10**30))
        run = await engine.start(flow)
        with pytest.raises(ValueError, match="grace"):
            await run.request_cancel(10**400)
        await run
        assert engine.open_runs == 0


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/$defs/no"}, {"$ref": "http://127.0.0.1:1/x"}])
def test_a_schema_that_leads_nowhere_is_refused_where_it_is_given(schema: dict[str, Any]) -> None:
    """Not where somebody sends a value, who can do nothing about it; and nothing is fetched."""
    with pytest.raises(ValueError, match="the schema itself cannot be used"):
        Form.of(schema)


async def test_a_value_whose_receive_timed_out_is_there_for_the_next() -> None:
    """A body that waits for its slot after it was answered, and gives up, gets the value when it asks that again."""
    flow = Workflow("again")
    hold = asyncio.Event()

    @flow.task(limits=Limit("one", 1))
    async def asks(ctx: Context) -> int:
        try:
            async with asyncio.timeout(0.05):
                return await ctx.receive(key="n")
        except TimeoutError:
            return await ctx.receive(key="n") + 100

    @flow.task(limits="one")
    async def holds(ctx: Context) -> None:
        await hold.wait()

    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "task.started", "holds")
        await run.send("asks", 7, key="n")
        asyncio.get_running_loop().call_later(0.1, hold.set)
        assert (await asyncio.wait_for(run, PATIENCE))["asks"] in (7, 107)


async def test_references_to_references_do_not_grow_without_bound() -> None:
    """A document of a few hundred bytes that means millions of values fails the task that would hold them."""

    @tool(name="attack.echo")
    def echo(value: Any) -> Any:
        return value

    tasks: list[dict[str, Any]] = [{"id": "t0", "tool": "attack.echo", "input": {"value": [1] * 10}}]
    tasks += [{"id": f"t{i}", "tool": "attack.echo", "input": {"value": [f"$t{i - 1}"] * 10}} for i in range(1, 12)]
    async with Engine() as engine:
        run = await engine.start(load_plan({"tasks": tasks}, {"attack.echo": echo}))
        with pytest.raises(RunFailed, match="more than 100,000 values"):
            await asyncio.wait_for(run, PATIENCE)


@pytest.mark.parametrize("log", [lambda folder: "memory://", lambda folder: f"sqlite:///{folder}/runs.db"])
async def test_a_child_that_is_asked_for_in_the_background_does_not_outlive_its_parent(
    log: Callable[[Path], str], tmp_path: Path
) -> None:
    """The body has ended before its child began: then the child does not begin, or ends first."""
    parent, child = Workflow("parent"), Workflow("child")
    background: list[asyncio.Future[Any]] = []

    @child.task
    async def spends(ctx: Context) -> None:
        await ctx.spend(cost=2)

    @parent.task
    async def body(ctx: Context) -> int:
        background.append(asyncio.ensure_future(ctx.run(child)))
        await asyncio.sleep(0)
        return 1

    async with Engine(log(tmp_path), workflows=[parent, child]) as engine:
        run = await engine.start(parent, run_id="r")
        assert await asyncio.wait_for(run, PATIENCE) == {"body": 1}
        (outcome,) = await asyncio.gather(*background, return_exceptions=True)
        assert outcome is None or isinstance(outcome, (BodyError, Exception))
        children = [record for record in await engine.list() if record.run_id != "r"]
        assert all(record.status == "cancelled" for record in children)
        assert replay("r", await read_all(engine.log, "r")) == run.state
