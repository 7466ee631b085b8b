"""Budgets: what is spent is counted to the last digit, told once, and stops, pauses or is only said."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Budget, Context, Engine, Event, Retry, Run, RunFailed, Workflow
from reactor.definition.policy import PLACES, money
from reactor.events.state import RunState
from reactor.events.timing import unix_seconds
from reactor.events.values import json_number
from reactor.supervision.ledger import Crossing, Ledger
from tests.helpers import bodies
from tests.helpers.events import of_type, only
from tests.helpers.flows import endless
from tests.helpers.runs import PATIENCE, full_log, run_to_end, wait_for_event, wait_until


async def ended(engine: Engine, flow: Workflow, budget: Any) -> tuple[Run, list[Event]]:
    run = await engine.start(flow, budget=budget)
    return run, await full_log(engine, run)


def spending(*amounts: dict[str, Any]) -> Workflow:
    """One task that spends one amount after the other, and stops where it is stopped."""
    flow = Workflow("spending")

    @flow.task
    async def spend(ctx: Context) -> str:
        for amount in amounts:
            await ctx.spend(**amount)
            await asyncio.sleep(0)
        return "done"

    return flow


class Odd(float):
    """As numpy's: a float whose repr is no number."""

    def __repr__(self) -> str:
        return f"odd({float(self)})"


# --- a budget -----------------------------------------------------------------------------------------------------

BAD: list[tuple[Any, str]] = [
    ({"cost": -1}, "a cost must be a number from 0"),
    ({"cost": True}, "a cost must be a number from 0, not True"),
    ({"cost": math.nan}, "a cost must be a number from 0"),
    ({"cost": math.inf}, "a cost must be a number from 0"),
    ({"cost": "five"}, "a cost must be a number from 0, not 'five'"),
    ({"cost": ""}, "a cost must be a number from 0"),
    ({"cost": [1]}, "a cost must be a number from 0"),
    ({"cost": 1_000_000_001}, "to 1,000,000,000"),
    ({"cost": "1e400"}, "to 1,000,000,000"),
    ({"cost": Decimal("sNaN")}, "a cost must be a number from 0"),
    ({"tokens": -1}, "tokens of a Budget must be a whole number from 0 to 1,000,000,000,000, not -1"),
    ({"tokens": 1.0}, "tokens of a Budget must be a whole number from 0"),
    ({"tokens": True}, "tokens of a Budget must be a whole number from 0"),
    ({"tokens": "7"}, "tokens of a Budget must be a whole number from 0"),
    ({"tasks": -1}, "tasks of a Budget must be a whole number from 0"),
    ({"tasks": False}, "tasks of a Budget must be a whole number from 0"),
    ({"seconds": 0}, "seconds of a Budget must be a number from 0.001"),
    ({"seconds": math.nan}, "seconds of a Budget must be a number from 0.001"),
    ({"seconds": math.inf}, "seconds of a Budget must be a number from 0.001"),
    ({"seconds": "1"}, "seconds of a Budget must be a number from 0.001"),
    ({"on_exceeded": "stop"}, "on_exceeded of a Budget must be 'fail', 'pause' or 'tell', not 'stop'"),
    ({"on_exceeded": None}, "on_exceeded of a Budget must be 'fail', 'pause' or 'tell'"),
    ({"on_exceeded": []}, "on_exceeded of a Budget must be 'fail', 'pause' or 'tell'"),
    ({"money": 1}, "a budget has no member 'money'; its members are cost, tokens, seconds, tasks, on_exceeded"),
    ({1: 2}, "a budget has no member '1'"),
    ([], "a budget must be an object, not a list"),
    (5, "a budget must be an object, not a number"),
]


