"""Child runs: ``ctx.run`` gives their outputs; what happens to the parent happens to them; none starts twice."""

from __future__ import annotations

import asyncio
from collections import deque
from decimal import Decimal
from typing import Any

import pytest

from reactor import Context, Engine, Retry, RunCancelled, RunEnded, RunExists, RunFailed, UnknownRun, Workflow
from reactor.bounds import CHILD_DEPTH, RUN_ID
from reactor.logs.memory import MemoryLog
from reactor.runs.children import child_ids
from reactor.testing import FaultyLog, read_all
from tests.helpers.events import of_type, only
from tests.helpers.jittered_log import JitteredLog
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import PATIENCE, full_log, open_run, result, run_to_end, wait_for_event, wait_until


def doubling() -> Workflow:
    flow = Workflow("doubling")

    @flow.task
    async def double(n: int) -> int:
        return 2 * n

    return flow


def endless(name: str = "endless") -> Workflow:
    flow = Workflow(name)

    @flow.task
    async def wait(ctx: Context) -> None:
        await ctx.emit("body.waits", {})
        await asyncio.Event().wait()

    return flow


def parent_of(child: Any, **options: Any) -> Workflow:
    """A parent whose only task gives what one child run gives."""
    flow = Workflow("parent")

    @flow.task(**options)
    async def ask(ctx: Context) -> Any:
        return await ctx.run(child)

    return flow


# --- what it gives ------------------------------------------------------------------------------------------------


async def test_a_child_run_gives_its_outputs_and_is_a_run_like_any_other(engine: Engine) -> None:
    """Its ``run.started`` names its parent, its id is made of the parent's, and it can be followed by itself."""
    flow = Workflow("parent")
    engine.register(doubling())

    @flow.task
    async def ask(ctx: Context) -> Any:
        return [
            await ctx.run(doubling(), {"n": 1}),
            await ctx.run("doubling", {"n": 2}),
            await ctx.run("doubling", {"n": 3}, key="third"),
        ]

    run = await engine.start(flow, run_id="r")
    assert await result(run) == {"ask": [{"double": 2}, {"double": 4}, {"double": 6}]}
    for name, n in (("1", 1), ("2", 2), ("third", 3)):
        child = await engine.get(f"r.ask.{name}")
        events = await full_log(engine, child)
        started = only(events, "run.started").data
        assert started["parent"] == child.state.parent == {"run_id": "r", "task_id": "ask"}
        assert started["input"] == {"n": n}
        assert await child == {"double": 2 * n}
    assert [record.run_id for record in await engine.list()] == ["r.ask.third", "r.ask.2", "r.ask.1", "r"]


async def test_a_body_that_runs_again_is_given_the_same_outputs_of_its_child(engine: Engine) -> None:
    """Of the types that the child returned; what the log cannot give back is as it was shown, with a warning."""
    child, flow = Workflow("typed"), Workflow("parent")
    given: list[Any] = []

    @child.task
    async def items() -> list[int]:
        return [1, 2]

    @child.task(map="items")
    async def each(items: int) -> tuple[int, Decimal]:
        return (items, Decimal("1.10"))

    @child.task
    async def bound() -> deque[int]:
        return deque([1, 2], maxlen=3)

    @child.task
    async def untyped():  # type: ignore[no-untyped-def]
        return (1, 2)

    @flow.task(retry=Retry(attempts=2, delay=0))
    async def ask(ctx: Context) -> None:
        given.append(await ctx.run(child))
        if len(given) == 1:
            raise ConnectionError

    with log_lines() as logged:
        await result(await engine.start(flow))
    assert given[1] == {**given[0], "untyped": [1, 2]}
    assert [type(pair) for pair in given[1]["each"]] == [tuple, tuple]
    assert repr(given[1]["bound"]) == "deque([1, 2], maxlen=3)"
    warned = [line["task_id"] for line in logged if line["event"].startswith("output cannot be restored, it is given")]
    assert warned == ["untyped"]


