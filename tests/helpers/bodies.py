"""Bodies that the tests run in processes: a worker finds only what stands at module level."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import BaseModel, field_validator

from reactor.context.context import Context
from reactor.definition.task import Task
from reactor.errors import ContextClosed, QuestionExpired


class TwoPartError(Exception):
    """Pickles, but cannot be read again: its arguments are not its message."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


class Unreadable:
    """Pickles, but cannot be read again."""

    def __reduce__(self) -> Any:
        return (_refuse, ())


def _refuse() -> None:
    raise RuntimeError("not here")


def add(left: int, right: int) -> int:
    return left + right


def same(value: Any) -> Any:
    return value


def pid() -> int:
    return os.getpid()


def say_all(ctx: Context, count: int) -> str:
    for number in range(count):
        ctx.emit("demo.number", {"number": number})
    ctx.log.info("half", rows=12)
    ctx.chunk("text")
    ctx.spend(cost="0.5", tokens=3)
    ctx.progress(0.5)
    ctx.progress(1.0, "done")
    return "said"


BEYOND = [0.25, 2.5, -1, 1.5, float("inf"), 10**400, Decimal("0.5"), Fraction(1, 4), True]
BEYOND_SHOWN = [0.25, 1.0, 0.0, 1.0, 1.0, 1.0, 0.5, 0.25, 1.0]


def count_beyond(ctx: Context) -> None:
    """An event in between has each of them written."""
    for fraction in BEYOND:
        ctx.emit("demo.begins")
        ctx.progress(fraction)  # type: ignore[arg-type]
    ctx.emit("demo.ends")


def call_and_hang(ctx: Context) -> None:
    """Hangs in the middle of two calls; in a thread, until somebody answers or the cancel comes."""
    with ctx.llm_call("gpt-x", estimated_cost="0.5"), ctx.tool_call("search", {"q": "?"}) as call:
        call.result = "half"
        ctx.receive("hang")


SAYINGS: dict[str, Callable[[Context, Any], Any]] = {
    "emit": lambda ctx, n: ctx.emit("number.said", {"number": n}),
    "log": lambda ctx, n: ctx.log.info(f"number {n}"),
    "chunk": lambda ctx, n: ctx.chunk(f"<{n}>"),
    "spend": lambda ctx, n: ctx.spend(tokens=n + 1),
    "progress": lambda ctx, n: ctx.progress(n / 1_000),
}
"""What a body can say, each with a number that shows in its event."""


def say(ctx: Context, program: list[str]) -> None:
    for number, kind in enumerate(program):
        SAYINGS[kind](ctx, number)


async def say_async(ctx: Context, program: list[str]) -> None:
    for number, kind in enumerate(program):
        await SAYINGS[kind](ctx, number)


def much_progress(ctx: Context, count: int) -> None:
    for number in range(count):
        ctx.progress(number / count)
    ctx.progress(1.0)


def look(ctx: Context) -> dict[str, Any]:
    fields = ("run_id", "task_id", "attempt", "map_index", "input", "meta", "resources")
    return {name: getattr(ctx, name) for name in fields} | {"upstream": ctx.upstreams["before"].output}


def ask(ctx: Context) -> Any:
    return ctx.receive("approve?", schema=bool)


async def ask_twice(ctx: Context) -> list[Any]:
    """Both questions are open at once: what is asked in a loop of the body's is an awaitable."""
    await ctx.emit("demo.asking")
    return await asyncio.gather(ctx.receive("one"), ctx.receive("two"))


async def sleep_async(ctx: Context, journal: str) -> None:
    try:
        ctx.emit("demo.began")
        await asyncio.sleep(3600)
    finally:
        Path(journal).write_text("cleaned up")


def give_workflow(ctx: Context) -> Any:
    return ctx.run(lambda: None)


def fail(text: str) -> None:
    raise ValueError(text)


def leave() -> None:
    raise SystemExit(3)


def die(code: int) -> None:
    os._exit(code)


def crash() -> None:
    ctypes.string_at(0)


def lock() -> Any:
    return threading.Lock()


def unreadable() -> Any:
    return Unreadable()


def sleep(ctx: Context, journal: str) -> None:
    try:
        ctx.emit("demo.began", {"pid": os.getpid()})
        time.sleep(3600)
    finally:
        Path(journal).write_text(f"cleaned up, cancelled {ctx.cancelled}")


def wait_for_room(ctx: Context) -> str:
    """A thread of the body is held in ``emit``, as the body itself never is after a cancel."""
    said = threading.Thread(target=ctx.emit, args=("demo.held",))
    try:
        said.start()
        time.sleep(3600)
    except BaseException:
        said.join()
    return "let go"


def ask_in_a_thread(ctx: Context) -> str:
    ends: list[str] = []

    def ask() -> None:
        try:
            ctx.receive("never")
        except ContextClosed as error:
            ends.append(type(error).__name__)

    asking = threading.Thread(target=ask)
    try:
        asking.start()
        time.sleep(3600)
    except BaseException:
        asking.join()
    return ends[0]


def shout_in_threads(ctx: Context, threads: int, count: int) -> None:
    def shout(name: int) -> None:
        for number in range(count):
            ctx.emit("demo.shout", {"name": name, "number": number})

    shouting = [threading.Thread(target=shout, args=(name,)) for name in range(threads)]
    for thread in shouting:
        thread.start()
    for thread in shouting:
        thread.join()


def ignore(ctx: Context) -> None:
    word = "demo.began"
    while True:
        try:
            ctx.emit(word, {"pid": os.getpid()})
            time.sleep(3600)
        except BaseException:
            word = "demo.ignored"


