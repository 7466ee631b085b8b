"""Bodies on the loop: a job is to its body what a task of asyncio would be, and answers once, however the body ends."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import Engine, Workflow
from reactor.definition.task import Task
from reactor.executors.local import LocalExecutor, LocalJob
from reactor.ports.executor import Work
from tests.helpers.runs import PATIENCE

Body = Callable[..., Coroutine[Any, Any, Any]]
Answer = tuple[Any, BaseException | None]
variable = contextvars.ContextVar("variable", default="unset")


class Desk:
    """Where bodies are handed in on the running loop, and what they answered."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.executor = LocalExecutor(self.loop, lambda work, seconds: None)
        self.answers: list[Answer] = []

    def submit(self, body: Body, **arguments: Any) -> LocalJob:
        work = Work(Task(body, {}), arguments, run_id="run", task_id=body.__name__)
        return self.executor.submit(work, lambda output, error: self.answers.append((output, error)))

    async def ended(self, job: LocalJob) -> None:
        """Waits for the job's own task, whatever it answered."""
        await asyncio.wait([job.task])

    async def answer(self, body: Body, **arguments: Any) -> Answer:
        """What one body answers; nothing else may be under way."""
        await self.ended(self.submit(body, **arguments))
        return self.only()

    def only(self) -> Answer:
        assert len(self.answers) == 1
        return self.answers[0]


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- how a body ends ----------------------------------------------------------------------------------------------


async def test_a_body_may_suspend_as_often_as_it_likes() -> None:
    """Each time it is sent what it waited for."""
    desk = Desk()

    async def body() -> list[int]:
        got = list[int]()
        for n in range(1000):
            future = desk.loop.create_future()
            desk.loop.call_soon(future.set_result, n)
            got.append(await future)
            await asyncio.sleep(0)
        return got

    assert await desk.answer(body) == (list(range(1000)), None)


class Own(BaseException):
    """One that is no Exception."""


@pytest.mark.parametrize(
    "kind",
    [ValueError, Own, SystemExit, KeyboardInterrupt, GeneratorExit, StopAsyncIteration, asyncio.CancelledError],
)
@pytest.mark.parametrize("suspends", [False, True])
async def test_what_a_body_raises_is_its_answer(kind: type[BaseException], suspends: bool) -> None:
    """The exception itself, whatever it is; the job's task has ended well, for nobody looks at it."""
    desk, error = Desk(), kind("raised")

    async def body() -> None:
        if suspends:
            await asyncio.sleep(0)
        raise error

    job = desk.submit(body)
    await desk.ended(job)
    assert desk.answers == [(None, error)]
    assert job.task.exception() is None


async def test_a_stop_iteration_is_a_failure_and_no_output() -> None:
    """As in any coroutine: ``return`` is the only way to answer an output."""

    async def body() -> None:
        raise StopIteration("not an output")

    output, error = await Desk().answer(body)
    assert output is None
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, StopIteration)


async def test_a_body_that_is_called_wrongly_answers_the_type_error() -> None:
    """Calling it is its first step, not ``submit``'s."""

    async def body(a: int) -> int:
        return a

    desk = Desk()
    job = desk.submit(body, b=1)
    await desk.ended(job)
    assert [type(error) for _, error in desk.answers] == [TypeError]


@pytest.mark.parametrize("suspends", [False, True])
def test_a_ctrl_c_in_a_body_is_recorded_and_raised_on(suspends: bool) -> None:
    """Where Python's own handler of SIGINT is in place it ends the loop, as anywhere; the body has failed with it."""
    answers, error = list[Answer](), KeyboardInterrupt()

    async def body() -> None:
        if suspends:
            await asyncio.sleep(0)
        raise error

    async def main() -> BaseException | None:
        desk = Desk()
        desk.answers = answers
        job = desk.submit(body)
        await desk.ended(job)
        return job.task.exception()

    loop = asyncio.new_event_loop()
    main_task = loop.create_task(main())
    try:
        with pytest.raises(KeyboardInterrupt) as raised:
            loop.run_forever()
        assert raised.value is error
        assert loop.run_until_complete(main_task) is error
    finally:
        loop.close()
    assert answers == [(None, error)]


# --- cancel and abandon -------------------------------------------------------------------------------------------


async def test_a_cancel_before_the_first_step_runs_none_of_the_body() -> None:
    """It is answered as a cancel all the same: whoever asked waits for an answer."""
    desk, ran = Desk(), list[str]()

    async def body() -> None:
        ran.append("body")

    job = desk.submit(body)
    job.cancel()
    assert desk.answers == []
    await desk.ended(job)
    output, error = desk.only()
    assert output is None
    assert isinstance(error, asyncio.CancelledError)
    assert ran == []