async def test_children_run_at_once(engine: Engine) -> None:
    """Each of those that were asked for together has its own number, in the order they were asked for."""
    flow = Workflow("parent")
    both = asyncio.Barrier(2)
    child = Workflow("meeting")

    @child.task
    async def meet(n: int) -> int:
        await both.wait()
        return n

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await asyncio.gather(ctx.run(child, {"n": 1}), ctx.run(child, {"n": 2}))

    assert await result(await engine.start(flow, run_id="r")) == {"ask": [{"meet": 1}, {"meet": 2}]}
    assert (await engine.get("r.ask.2")).state.status == "completed"


async def test_one_child_that_is_asked_for_twice_at_once_starts_once(engine: Engine) -> None:
    """A key names one run, however often it is asked for; a number is one of its own."""
    ran: list[int] = []
    child = Workflow("counted")

    @child.task
    async def count() -> int:
        ran.append(1)
        return len(ran)

    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> Any:
        at_once = await asyncio.gather(*(ctx.run(child, key="one") for _ in range(3)))
        return [*at_once, await ctx.run(child, key="one"), await ctx.run(child)]

    run = await engine.start(flow, run_id="r")
    assert await result(run) == {"ask": [{"count": 1}] * 4 + [{"count": 2}]}
    await full_log(engine, await engine.get("r.ask.one"))


async def test_a_key_that_is_used_for_another_child_is_refused(engine: Engine) -> None:
    """Giving the outputs of the first for those of the second would be the worst answer."""
    flow = Workflow("parent")
    asked: list[str] = []

    @flow.task
    async def ask(ctx: Context) -> Any:
        given = await ctx.run(doubling(), {"n": 1}, key="doc")
        for child, input in ((doubling(), {"n": 2}), (endless("working"), {}), (doubling(), {"n": "1"})):
            try:
                await ctx.run(child, input, key="doc")
            except RunExists as refused:
                asked.append(str(refused))
        return [given, await ctx.run(doubling(), {"n": 1}, key="doc"), await ctx.run(doubling(), {"n": 2}, key="other")]

    assert await result(await engine.start(flow, run_id="r")) == {"ask": [{"double": 2}, {"double": 2}, {"double": 4}]}
    assert asked == [
        "there is a run 'r.ask.doc' already, with another input: each needs a key of its own",
        "there is a run 'r.ask.doc' already, of workflow 'doubling': 'working' needs a key of its own",
    ]


async def test_a_mapped_task_has_children_of_its_own(engine: Engine) -> None:
    """The index is part of the id, without the brackets that no run id may have."""
    flow = Workflow("parent")

    @flow.task
    async def items() -> list[int]:
        return [1, 2]

    @flow.task(map="items")
    async def each(items: int, ctx: Context) -> Any:
        return await ctx.run(doubling(), {"n": items})

    assert await result(await engine.start(flow, run_id="r")) == {"each": [{"double": 2}, {"double": 4}]}
    assert (await engine.get("r.each~1.1")).state.parent == {"run_id": "r", "task_id": "each[1]"}


def test_an_id_too_long_for_a_run_is_shortened_always_the_same_way() -> None:
    """The run it belongs to stays readable, and different children have different ids."""

    def first(run_id: str, task_id: str, name: str, key: bytes = b"key of the log") -> str:
        return next(child_ids(run_id, task_id, name, key))

    assert first("r", "ask", "1") == "r.ask.1"
    run_id = "r" * 60
    ids = {first(run_id, task, name) for task in ("ask", "ask[1]") for name in ("1", "2", "key", "k/ey", "\ud800")}
    assert len(ids) == 10
    assert all(RUN_ID.fullmatch(id) and id.startswith("r" * 31) for id in ids)
    assert first("r", "ask", "a/b") == first("r", "ask", "a/b", b"other") != first("r", "ask", "a-b")
    assert first("r" * 60, "ask", "1") == f"{'r' * 31}.a97c280ecac5570e66508f4adfeeb6e0"