@pytest.mark.parametrize(("given", "problem"), BAD, ids=str)
async def test_a_bad_budget_is_refused_with_what_is_wrong_and_nothing_starts(
    engine: Engine, given: Any, problem: str
) -> None:
    """ValueError in one sentence, of the value and of its JSON alike."""
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        await engine.start(spending(), budget=given)
    assert problem in str(refused.value)
    assert await engine.list() == []
    if isinstance(given, dict) and all(isinstance(name, str) for name in given) and "money" not in given:
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            Budget(**given)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, {"on_exceeded": "fail"}),
        ({"cost": 5}, {"cost": 5.0, "on_exceeded": "fail"}),
        ({"cost": 0}, {"cost": 0.0, "on_exceeded": "fail"}),
        ({"cost": 0.1 + 0.2}, {"cost": 0.3, "on_exceeded": "fail"}),
        ({"cost": "0.10"}, {"cost": 0.1, "on_exceeded": "fail"}),
        ({"cost": Decimal("2.50"), "tokens": 0, "tasks": 0}, {"cost": 2.5, "tokens": 0, "tasks": 0}),
        ({"cost": Odd(1.5)}, {"cost": 1.5}),
        ({"seconds": 0.001, "on_exceeded": "tell"}, {"seconds": 0.001, "on_exceeded": "tell"}),
        ({"seconds": 60, "tokens": None}, {"seconds": 60}),
    ],
    ids=str,
)
def test_a_budget_is_recorded_as_json_and_read_back_as_the_same(given: dict[str, Any], shown: dict[str, Any]) -> None:
    """What ``run.started`` has is the budget, after a restart too."""
    budget = Budget.of(given)
    assert budget.to_dict() == {"on_exceeded": "fail", **shown}
    assert Budget.of(orjson.loads(orjson.dumps(budget.to_dict()))) == budget
    assert Budget.of(budget) is budget


# --- counting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spent",
    [
        {"cost": -0.01},
        {"cost": True},
        {"cost": math.nan},
        {"cost": math.inf},
        {"cost": "nan"},
        {"cost": "a lot"},
        {"cost": None},
        {"cost": 1e300},
        {"cost": 10**12},
        {"tokens": -1},
        {"tokens": 1.5},
        {"tokens": True},
        {"tokens": "3"},
    ],
    ids=str,
)
async def test_what_is_no_amount_is_refused_where_it_is_spent(engine: Engine, spent: dict[str, Any]) -> None:
    """ValueError in the body, for ``spend`` and for a call of a language model; nothing is counted."""
    caught: list[str] = []
    flow = Workflow("refused")

    @flow.task
    async def spend(ctx: Context) -> None:
        try:
            await ctx.spend(**spent)
        except ValueError as error:
            caught.append(str(error))
        if spent == {"cost": None}:  # of a call: not known
            caught.append("")
            return
        try:
            async with ctx.llm_call("model") as call:
                for name, amount in spent.items():
                    setattr(call, name, amount)
        except ValueError as error:
            caught.append(str(error))

    run, events = await ended(engine, flow, None)
    assert run.status == "completed", run.state.error
    assert len(caught) == 2
    assert of_type(events, "task.spent") == []
    assert run.state.cost is None


AMOUNTS: list[Any] = [
    *[0.1, 0.7, "0.01", Decimal("0.005"), 1e-12, "0.000000000001", 3, 0.1 + 0.2, 19.99, "1e-7", 1e-5],
    *[Odd(0.3), 1 / 3, "123456.789", 0.333333333333, Decimal("1.10")],
]


async def test_100_tasks_at_once_with_odd_amounts_lose_no_cent(engine: Engine) -> None:
    """The sum of the texts in the log, as decimals, is the total of every task.spent, of the state and of the end."""
    flow = Workflow("many")

    @flow.task
    async def items() -> list[int]:
        return list(range(100))

    async def on_loop(items: int, ctx: Context) -> None:
        for turn in range(3):
            await ctx.spend(cost=AMOUNTS[(items + turn) % len(AMOUNTS)], tokens=items)
            await asyncio.sleep(0)

    def in_thread(items: int, ctx: Context) -> None:
        with ctx.llm_call("model") as call:
            call.cost, call.tokens = AMOUNTS[items % len(AMOUNTS)], 1

    flow.task(on_loop, name="loop", map={"items": "items"})
    flow.task(in_thread, name="thread", map={"items": "items"})
    run, events = await ended(engine, flow, None)
    exact = sum(
        (money(AMOUNTS[(i + turn) % len(AMOUNTS)]) for i in range(100) for turn in (0, 1, 2)), Decimal(0)
    ) + sum((money(AMOUNTS[i % len(AMOUNTS)]) for i in range(100)), Decimal(0))
    tokens = 3 * sum(range(100)) + 100
    check_sums(events, run.state)
    assert run.state.cost == exact
    assert (run.state.tokens, events[-1].data["tokens"]) == (tokens, tokens)
    assert events[-1].data["cost"] == float(exact)
    assert len(of_type(events, "task.spent")) == 400