async def test_a_body_may_raise_its_cancel() -> None:
    """A body may clean up, also with ``await``, before it raises the cancel."""
    desk, ran = Desk(), list[str]()

    async def body() -> None:
        try:
            await desk.loop.create_future()
        finally:
            await turns(3)
            ran.append("clean-up")

    job = desk.submit(body)
    await turns(1)
    job.cancel()
    await desk.ended(job)
    assert [type(error) for _, error in desk.answers] == [asyncio.CancelledError]
    assert ran == ["clean-up"]


async def test_a_body_may_catch_a_cancel_and_go_on_as_often_as_it_is_cancelled() -> None:
    """And answer an output in the end."""
    desk = Desk()

    async def body() -> int:
        caught = 0
        while caught < 5:
            try:
                await desk.loop.create_future()
            except asyncio.CancelledError:
                caught += 1
                await turns(2)
        return caught

    job = desk.submit(body)
    for _ in range(5):
        await turns(4)
        assert desk.answers == []
        job.cancel()
    await desk.ended(job)
    assert desk.answers == [(5, None)]


async def test_a_body_may_swallow_its_cancel_and_return() -> None:
    """Its output stands."""
    desk = Desk()

    async def body() -> str:
        try:
            await desk.loop.create_future()
        except asyncio.CancelledError:
            return "swallowed"
        return "not cancelled"

    job = desk.submit(body)
    await turns(1)
    job.cancel()
    await desk.ended(job)
    assert desk.answers == [("swallowed", None)]


async def test_a_body_may_cancel_its_own_job() -> None:
    """It hears of it where it waits next."""
    desk = Desk()

    async def body() -> str:
        job.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return "heard"
        return "not heard"

    job = desk.submit(body)
    await desk.ended(job)
    assert desk.answers == [("heard", None)]


async def test_a_cancel_after_the_end_is_nothing() -> None:
    """It has answered already, and does not again."""
    desk = Desk()

    async def body() -> int:
        return 1

    job = desk.submit(body)
    await desk.ended(job)
    job.cancel()
    assert job.abandon()
    await turns(2)
    assert desk.answers == [(1, None)]


async def test_a_body_that_ends_after_it_was_abandoned_is_not_answered() -> None:
    """It was not gone when it was abandoned, and whatever it does then is nobody's concern."""

    async def returns(end: asyncio.Future[None]) -> int:
        await end
        return 1

    async def raises(end: asyncio.Future[None]) -> None:
        await end
        raise ValueError

    async def swallows(end: asyncio.Future[None]) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await end

    desk = Desk()
    for body in (returns, raises, swallows):
        end = desk.loop.create_future()
        job = desk.submit(body, end=end)
        await turns(1)
        job.cancel() if body is swallows else None
        await turns(1)
        assert not job.abandon()
        end.set_result(None)
        await desk.ended(job)
        assert job.abandon()
    assert desk.answers == []


async def test_a_body_that_is_abandoned_before_its_first_step_never_runs() -> None:
    """It is really gone, and nothing is answered."""
    desk, ran = Desk(), list[str]()

    async def body() -> None:
        ran.append("body")

    job = desk.submit(body)
    assert job.abandon()
    await desk.ended(job)
    assert (desk.answers, ran) == ([], [])


# --- as a task of asyncio -----------------------------------------------------------------------------------------


STEPS = ("turn", "three turns", "future", "failing future", "cancelled future", "nested", "gather", "shield", "timeout")
HABITS = ("raise", "go on", "clean up", "return")
"""What a body does when it is cancelled in a step."""


async def step(name: str) -> Any:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    if name == "future":
        loop.call_soon(_settle, future.set_result, future, "a result")
    elif name == "failing future":
        loop.call_soon(_settle, future.set_exception, future, ValueError("a failure"))
    elif name == "cancelled future":
        loop.call_soon(future.cancel)
    elif name == "nested":
        return await loop.create_task(step("three turns"))
    elif name == "gather":
        return await asyncio.gather(step("future"), step("turn"), return_exceptions=True)
    elif name == "shield":
        return await asyncio.shield(loop.create_task(step("turn")))
    elif name == "timeout":
        async with asyncio.timeout(0):
            await future
    else:
        return await turns(3 if name == "three turns" else 1)
    return await future