def test_the_second_id_is_nobodys_who_does_not_have_the_key_of_the_log() -> None:
    """Always the same with one key, another with another, and never that of another child."""
    children = [("r", "a[0]", "1"), ("r", "a~0", "1"), ("r", "a", "b.1"), ("r", "a.b", "1"), ("r.a", "b", "1")]
    children += [("r" * 64, "a", "1"), ("r" * 64, "b", "1")]
    last = {child: list(child_ids(*child, b"key"))[-1] for child in children}
    assert len(set(last.values())) == len(children)
    assert all(RUN_ID.fullmatch(id) for id in last.values())
    assert last == {child: list(child_ids(*child, b"key"))[-1] for child in children}
    assert not {*last.values()} & {list(child_ids(*child, b"other"))[-1] for child in children}


async def test_a_child_with_a_long_id_is_found_again(engine: Engine) -> None:
    """Asked for in the next attempt, it is the same run."""
    ran: list[int] = []
    child = Workflow("c" * 64)

    @child.task
    async def count() -> int:
        ran.append(1)
        return len(ran)

    flow = Workflow("parent")

    @flow.task(retry=Retry(attempts=2, delay=0))
    async def ask(ctx: Context) -> Any:
        found = await ctx.run(child, key="any key at all, " * 10)
        if ctx.attempt == 1:
            raise ValueError("again")
        return found

    assert await result(await engine.start(flow, run_id="r" * 64)) == {"ask": {"count": 1}}


async def test_a_body_in_a_thread_blocks_until_its_child_ended(engine: Engine) -> None:
    """And gets the outputs, or the failure."""
    flow = Workflow("parent")
    failing = Workflow("failing")

    @failing.task
    async def boom() -> None:
        raise ValueError("told to fail")

    @flow.task
    def ask(ctx: Context) -> Any:
        found = ctx.run(doubling(), {"n": 4})
        try:
            ctx.run(failing)
        except RunFailed as error:
            return [found, str(error)]

    outputs = await result(await engine.start(flow, run_id="r"))
    message = "run r.ask.2: task boom failed with ValueError: told to fail"
    assert outputs == {"ask": [{"double": 8}, message]}


# --- what can go wrong --------------------------------------------------------------------------------------------


async def test_a_child_that_fails_raises_in_the_body(engine: Engine) -> None:
    """RunFailed, with the child's id and errors; the body may handle it, else its task fails."""
    child = Workflow("failing")

    @child.task
    async def boom() -> None:
        raise ValueError("told to fail")

    flow = Workflow("parent")
    caught: list[RunFailed] = []

    @flow.task
    async def handles(ctx: Context) -> str:
        try:
            await ctx.run(child)
        except RunFailed as error:
            caught.append(error)
        return "handled"

    @flow.task
    async def fails(ctx: Context) -> Any:
        return await ctx.run(child)

    run = await engine.start(flow, run_id="r")
    with pytest.raises(RunFailed, match=r"task fails failed with RunFailed: run r.fails.1: task boom failed"):
        await result(run)
    assert caught[0].run_id == "r.handles.1"
    assert caught[0].errors == {"boom": {"type": "ValueError", "message": "told to fail"}}
    assert run.state.tasks["handles"].status == "completed"


@pytest.mark.parametrize(
    ("workflow", "input", "error", "message"),
    [
        ("nobody", {}, "UnknownWorkflow", "there is no workflow 'nobody'"),
        (doubling(), {"n": "x"}, "InputError", "n"),
        (doubling(), {}, "InputError", "n"),
        (doubling(), {"n": 1, "m": 2}, "InputError", "m"),
    ],
)
async def test_a_child_that_cannot_start_raises_in_the_body_and_no_run_is_left(
    engine: Engine, workflow: Any, input: Any, error: str, message: str
) -> None:
    """The body gets what ``engine.start`` would raise."""
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.run(workflow, input)

    run = await engine.start(flow)
    with pytest.raises(RunFailed):
        await result(run)
    failed = run.state.tasks["ask"].error or {}
    assert failed["type"] == error
    assert message in failed["message"]
    assert [record.run_id for record in await engine.list()] == [run.id]


def doubling_two() -> Workflow:
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.run(doubling(), {"n": 2})

    return flow