def check_sums(events: Sequence[Event], state: RunState) -> None:
    """Every ``task.spent`` carries the totals so far; the state has them, whole and by task."""
    total, tokens = Decimal(0), 0
    by_task: dict[str | None, Decimal] = {}
    for event in of_type(events, "task.spent"):
        cost = Decimal(orjson.dumps(event.data["cost"]).decode())
        total, tokens = total + cost, tokens + event.data["tokens"]
        by_task[event.task_id] = by_task.get(event.task_id, Decimal(0)) + cost
        assert (event.data["total_cost"], event.data["total_tokens"]) == (json_number(total), tokens)
    assert (state.cost, state.tokens) == (total, tokens)
    assert {id: task.cost for id, task in state.tasks.items() if task.cost is not None} == by_task


@given(
    st.one_of(
        st.floats(0, 1e9),
        st.integers(0, 10**9),
        st.decimals(0, 10**9, allow_nan=False, allow_infinity=False),
        st.decimals(0, 10**9, places=12).map(str),
    )
)
def test_a_cost_is_what_the_log_has_of_it(amount: Any) -> None:
    """Once more through JSON it is the same decimal: what is summed in memory is what is summed from the log."""
    cost = money(amount)
    assert Decimal(orjson.dumps(json_number(cost)).decode()) == cost
    assert money(json_number(cost)) == cost
    assert abs(Fraction(cost) - Fraction(Decimal(str(amount)))) <= max(Fraction(PLACES), Fraction(cost) / 10**15)


@pytest.mark.parametrize(
    ("place", "how"), [("loop", "cancel"), ("loop", "timeout"), ("thread", "cancel"), ("process", "cancel")]
)
async def test_a_call_that_a_cancel_interrupts_says_so(place: Any, how: str) -> None:
    """It is no error, and the estimate counts: who was called does not know of the cancel, and charges."""
    flow = Workflow("calls")
    timeout = 0.2 if how == "timeout" else None

    @flow.task(name="call_and_hang", timeout=timeout)
    async def on_the_loop(ctx: Context) -> None:
        async with ctx.llm_call("gpt-x", estimated_cost="0.5"), ctx.tool_call("search", {"q": "?"}) as call:
            call.result = "half"
            await asyncio.Event().wait()

    if place != "loop":
        flow = Workflow("calls")
        flow.task(bodies.call_and_hang, executor=place)
    async with Engine() as engine:
        run = await engine.start(flow)
        await wait_for_event(run, "tool.call.started")
        if how == "cancel":
            await run.cancel()
        events = await full_log(engine, run)
    llm, tool = only(events, "llm.call.completed").data, only(events, "tool.call.completed").data
    assert (llm["status"], tool["status"]) == ("cancelled", "cancelled")
    assert (llm["cost"], llm["is_estimated"]) == (0.5, True)
    assert "error" not in llm
    assert "result" not in tool
    assert only(events, "task.spent").data["cost"] == 0.5
    assert events[-1].type == ("run.cancelled" if how == "cancel" else "run.failed")


async def test_an_llm_call_spends_what_it_cost_else_what_was_estimated(engine: Engine) -> None:
    """Source llm, after its ``llm.call.completed``; a call that fails spends what is known, and no estimate."""
    flow = Workflow("calls")

    @flow.task
    async def call(ctx: Context) -> None:
        async with ctx.llm_call("a", estimated_cost="0.5") as one:
            one.cost, one.tokens = 0.25, 10
        async with ctx.llm_call("b", estimated_cost="0.5"):
            pass
        for cost in (None, "0.125"):
            try:
                async with ctx.llm_call("c", estimated_cost="0.5") as failing:
                    failing.cost = cost
                    raise KeyError
            except KeyError:
                pass
        async with ctx.llm_call("d"):
            pass

    run, events = await ended(engine, flow, None)
    assert [(e.data["cost"], e.data["tokens"], e.data["source"]) for e in of_type(events, "task.spent")] == [
        (0.25, 10, "llm"),
        (0.5, 0, "llm"),
        (0.125, 0, "llm"),
    ]
    assert [e.data.get("is_estimated", False) for e in of_type(events, "llm.call.completed")] == [False, True] + [
        False
    ] * 3
    for spent in of_type(events, "task.spent"):
        assert events[spent.seq - 2].type == "llm.call.completed"
    check_sums(events, run.state)