def _settle(settle: Callable[[Any], None], future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        settle(value)


async def follow(script: Sequence[tuple[str, str]], trace: list[Any]) -> int:
    """A body that takes these steps, and does what its habit is where it is cancelled."""
    task = asyncio.current_task()
    assert task is not None
    for n, (name, habit) in enumerate(script):
        try:
            trace.append((n, await step(name)))
        except asyncio.CancelledError:
            trace.append((n, "cancelled", task.cancelling()))
            if habit == "raise":
                raise
            if habit == "return":
                return n
            if habit == "clean up":
                await turns(1)
                raise
        except Exception as error:
            trace.append((n, repr(error)))
    return len(script)


@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(HABITS)), max_size=6),
    st.sets(st.integers(0, 14), max_size=5),
)
def test_a_job_is_to_its_body_what_a_task_would_be(script: list[tuple[str, str]], cancels: set[int]) -> None:
    """Whatever it awaits, whenever it is cancelled: the same happens in the same turns, and it ends the same."""

    async def as_job() -> tuple[list[Any], Any]:
        desk, trace = Desk(), list[Any]()
        job = desk.submit(follow, script=script, trace=trace)
        await cancelling(job, job.task)
        output, error = desk.only()
        return trace, (output, repr(error))

    async def as_task() -> tuple[list[Any], Any]:
        trace = list[Any]()
        task = asyncio.ensure_future(follow(script, trace))
        await cancelling(task, task)
        if task.cancelled():
            return trace, (None, repr(asyncio.CancelledError()))
        return trace, (task.result(), repr(None))

    async def cancelling(cancelled: Any, task: asyncio.Task[Any]) -> None:
        for turn in range(15):
            if turn in cancels and not task.done():
                cancelled.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([task])

    assert asyncio.run(as_job()) == asyncio.run(as_task())


async def test_the_current_task_of_a_body_is_its_job_s() -> None:
    """``current_task`` is the task of the job, also after a suspension; a task the body creates is another one."""
    desk = Desk()

    async def body() -> list[Any]:
        before = asyncio.current_task()
        await asyncio.sleep(0)

        async def inner() -> Any:
            return asyncio.current_task()

        return [before, asyncio.current_task(), await asyncio.ensure_future(inner()), await inner()]

    job = desk.submit(body)
    await desk.ended(job)
    tasks, error = desk.only()
    assert error is None
    assert tasks[0] is tasks[1] is tasks[3] is job.task
    assert tasks[2] is not job.task


async def test_a_context_variable_of_a_body_is_its_own() -> None:
    """It keeps what it set across suspensions; neither other bodies nor whoever submitted see it."""
    desk = Desk()
    variable.set("of whoever submits")

    async def body(name: str) -> list[str]:
        seen = [variable.get()]
        variable.set(name)
        await turns(3)
        return [*seen, variable.get()]

    for job in [desk.submit(body, name=name) for name in ("a", "b")]:
        await desk.ended(job)
    assert [output for output, _ in desk.answers] == [["of whoever submits", "a"], ["of whoever submits", "b"]]
    assert variable.get() == "of whoever submits"


async def test_a_context_variable_of_a_body_is_not_handed_to_those_after_it() -> None:
    """Nor to another attempt: what a body binds (a logger's ids, a transaction) ends with it."""
    flow = Workflow("variables")

    @flow.task
    async def first() -> str:
        variable.set("of the first")
        return variable.get()

    @flow.task(after=first)
    async def second() -> str:
        return variable.get()

    async with Engine() as engine:
        assert await (await engine.start(flow)) == {"second": "unset"}


async def test_a_subscriber_sees_no_context_variable_of_a_body() -> None:
    """Events are published in the engine's context, bodies begin in that of whoever started the run."""
    flow, seen = Workflow("variables"), list[str]()

    @flow.task
    async def binds() -> str:
        before = variable.get()
        variable.set("of a body")
        await asyncio.sleep(0)
        return before

    async with Engine() as engine:
        engine.live.subscribe(lambda _: seen.append(variable.get()))
        variable.set("of whoever starts")
        assert await (await engine.start(flow)) == {"binds": "of whoever starts"}
    assert set(seen) == {"unset"}


async def test_timeouts_groups_and_waits_work_inside_of_a_body() -> None:
    """They cancel the body's own task and take that back, as they do anywhere."""
    desk = Desk()

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    async def fail() -> None:
        raise ValueError("of the group")

    async def timeout() -> str:
        try:
            async with asyncio.timeout(0):
                await never()
        except TimeoutError:
            return "timed out"
        return "not timed out"

    async def wait_for() -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(never(), 0.001)
        return await asyncio.wait_for(timeout(), PATIENCE)

    async def group() -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(timeout()) for _ in range(3)]
        return [task.result() for task in tasks]

    async def failing_group() -> str:
        found = "nothing"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await never()
        except* ValueError as several:
            found = str(several.exceptions[0])
        task = asyncio.current_task()
        assert task is not None
        return f"{found}, cancelled {task.cancelling()} times"

    expected = {
        timeout: "timed out",
        wait_for: "timed out",
        group: ["timed out"] * 3,
        failing_group: "of the group, cancelled 0 times",
    }
    for body, output in expected.items():
        desk.answers.clear()
        assert await desk.answer(body) == (output, None)