@pytest.mark.parametrize("theirs", ["open", "ended", "a session"])
async def test_a_run_under_the_id_of_a_child_keeps_no_parent_from_it(engine: Engine, theirs: str) -> None:
    """Whoever has started it: it is left alone, and the child has an id that nobody could have guessed."""
    if theirs == "ended":
        await result(await engine.start(doubling(), {"n": 1}, run_id="r.ask.1"))
    elif theirs == "open":
        await wait_for_event(await engine.start(endless(), run_id="r.ask.1"), "body.waits")
    else:
        await engine.session("r.ask.1")
    before = (await engine.get("r.ask.1")).state.copy()
    run = await engine.start(doubling_two(), run_id="r")
    assert await result(run) == {"ask": {"double": 4}}
    [(child_id, child)] = (run.state.children or {}).items()
    assert child["status"] == "completed"
    assert child_id != "r.ask.1"
    assert (await engine.get(child_id)).state.parent == {"run_id": "r", "task_id": "ask"}
    assert (await engine.get("r.ask.1")).state == before
    assert [below.run_id for below in await engine.tree("r")] == [child_id]


async def test_children_whose_readable_ids_are_the_same_are_different_runs(engine: Engine) -> None:
    """``a[0]`` and ``a~0``; task ``b`` with the key ``c.1`` and task ``b.c``: each finds its own again."""
    flow = Workflow("parent")

    @flow.task
    async def items() -> list[int]:
        return [1]

    async def ask(ctx: Context, key: str | None, n: int) -> Any:
        found = await ctx.run(doubling(), {"n": n}, key=key)
        if ctx.attempt == 1:
            raise ValueError("again")
        return found

    again = Retry(attempts=2, delay=0)

    @flow.task(map="items", retry=again)
    async def a(items: int, ctx: Context) -> Any:
        return await ask(ctx, None, 1)

    @flow.task(name="a~0", retry=again)
    async def a_0(ctx: Context) -> Any:
        return await ask(ctx, None, 2)

    @flow.task(retry=again)
    async def b(ctx: Context) -> Any:
        return await ask(ctx, "c.1", 3)

    @flow.task(name="b.c", retry=again)
    async def b_c(ctx: Context) -> Any:
        return await ask(ctx, None, 4)

    run = await engine.start(flow, run_id="r")
    doubles = {"a": [{"double": 2}], "a~0": {"double": 4}, "b": {"double": 6}, "b.c": {"double": 8}}
    assert await result(run) == doubles
    assert len(run.state.children or {}) == 4


async def test_nobody_gets_the_id_of_a_child_that_its_parent_is_about_to_start() -> None:
    """However the commits fall: a start of that id is refused, or is there before the parent chooses another one."""
    for turns in range(12):
        log = JitteredLog(MemoryLog(), [(2, 1, 1, 0), (0, 0, 0, 1)])
        async with Engine(log, workflows=[doubling(), endless()]) as engine:
            run = await engine.start(doubling_two(), run_id="r")
            for _ in range(turns):
                await asyncio.sleep(0)
            try:
                await engine.start(endless(), run_id="r.ask.1")
            except RunExists:
                expected = "r.ask.1"
            else:
                expected = ""
            assert await result(run) == {"ask": {"double": 4}}
            [child_id] = run.state.children or {}
            assert child_id == expected or (not expected and child_id.startswith("r."))
            assert (await engine.get(child_id)).state.workflow == "doubling"


async def test_children_within_children_end_somewhere(engine: Engine) -> None:
    """A workflow that runs itself is refused the child run that is too deep, by name; all of them fail, none hangs."""
    flow = Workflow("self")

    @flow.task
    async def ask(ctx: Context, depth: int = 0) -> Any:
        return await ctx.run("self", {"depth": depth + 1})

    engine.register(flow)
    run = await engine.start(flow)
    with pytest.raises(RunFailed) as failed:
        await result(run)
    assert f"is {CHILD_DEPTH} child runs deep and asks for another" in str(failed.value)
    records = await engine.list()
    assert len(records) == CHILD_DEPTH + 1
    assert {record.status for record in records} == {"failed"}