async def test_the_end_says_what_was_spent_where_anything_was_or_could_be(engine: Engine) -> None:
    """Without spending and without a budget it says nothing of money."""
    assert not {"cost", "tokens"} & (await run_to_end(spending()))[-1].data.keys()
    assert {"cost": 0, "tokens": 0}.items() <= (await ended(engine, spending(), {"cost": 1}))[1][-1].data.items()
    assert {"cost": 0, "tokens": 3}.items() <= (await run_to_end(spending({"tokens": 3})))[-1].data.items()


async def test_what_is_spent_after_the_end_counts_nowhere(engine: Engine) -> None:
    """A body that was abandoned may spend what it likes: its context is closed."""
    flow = Workflow("abandoned")
    go_on = asyncio.Event()
    late: list[Exception] = []

    @flow.task
    async def body(ctx: Context) -> None:
        await ctx.spend(cost=1)
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        try:
            await ctx.spend(cost=7)
        except Exception as error:
            late.append(error)

    run = await engine.start(flow, budget={"cost": 2})
    await wait_for_event(run, "task.spent")
    await asyncio.wait_for(run.cancel(grace=0.01), PATIENCE)
    events = await full_log(engine, run)
    go_on.set()
    await wait_until(lambda: late)
    assert type(late[0]).__name__ == "ContextClosed"
    assert await full_log(engine, run) == events
    assert events[-1].data["cost"] == 1
    assert of_type(events, "budget.exceeded") == []


# --- warnings and limits ------------------------------------------------------------------------------------------


async def test_80_percent_warn_once_and_more_than_all_is_told_once(engine: Engine) -> None:
    """Each resource is told by itself; exactly the limit is not too much."""
    amounts = [{"cost": "0.79", "tokens": 79}, {"cost": "0.01"}, {"tokens": 1}, {"cost": "0.2", "tokens": 20}]
    budget = {"cost": 1, "tokens": 100, "on_exceeded": "tell"}
    run, events = await ended(engine, spending(*amounts), budget)
    assert run.status == "completed"
    warnings = of_type(events, "budget.warning")
    assert [e.data for e in warnings] == [
        {"resource": "cost", "used": 0.8, "limit": 1, "percent": 80.0},
        {"resource": "tokens", "used": 80, "limit": 100, "percent": 80.0},
    ]
    assert [events[e.seq - 2].data["total_cost"] for e in warnings] == [0.8, 0.8]
    assert of_type(events, "budget.exceeded") == []
    more = [*amounts, {"cost": "0.000000000001"}, {"cost": 5}, {"tokens": 1}, {"tokens": 1}]
    run, events = await ended(engine, spending(*more), budget)
    assert run.status == "completed"
    assert len(of_type(events, "budget.warning")) == 2
    assert [(e.data["resource"], e.data["used"]) for e in of_type(events, "budget.exceeded")] == [
        ("cost", 1.000000000001),
        ("tokens", 101),
    ]
    assert (run.state.warned, run.state.exceeded) == (["cost", "tokens"], ["cost", "tokens"])


async def test_one_amount_that_is_too_much_warns_and_exceeds_at_once(engine: Engine) -> None:
    """The warning comes first."""
    _, events = await ended(engine, spending({"cost": 3}), {"cost": 2, "on_exceeded": "tell"})
    assert [e.type for e in events if e.type.startswith("budget.")] == ["budget.warning", "budget.exceeded"]
    assert [e.data["percent"] for e in events if e.type.startswith("budget.")] == [150.0, 150.0]


def two_steps(ran: list[str]) -> Workflow:
    """A task that spends too much and would go on, one beside it, and what comes after them."""
    flow = Workflow("steps")

    @flow.task
    async def first(ctx: Context) -> None:
        ran.append("first")
        await ctx.spend(cost=2)
        await ctx.checkpoint()
        await asyncio.sleep(0)
        ran.append("went on")

    @flow.task(after="first")
    async def second() -> str:
        ran.append("second")
        return "done"

    return flow