async def test_asynchronous_generators_work_inside_of_a_body() -> None:
    """The loop knows them: one that a body leaves open is closed by the loop when it is collected."""
    desk, closed = Desk(), list[str]()

    async def numbers() -> AsyncIterator[int]:
        try:
            for n in range(100):
                await asyncio.sleep(0)
                yield n
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def body() -> list[int]:
        everything = [n async for n in numbers()]
        async for n in numbers():
            everything.append(n)
            if n == 2:
                break
        return everything

    assert await desk.answer(body) == ([*range(100), 0, 1, 2], None)
    gc.collect()
    await turns(3)
    assert closed == ["closed", "closed"]


async def test_a_body_that_awaits_nonsense_is_told() -> None:
    """The loop raises an exception in a body where it awaits what cannot be awaited."""

    class Nonsense:
        def __await__(self) -> Any:
            yield "nonsense"

    async def body() -> str:
        with pytest.raises(RuntimeError, match="bad yield"):
            await Nonsense()
        await asyncio.sleep(0)
        return "went on"

    assert await Desk().answer(body) == ("went on", None)


def test_bodies_run_on_a_loop_that_debugs() -> None:
    """``PYTHONASYNCIODEBUG=1`` looks at more of a coroutine."""

    async def body() -> str:
        await turns(2)
        return "ran"

    async def main() -> Answer:
        return await Desk().answer(body)

    assert asyncio.run(main(), debug=True) == ("ran", None)


# --- as debuggers see it ------------------------------------------------------------------------------------------


async def test_all_tasks_shows_a_body_by_its_name_and_where_it_stands() -> None:
    """Before its first step its name; then the line it waits in; after its end no line."""
    desk = Desk()
    ends = [desk.loop.create_future() for _ in range(2)]

    async def the_body() -> None:
        await ends[0]
        await ends[1]

    lines, first_line = inspect.getsourcelines(the_body)
    job = desk.submit(the_body)
    assert job.task in asyncio.all_tasks()
    assert the_body.__qualname__ in repr(job.task)
    assert job.task.get_stack() == []
    for offset, end in enumerate(ends, 1):
        await turns(2)
        (frame,) = job.task.get_stack()
        assert frame.f_code is the_body.__code__
        assert frame.f_lineno == first_line + offset, lines
        end.set_result(None)
    await desk.ended(job)
    assert job.task.get_stack() == []
    assert the_body.__qualname__ in repr(job.task)


async def test_the_stack_of_a_body_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """``task.print_stack()``, which is what one asks for when a program hangs."""
    desk = Desk()

    async def hanging() -> None:
        await desk.loop.create_future()

    job = desk.submit(hanging)
    await turns(1)
    job.task.print_stack()
    printed = capsys.readouterr().err
    assert "in hanging" in printed
    assert "await desk.loop.create_future()" in printed
    job.cancel()
    await desk.ended(job)


# --- what is kept -------------------------------------------------------------------------------------------------


class Given:
    """An argument of which somebody may hold nothing after the body."""


async def returns(given: Given) -> None:
    await asyncio.sleep(0)


async def raises(given: Given) -> None:
    await asyncio.sleep(0)
    raise ValueError


async def hangs(given: Given) -> None:
    await asyncio.get_running_loop().create_future()


async def stays(given: Given) -> None:
    try:
        await hangs(given)
    except asyncio.CancelledError:
        await turns(5)


@pytest.mark.parametrize("stop", ["", "cancelled before its first step", "cancelled", "abandoned"])
@pytest.mark.parametrize("body", [returns, raises, hangs, stays])
async def test_a_job_that_ended_is_held_by_nobody(body: Body, stop: str) -> None:
    """Neither the task of a job nor its arguments are kept, however it ended."""
    desk, ended = Desk(), asyncio.Event()

    async def run() -> list[weakref.ref[Any]]:
        given = Given()
        work = Work(Task(body, {}), {"given": given}, run_id="run", task_id="body")
        job = desk.executor.submit(work, lambda output, error: ended.set())
        if stop != "cancelled before its first step":
            await turns(1)
        if stop or body in (hangs, stays):
            job.cancel()
        if stop == "abandoned":
            job.abandon()
        await desk.ended(job)
        assert ended.is_set() or stop == "abandoned"
        return [weakref.ref(given), weakref.ref(job.task)]

    kept = await asyncio.ensure_future(run())
    await turns(1)
    gc.collect()
    assert [reference() for reference in kept] == [None, None]


async def test_a_job_under_way_is_held_by_its_executor() -> None:
    """The loop itself keeps only weak references, and nobody else may be left who knows the job."""
    desk = Desk()

    async def body() -> str:
        future = desk.loop.create_future()
        wake.append(weakref.ref(future))
        await future
        return "went on"

    wake = list[Any]()
    desk.submit(body)
    await turns(1)
    gc.collect()
    wake[0]().set_result(None)
    await turns(2)
    assert desk.answers == [("went on", None)]