async def test_a_child_that_somebody_cancels_raises_in_the_body(engine: Engine) -> None:
    """RunCancelled with its reason: the parent was not cancelled, it decides."""
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> str:
        try:
            await ctx.run(endless())
        except RunCancelled as error:
            return f"{error.run_id}: {error.reason}"
        return ""

    run = await engine.start(flow, run_id="r")
    child = await open_run(engine, "r.ask.1")
    await child.cancel(reason="not needed")
    assert await result(run) == {"ask": "r.ask.1: not needed"}


# --- what happens to the parent -----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize("what", ["run", "task"])
async def test_a_cancel_reaches_the_child_and_waits_for_it(engine: Engine, where: str, what: str) -> None:
    """The child ends as cancelled, reason parent, before its parent does; so does the child's child."""
    middle = parent_of(endless())
    flow = Workflow("grandparent")

    async def on_loop(ctx: Context) -> Any:
        return await ctx.run(middle)

    def in_thread(ctx: Context) -> Any:
        return ctx.run(middle)

    body: Any = on_loop if where == "loop" else in_thread
    flow.task(body, name="top")
    ends: list[tuple[str, str]] = []
    engine.live.subscribe(lambda e: ends.append((e.run_id, e.type)) if e.type == "run.cancelled" else None)
    run = await engine.start(flow, run_id="g")
    await wait_for_event(await open_run(engine, "g.top.1.ask.1"), "body.waits")
    await asyncio.wait_for(run.cancel(task=None if what == "run" else "top"), PATIENCE)
    await asyncio.wait_for(run.ended(), PATIENCE)
    for id in ("g.top.1", "g.top.1.ask.1"):
        child = await engine.get(id)
        assert (child.status, child.state.reason) == ("cancelled", "parent")
        assert only(await full_log(engine, child), "run.cancelled").data["abandoned"] == 0
    await wait_until(lambda: len(ends) == (3 if what == "run" else 2))
    assert [id for id, _ in ends][:2] == ["g.top.1.ask.1", "g.top.1"]
    assert only(await full_log(engine, run), "task.cancelled").data["stopped"] is True


async def test_a_cancel_reaches_a_child_that_is_just_being_started() -> None:
    """Its ``run.started`` is not in the log yet when the parent is cancelled: it does not go on alone."""
    log = FaultyLog(MemoryLog(), hangs=["r.ask.1"])
    async with Engine(log, grace=0) as engine:
        child_started = engine.wait_for("r.ask.1")
        run = await engine.start(parent_of(endless()), run_id="r")
        await asyncio.wait_for(child_started, PATIENCE)
        await run.request_cancel()
        log.release()
        await asyncio.wait_for(run.ended(), PATIENCE)
        child = await engine.get("r.ask.1")
        assert (child.status, child.state.reason) == ("cancelled", "parent")
        await full_log(engine, run)


async def test_a_pause_reaches_the_child_and_so_does_the_resume(engine: Engine) -> None:
    """With reason parent, down to the last; nothing starts meanwhile in any of them."""
    gate = asyncio.Event()
    leaf = Workflow("leaf")

    @leaf.task
    async def first() -> None:
        await gate.wait()

    @leaf.task(after="first")
    async def second() -> int:
        return 2

    flow = Workflow("grandparent")
    middle = parent_of(leaf)

    @flow.task
    async def top(ctx: Context) -> Any:
        return await ctx.run(middle)

    run = await engine.start(flow, run_id="g")
    below = await open_run(engine, "g.top.1.ask.1")
    await wait_for_event(below, "task.started")
    await run.pause()
    gate.set()
    paused = [await wait_for_event(await engine.get(id), "run.paused") for id in ("g.top.1", "g.top.1.ask.1")]
    assert [event.data for event in paused] == [{"reason": "parent", "by": None}] * 2
    await wait_for_event(below, "task.completed", "first")
    assert below.state.tasks["second"].status == "pending"
    await run.resume()
    assert await result(run) == {"top": {"ask": {"second": 2}}}
    for id in ("g.top.1", "g.top.1.ask.1"):
        events = await full_log(engine, await engine.get(id))
        assert only(events, "run.resumed").data["reason"] == "parent"
    resumed = only(await full_log(engine, below), "run.resumed")
    assert only(await full_log(engine, below), "task.started", "second").seq > resumed.seq