async def test_a_budget_that_fails_stops_the_run(engine: Engine) -> None:
    """``run.cancelling`` with reason and error, bodies are stopped, the rest is skipped, then ``run.failed``."""
    ran: list[str] = []
    run = await engine.start(two_steps(ran), budget={"cost": 1})
    with pytest.raises(RunFailed, match="BudgetExceeded: the budget is exceeded: 2 of 1 cost"):
        await asyncio.wait_for(run, PATIENCE)
    events = await full_log(engine, run)
    assert ran == ["first"]
    cancelling = only(events, "run.cancelling").data
    error = {"type": "BudgetExceeded", "message": "the budget is exceeded: 2 of 1 cost"}
    assert cancelling == {"reason": "budget", "by": None, "error": error, "because": "first"}
    assert only(events, "task.cancelled").data["reason"] == "budget"
    assert only(events, "task.skipped").data == {"reason": "budget", "because": "first", "progress": 0.5}
    assert (events[-1].type, events[-1].data["reason"], events[-1].data["error"]) == ("run.failed", "budget", error)
    assert (run.state.cost, events[-1].data["cost"]) == (2, 2)


async def test_a_budget_that_pauses_pauses_once(engine: Engine) -> None:
    """Nothing new starts until somebody resumes it; from then on the budget says nothing more."""
    ran: list[str] = []
    run = await engine.start(two_steps(ran), budget={"cost": 1, "on_exceeded": "pause"})
    paused = await wait_for_event(run, "run.paused")
    assert paused.data == {"reason": "budget", "by": None}
    assert (run.status, ran) == ("paused", ["first"])
    await run.resume()
    events = await full_log(engine, run)
    assert run.status == "completed"
    assert ran == ["first", "went on", "second"]
    assert len(of_type(events, "budget.exceeded")) == len(of_type(events, "run.paused")) == 1


async def test_a_budget_that_tells_only_tells(engine: Engine) -> None:
    """The run completes."""
    ran: list[str] = []
    run, events = await ended(engine, two_steps(ran), {"cost": 1, "on_exceeded": "tell"})
    assert (run.status, ran) == ("completed", ["first", "went on", "second"])
    assert len(of_type(events, "budget.exceeded")) == 1


async def test_a_budget_of_nothing_is_exceeded_by_anything(engine: Engine) -> None:
    """And by nothing else."""
    run, events = await ended(engine, spending({"cost": 0}), {"cost": 0, "tokens": 0})
    assert run.status == "completed"
    for amount in ({"cost": "0.000000000001"}, {"tokens": 1}):
        run, events = await ended(engine, spending(amount), {"cost": 0, "tokens": 0})
        assert (run.status, len(of_type(events, "budget.exceeded"))) == ("failed", 1)


# --- tasks --------------------------------------------------------------------------------------------------------


def in_a_row(count: int, ran: list[str]) -> Workflow:
    flow = Workflow(f"row-of-{count}")
    for i in range(count):

        async def body(ctx: Context) -> None:
            ran.append(ctx.task_id)

        flow.task(body, name=f"t{i}", after=(f"t{i - 1}",) if i else ())
    return flow


async def test_no_more_bodies_start_than_the_budget_has(engine: Engine) -> None:
    """The one beyond it is skipped, with the reason; the warning came with the start that reached 80 percent."""
    ran: list[str] = []
    run, events = await ended(engine, in_a_row(7, ran), {"tasks": 5})
    assert ran == ["t0", "t1", "t2", "t3", "t4"]
    assert run.status == "failed"
    assert only(events, "budget.warning").data == {"resource": "tasks", "used": 4, "limit": 5, "percent": 80.0}
    assert only(events, "budget.exceeded").data == {"resource": "tasks", "used": 6, "limit": 5, "percent": 120.0}
    assert [(e.task_id, e.data["reason"]) for e in of_type(events, "task.skipped")] == [
        ("t5", "budget"),
        ("t6", "budget"),
    ]
    run, events = await ended(engine, in_a_row(5, ran), {"tasks": 5})
    assert run.status == "completed"


@pytest.mark.parametrize("limited", [False, True])
async def test_a_start_beyond_the_budget_waits_for_the_resume(engine: Engine, limited: bool) -> None:
    """With ``pause`` the body that would be too many begins after it, whether it holds a slot or not."""
    ran: list[str] = []
    flow = Workflow("limited", concurrency=1 if limited else None)
    for task in in_a_row(3, ran).tasks.values():
        flow.task(task.function, name=task.name, after=task.after)
    run = await engine.start(flow, budget={"tasks": 1, "on_exceeded": "pause"})
    await wait_for_event(run, "run.paused")
    assert ran == ["t0"]
    await run.resume()
    events = await full_log(engine, run)
    assert (run.status, ran) == ("completed", ["t0", "t1", "t2"])
    assert len(of_type(events, "budget.exceeded")) == 1