def hang_in_c(ctx: Context) -> None:
    ctx.emit("demo.began", {"pid": os.getpid()})
    ctypes.PyDLL(None).sleep(3600)  # holds the interpreter's lock: nothing of Python runs any more


def leave_a_child(ctx: Context) -> None:
    """Forks: the child has the pipe too, and, in a session of its own, lives on when its parent is dead."""
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(3600)
    ctx.emit("demo.began", {"pid": os.getpid(), "child": child})
    time.sleep(3600)


def start_a_process(ctx: Context, then: str) -> None:
    """Says which process it has started, and hangs, crashes or returns."""
    ctx.emit("demo.began", {"pid": os.getpid(), "child": subprocess.Popen(["sleep", "600"]).pid})
    if then == "hang":
        ctypes.PyDLL(None).sleep(3600)
    if then == "crash":
        ctx.receive("?")
        os.kill(os.getpid(), signal.SIGSEGV)


def meet(name: str, ctx: Context) -> str:
    """Held until somebody answers, so that all of them are there at once."""
    return str(ctx.receive(name))


def spin(ctx: Context) -> None:
    ctx.emit("demo.began")
    while True:
        pass


def when_told(ctx: Context) -> str:
    """Looks, as a thread would, and returns what is no output."""
    try:
        ctx.emit("demo.began")
        while True:
            pass
    except BaseException:  # the interrupt, which comes once
        return "stopped" if ctx.cancelled else "interrupted"


def open_files() -> list[str]:
    return [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]


def _measure(value: int) -> int:
    return value * 2


NO_FUNCTION = "a name that leads to a value"

measure = Task(_measure, {})


@lambda function: Task(function, {})
def decorated(value: int) -> int:
    return value * 3


def replaced() -> None: ...


first_replaced = replaced


def replaced() -> None: ...


def double(numbers: int) -> int:
    return numbers * 2


def sum_up(double: list[int]) -> int:
    return sum(double)


def speak(ctx: Context, number: int) -> dict[str, Any]:
    """Says everything a body can say, and what it sees."""
    ctx.emit("number.said", {"number": number})
    ctx.log.info("loaded", rows=12)
    ctx.chunk("some ")
    ctx.chunk("text")
    ctx.progress(0.5, "half")
    ctx.progress(1.0, "done")
    ctx.spend(cost="0.25", tokens=3)
    ctx.committed()
    return {"attempt": ctx.attempt, "input": dict(ctx.input), "resources": dict(ctx.resources)}


def question(ctx: Context) -> Any:
    return ctx.receive("how many?", schema=int) + ctx.receive("and how many more?", schema=int)


def child_run(ctx: Context) -> int:
    return sum(ctx.run("inner", {"number": number})["leaf"] for number in (1, 2))


def rude_child_run(ctx: Context) -> None:
    ctx.run("rude", {"number": 1})


class RudeReduce:
    """Ends whoever pickles it, or reads its pickle."""

    def __init__(self, at: str) -> None:
        self.at = at

    def __reduce__(self) -> Any:
        if self.at == "dumps":
            raise SystemExit(6)
        return (_exit, (6,))


def _exit(code: int) -> None:
    raise SystemExit(code)


def give_rude(ctx: Context, at: str) -> None:
    """Sends to the run what it cannot read."""
    ctx.run("rude", {"number": RudeReduce(at)})


def return_rude(at: str) -> Any:
    return RudeReduce(at)


def begin_and_hang(ctx: Context) -> int:
    """Hangs in its first attempt."""
    ctx.emit("demo.began", {"pid": os.getpid()})
    if ctx.attempt == 1:
        time.sleep(3600)
    return os.getpid()


def fail_once(ctx: Context) -> int:
    if ctx.attempt == 1:
        raise TwoPartError(7, "seven")
    return ctx.attempt


async def busy(seconds: float) -> None:
    """Holds the event loop."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


async def ask_child(ctx: Context) -> Any:
    return await ctx.run("child")


def ask_child_and_block(ctx: Context) -> Any:
    return ctx.run("child")


asks_child = {"loop": ask_child, "thread": ask_child_and_block, "process": ask_child_and_block}
"""Bodies that give what a child run of the workflow ``child`` gives, by executor."""


def ask_intern_then_manager(ctx: Context) -> list[Any]:
    """In a thread or a process: the first question expires."""
    answers: list[Any] = []
    try:
        answers.append(ctx.receive("intern?", timeout=0.05))
    except QuestionExpired as expired:
        answers.append(f"expired {expired.key}")
    answers.append(ctx.receive("manager?"))
    if ctx.attempt == 1:
        raise ConnectionError("try again")
    return answers


async def give_up_intern_ask_manager(ctx: Context) -> list[Any]:
    """On the loop, or in a loop of its own process: the body gives the first question up."""
    answers: list[Any] = []
    try:
        answers.append(await asyncio.wait_for(ctx.receive("intern?"), 0.05))
    except TimeoutError:
        answers.append("given up")
    answers.append(await ctx.receive("manager?"))
    if ctx.attempt == 1:
        raise ConnectionError("try again")
    return answers


class Even(BaseModel):
    """Its own validator takes even numbers only, which no JSON Schema says."""

    n: int

    @field_validator("n")
    @classmethod
    def is_even(cls, n: int) -> int:
        if n % 2:
            raise ValueError("must be even")
        return n


def ask_for_even(ctx: Context) -> int:
    return ctx.receive("even?", schema=Even).n


async def await_even(ctx: Context) -> int:
    return (await ctx.receive("even?", schema=Even)).n