async def test_a_child_that_was_paused_by_itself_stays_so_when_the_parent_is_resumed(engine: Engine) -> None:
    """Somebody wanted that; the parent's resume undoes only what the parent's pause did."""
    run = await engine.start(parent_of(endless()), run_id="r")
    child = await open_run(engine, "r.ask.1")
    await wait_for_event(child, "body.waits")
    await child.pause(reason="mine")
    await run.pause()
    await run.resume()
    assert (child.status, child.state.reason) == ("paused", "mine")
    await asyncio.wait_for(run.cancel(), PATIENCE)
    assert child.status == "cancelled"


async def test_a_child_that_is_asked_for_in_a_pause_starts_nothing_before_the_resume(engine: Engine) -> None:
    """Its tasks are new ones."""
    flow = Workflow("parent")
    gate = asyncio.Event()

    @flow.task
    async def ask(ctx: Context) -> Any:
        await gate.wait()
        await ctx.emit("about.to.ask", {})
        return await ctx.run(doubling(), {"n": 1})

    run = await engine.start(flow, run_id="r")
    await wait_for_event(run, "task.started")
    await run.pause()
    gate.set()
    await wait_for_event(run, "about.to.ask")
    for _ in range(20):
        await asyncio.sleep(0)
    with pytest.raises(UnknownRun):
        await engine.get("r.ask.1")
    await run.resume()
    assert await result(run) == {"ask": {"double": 2}}


# --- again --------------------------------------------------------------------------------------------------------


async def test_a_body_that_runs_again_takes_up_the_children_it_had(engine: Engine) -> None:
    """One that ended gives the same outputs, one that runs goes on; none starts twice."""
    ran: list[str] = []
    gate = asyncio.Event()
    child = Workflow("slow")

    @child.task
    async def work(name: str) -> str:
        ran.append(name)
        if name == "slow":
            await gate.wait()
        return name

    flow = Workflow("parent")

    @flow.task(retry=Retry(attempts=3, delay=0))
    async def ask(ctx: Context) -> Any:
        quick = await ctx.run(child, {"name": "quick"})
        slow = asyncio.ensure_future(ctx.run(child, {"name": "slow"}))
        if ctx.attempt < 3:
            while "slow" not in ran:
                await asyncio.sleep(0)
            raise ValueError("again")
        gate.set()
        return [quick, await slow]

    run = await engine.start(flow, run_id="r")
    assert await result(run) == {"ask": [{"work": "quick"}, {"work": "slow"}]}
    assert ran == ["quick", "slow"]
    for name in ("1", "2"):
        await full_log(engine, await engine.get(f"r.ask.{name}"))


async def test_a_child_that_failed_fails_again_for_the_body_that_runs_again(engine: Engine) -> None:
    """It is recorded: only another key is another child."""
    ran: list[int] = []
    child = Workflow("failing")

    @child.task
    async def boom() -> None:
        ran.append(1)
        raise ValueError("told to fail")

    run = await engine.start(parent_of(child, retry=Retry(attempts=3, delay=0)))
    with pytest.raises(RunFailed):
        await result(run)
    assert len(ran) == 1
    assert run.state.tasks["ask"].attempt == 3


@pytest.mark.parametrize("ends", ["completed", "failed"])
async def test_a_child_the_body_did_not_wait_for_is_cancelled_with_it(engine: Engine, ends: str) -> None:
    """The parent's last event comes after the child's, and has all it spent."""
    child = Workflow("spends")

    @child.task
    async def spend(ctx: Context) -> None:
        await ctx.spend(cost="0.5")
        try:
            await asyncio.Event().wait()
        finally:
            await ctx.spend(cost="0.25")

    flow = Workflow("parent")
    left: list[Any] = []

    @flow.task
    async def ask(ctx: Context) -> None:
        left.append(asyncio.ensure_future(ctx.run(child)))
        await wait_for_event(await open_run(engine, "r.ask.1"), "task.spent")
        if ends == "failed":
            raise ValueError("told to fail")

    run = await engine.start(flow, run_id="r")
    await asyncio.wait_for(run.ended(), PATIENCE)
    found = await engine.get("r.ask.1")
    assert (run.status, found.status, found.state.reason) == (ends, "cancelled", "parent")
    events = await full_log(engine, run)
    assert events[-1].data["cost"] == 0.75
    assert run.state.cost == Decimal("0.75")
    with pytest.raises((RunCancelled, asyncio.CancelledError)):
        await left[0]