async def test_every_attempt_is_a_start(engine: Engine) -> None:
    """A body that fails and runs again uses the budget up."""
    flow = Workflow("again")

    @flow.task(retry=Retry(attempts=10, delay=0))
    async def again(ctx: Context) -> None:
        raise ValueError

    run, events = await ended(engine, flow, {"tasks": 3})
    assert len(of_type(events, "task.started")) == 3
    assert (run.status, only(events, "budget.exceeded").data["used"]) == ("failed", 4)


# --- seconds ------------------------------------------------------------------------------------------------------


async def test_a_run_that_takes_too_long_is_warned_and_stopped(engine: Engine) -> None:
    """The times that are told are at least what they stand for."""
    run, events = await ended(engine, endless(), {"seconds": 0.05})
    warning, exceeded = only(events, "budget.warning").data, only(events, "budget.exceeded").data
    assert warning["resource"] == exceeded["resource"] == "seconds"
    assert warning["used"] >= 0.04
    assert exceeded["used"] >= 0.05
    assert warning["limit"] == exceeded["limit"] == 0.05
    assert (run.status, run.state.reason) == ("failed", "budget")


async def test_time_in_a_pause_does_not_count(engine: Engine) -> None:
    """A run that was paused at its limit goes on afterwards as if nothing had been; while paused it uses nothing."""
    run = await engine.start(endless(), budget={"seconds": 0.05, "on_exceeded": "pause"})
    await wait_for_event(run, "run.paused")
    await run.resume()
    await asyncio.sleep(0)
    assert run.status == "running"
    await asyncio.wait_for(run.cancel(), PATIENCE)
    assert len(of_type(await full_log(engine, run), "budget.exceeded")) == 1


async def test_the_seconds_of_a_pause_are_not_among_those_used(engine: Engine) -> None:
    """What is told as used is what passed since the start, without the pause."""
    run = await engine.start(endless(), budget={"seconds": 0.05, "on_exceeded": "tell"})
    await run.pause()
    await asyncio.sleep(0.1)
    await run.resume()
    await wait_for_event(run, "budget.exceeded")
    await asyncio.wait_for(run.cancel(), PATIENCE)
    events = await full_log(engine, run)
    at = {event.type: unix_seconds(event.time) for event in events}
    exceeded = only(events, "budget.exceeded")
    passed = at["budget.exceeded"] - at["run.started"]
    if only(events, "run.resumed").seq < exceeded.seq:  # else this machine took longer than the budget to pause it
        passed -= at["run.resumed"] - at["run.paused"]
    assert 0.05 <= exceeded.data["used"] <= passed + 0.05


# --- child runs ---------------------------------------------------------------------------------------------------


def family(amount: dict[str, Any]) -> tuple[Workflow, Workflow]:
    """A grandparent and its child, whose child spends an amount and then waits for ever."""
    leaf = Workflow("leaf")

    @leaf.task
    async def spend(ctx: Context) -> None:
        await ctx.spend(**amount)
        await asyncio.Event().wait()

    middle = Workflow("middle")

    @middle.task
    async def ask(ctx: Context) -> Any:
        return await ctx.run(leaf)

    top = Workflow("top")

    @top.task
    async def start(ctx: Context) -> Any:
        return await ctx.run(middle)

    return top, leaf


async def test_what_a_child_spends_can_exceed_the_budget_of_an_ancestor(engine: Engine) -> None:
    """The ancestor fails, naming the task that asked; all below are cancelled with reason parent."""
    run = await engine.start(family({"cost": 2})[0], run_id="r", budget={"cost": 1})
    events = await full_log(engine, run)
    assert (run.status, only(events, "run.cancelling").data["because"]) == ("failed", "start")
    for id in ("r.start.1", "r.start.1.ask.1"):
        found = await engine.get(id)
        assert (found.status, found.state.reason) == ("cancelled", "parent")
        assert found.state.exceeded is None
        assert (await full_log(engine, found))[-1].data["cost"] == 2
    assert events[-1].data["cost"] == 2