# --- money --------------------------------------------------------------------------------------------------------


async def test_what_a_child_spends_counts_in_every_ancestor(engine: Engine) -> None:
    """As ``task.spent`` of the task that asked, source child, in each log; the totals are those of the whole tree."""
    leaf = Workflow("leaf")

    @leaf.task
    async def work(ctx: Context) -> None:
        await ctx.spend(cost="0.1", tokens=3)
        await ctx.spend(cost="0.2", tokens=4)

    middle = Workflow("middle")

    @middle.task
    async def ask(ctx: Context) -> None:
        await ctx.spend(cost="0.01", tokens=1)
        await asyncio.gather(ctx.run(leaf), ctx.run(leaf))

    flow = Workflow("top")

    @flow.task
    async def top(ctx: Context) -> None:
        await ctx.run(middle)

    run = await engine.start(flow, run_id="r")
    await result(run)
    expected = {
        "r": (Decimal("0.61"), 15),
        "r.top.1": (Decimal("0.61"), 15),
        "r.top.1.ask.1": (Decimal("0.3"), 7),
        "r.top.1.ask.2": (Decimal("0.3"), 7),
    }
    for id, (cost, tokens) in expected.items():
        found = await engine.get(id)
        events = await full_log(engine, found)
        assert (found.state.cost, found.state.tokens) == (cost, tokens)
        assert (events[-1].data["cost"], events[-1].data["tokens"]) == (float(cost), tokens)
    top_events = await full_log(engine, run)
    assert {(e.data["source"], e.data["child_run"], e.task_id) for e in of_type(top_events, "task.spent")} == {
        ("child", "r.top.1", "top")
    }
    middle_events = await full_log(engine, await engine.get("r.top.1"))
    assert [e.data["source"] for e in of_type(middle_events, "task.spent")].count("child") == 4
    noted = (await engine.get("r.top.1")).state.children or {}
    assert {id: (spent["cost"], spent["tokens"]) for id, spent in noted.items()} == {
        "r.top.1.ask.1": (Decimal("0.3"), 7),
        "r.top.1.ask.2": (Decimal("0.3"), 7),
    }


async def test_a_child_may_have_a_budget_of_its_own(engine: Engine) -> None:
    """It fails by itself, and the body decides; the parent has none."""
    child = Workflow("spends")

    @child.task
    async def spend(ctx: Context) -> None:
        await ctx.spend(cost=2)
        await asyncio.Event().wait()

    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> str:
        try:
            await ctx.run(child, budget={"cost": 1})
        except RunFailed as error:
            return str(error)
        return ""

    run = await engine.start(flow, run_id="r")
    assert await result(run) == {"ask": "run r.ask.1: BudgetExceeded: the budget is exceeded: 2 of 1 cost"}
    assert run.state.cost == 2


async def test_a_bad_budget_of_a_child_fails_the_body() -> None:
    """A bad budget is refused before the child run starts."""
    flow = Workflow("parent")

    @flow.task
    async def ask(ctx: Context) -> Any:
        return await ctx.run(doubling(), {"n": 1}, budget={"cost": -1})

    events = await run_to_end(flow)
    assert only(events, "task.failed").data["error"]["type"] == "ValueError"


async def test_a_child_is_refused_commands_after_its_end(engine: Engine) -> None:
    """Like any other run."""
    run = await engine.start(parent_of(endless()), run_id="r")
    child = await open_run(engine, "r.ask.1")
    await asyncio.wait_for(run.cancel(), PATIENCE)
    with pytest.raises(RunEnded):
        await child.pause()
    assert await read_all(engine.log, "r.ask.1") == await full_log(engine, child)