async def test_starts_in_a_child_use_the_budget_of_an_ancestor(engine: Engine) -> None:
    """The body that would be one too many does not start, although its own run has no budget; each counts once."""
    ran: list[str] = []
    child = in_a_row(4, ran)
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.run(child)

    run = await engine.start(flow, run_id="r", budget={"tasks": 3})
    events = await full_log(engine, run)
    assert ran == ["t0", "t1"]
    assert only(events, "budget.exceeded").data["used"] == 4
    assert (run.status, (await engine.get("r.ask.1")).status) == ("failed", "cancelled")
    ran.clear()
    run = await engine.start(flow, run_id="s", budget={"tasks": 5})
    events = await full_log(engine, run)
    assert (run.status, len(ran)) == ("completed", 4)
    assert [e.data.get("tasks") for e in of_type(events, "task.spent")] == [4]
    assert (run.state.children or {})["s.ask.1"]["tasks"] == 4


async def test_a_start_in_a_child_can_pause_an_ancestor_and_begins_after_its_resume(engine: Engine) -> None:
    """The child is paused with it, and both go on."""
    ran: list[str] = []
    child = in_a_row(3, ran)
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.run(child)

    run = await engine.start(flow, run_id="r", budget={"tasks": 2, "on_exceeded": "pause"})
    await wait_for_event(run, "run.paused")
    await wait_for_event(await engine.get("r.ask.1"), "run.paused")
    assert ran == ["t0"]
    await run.resume()
    await full_log(engine, run)
    assert (run.status, ran) == ("completed", ["t0", "t1", "t2"])


# --- the ledger ---------------------------------------------------------------------------------------------------

COSTS = st.one_of(
    st.decimals(0, 100, places=12), st.decimals(0, 10**9, places=2), st.sampled_from([Decimal(0), Decimal("1e-12")])
).map(money)
BUDGETS = st.builds(
    Budget,
    cost=st.none() | COSTS,
    tokens=st.none() | st.integers(0, 1_000),
    tasks=st.none() | st.integers(0, 20),
)
STEPS = st.lists(
    st.tuples(st.just("spend"), COSTS, st.integers(0, 300), st.sampled_from([None, "a", "b"]))
    | st.tuples(st.just("start"), st.none(), st.none(), st.none()),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(BUDGETS, STEPS)
def test_a_ledger_sums_exactly_and_tells_each_thing_once(budget: Budget, steps: Sequence[Any]) -> None:
    """Whatever is spent, in whatever order: exact sums, a warning from 80 percent on, exceeded above the limit."""
    ledger = Ledger(budget)
    children = {"a": Ledger(None), "b": Ledger(None)}
    crossed: list[Crossing] = []
    exact = {"cost": Fraction(0), "tokens": Fraction(0), "tasks": Fraction(0)}
    for kind, cost, tokens, child in steps:
        if kind == "start":
            crossed += [crossing] if (crossing := ledger.next_task()) is not None else []
            ledger.tasks += 1
            exact["tasks"] += 1
            crossed += ledger.crossings_of("tasks", Decimal(ledger.tasks))
            continue
        ledger.spend(cost, tokens)
        if child is not None:
            children[child].spend(cost, tokens)
            ledger.note_child(child, cost, tokens)
        exact["cost"] += Fraction(cost)
        exact["tokens"] += tokens
        crossed += ledger.crossings()
    assert (Fraction(ledger.cost), ledger.tokens, ledger.tasks) == tuple(exact.values())
    assert all(ledger.missing_of(name, child) == (0, 0, 0) for name, child in children.items())
    assert len({(c.type, c.resource) for c in crossed}) == len(crossed)
    for resource, used in exact.items():
        limit = budget.limit(resource)
        types = {c.type for c in crossed if c.resource == resource}
        if limit is None:
            assert types == set()
        elif limit > 0:
            assert ("budget.warning" in types) == (used >= Fraction(limit) * Fraction(8, 10))
            assert ("budget.exceeded" in types) == (used > limit)
        else:
            assert ("budget.exceeded" in types) == (used > 0)


@pytest.mark.parametrize("name", ["resutl", "costs"])
async def test_a_name_written_wrongly_in_a_call_is_an_error(name: str) -> None:
    """Not a result, or a cost, that nobody sees."""
    flow = Workflow("typo")

    @flow.task
    async def calls(ctx: Context) -> None:
        async with ctx.tool_call("find", {}) if name == "resutl" else ctx.llm_call("m") as call:
            setattr(call, name, 1)

    async with Engine() as engine:
        with pytest.raises(RunFailed, match=name):
            await (await engine.start(flow))
