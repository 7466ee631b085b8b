"""What a body raises in a process is what it would have raised in a thread: class, attributes, message, causes."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from reactor import Retry, Workflow
from reactor.errors import RemoteError
from reactor.events.values import describe_error
from reactor.executors.processes.exceptions import RemoteTraceback, pack_error, unpack_error
from reactor.executors.processes.executor import ProcessExecutor
from reactor.testing import Submitted, work_for
from tests.helpers import raising
from tests.helpers.events import of_type
from tests.helpers.runs import run_to_end


@pytest.fixture(scope="module")
def raised() -> dict[str, BaseException]:
    """What arrives of each kind, from one worker that raises them one after the other."""

    async def collect() -> dict[str, BaseException]:
        executor = ProcessExecutor(asyncio.get_running_loop(), workers=1)
        found = {}
        for kind in raising.KINDS:
            found[kind] = await Submitted(executor, work_for(raising.fail, kind=kind)).error()
        assert len(executor.children) == 1, "one of them has ended its worker"
        await executor.close()
        return found

    return asyncio.run(collect())


@pytest.fixture
async def executor() -> AsyncIterator[ProcessExecutor]:
    executor = ProcessExecutor(asyncio.get_running_loop(), workers=1)
    yield executor
    await executor.close()


# --- one exception ---


@pytest.mark.parametrize("kind", raising.KINDS)
def test_an_exception_shows_the_same_in_an_event(raised: dict[str, BaseException], kind: str) -> None:
    """Type and message, also where the message is made of what could not travel."""
    assert describe_error(raised[kind]) == describe_error(raising.make(kind))


@pytest.mark.parametrize("kind", [kind for kind in raising.KINDS if not kind.startswith("local")])
def test_an_exception_is_of_its_class(raised: dict[str, BaseException], kind: str) -> None:
    """Whatever its ``__init__`` takes and its pickle does: ``except`` and ``retry_on`` see what they know."""
    assert isinstance(raised[kind], type(raising.make(kind)))
    assert not isinstance(raised[kind], RemoteError)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("two parts", ["status", "retry_after", "args"]),
        ("subclass", ["status", "retry_after", "args"]),
        ("doubled", ["args"]),
        ("os error", ["errno", "strerror", "filename", "args"]),
        ("unicode", ["encoding", "object", "start", "reason"]),
        ("holding", ["text", "args"]),
        ("slotted", ["code", "args"]),
        ("frozen", ["code", "text"]),
        ("own", ["code", "args"]),
        ("local", ["code", "status", "args"]),
        ("exit", ["code"]),
        ("stop", ["value"]),
        ("huge", ["status", "args"]),
    ],
)
def test_an_exception_has_its_attributes(raised: dict[str, BaseException], kind: str, names: list[str]) -> None:
    """And its arguments; ``__init__`` is not called with them again."""
    original = raising.make(kind)
    assert {name: getattr(raised[kind], name) for name in names} == {name: getattr(original, name) for name in names}


def test_an_attribute_that_cannot_travel_is_its_text(raised: dict[str, BaseException]) -> None:
    """The others come through; nothing is missing that a ``__str__`` could ask for."""
    held: Any = raised["holding"]
    assert held.text == "held"
    assert held.lock.startswith("<unlocked _thread.lock object")
    assert raised["socket"].args == ("<Socket>",)


def test_an_exception_inside_of_another_is_one_again(raised: dict[str, BaseException]) -> None:
    """As an argument and as an attribute, and both are the same object."""
    outer: Any = raised["wrapping"]
    assert type(outer.inner) is raising.ApiError
    assert outer.inner.status == 400
    assert outer.args == ("outer", outer.inner)


@pytest.mark.parametrize(
    ("kind", "is_a", "is_no"),
    [
        ("local", raising.ApiError, OSError),
        ("local os error", ConnectionError, raising.ApiError),
        ("local base", BaseException, Exception),
    ],
)
def test_a_class_of_a_function_has_its_bases(
    raised: dict[str, BaseException], kind: str, is_a: type[BaseException], is_no: type[BaseException]
) -> None:
    """It cannot be found here, but its bases can: it is one of them, and of nothing else."""
    error = raised[kind]
    assert isinstance(error, RemoteError)
    assert isinstance(error, is_a)
    assert not isinstance(error, is_no)
    assert type(error).__qualname__ == "_local.<locals>.HomeMade"


def test_a_class_that_is_not_here_travels_on(raised: dict[str, BaseException]) -> None:
    """What stands for it can be pickled, and sent through another pipe."""
    for again in (pickle.loads(pickle.dumps(raised["local"])), unpack_error(pack_error(raised["local"]))):
        assert describe_error(again) == describe_error(raised["local"])
        assert again.class_names == raised["local"].class_names  # type: ignore[attr-defined]
        assert again.status == 500


def test_names_are_compared_where_a_class_is_not_here(raised: dict[str, BaseException]) -> None:
    """``retry_on`` of a class that each process makes anew: module and name decide, of the class and of its bases."""
    again = type(raising._local(raising.ApiError))
    assert not isinstance(raised["local"], again)
    assert Retry(retry_on=again).takes(raised["local"])
    assert Retry(retry_on=(KeyError, again)).takes(raised["local"])
    assert not Retry(retry_on=again).takes(raised["two parts"])
    assert not Retry(retry_on=type("HomeMade", (Exception,), {})).takes(raised["local"])


# --- what hangs together with it ---


async def test_notes_travel(executor: ProcessExecutor) -> None:
    """They are part of an exception."""
    error = await Submitted(executor, work_for(raising.fail_with_notes)).error()
    assert error.__notes__ == ["a note"]


async def test_causes_and_contexts_travel(executor: ProcessExecutor) -> None:
    """A predicate may look at them; the innermost has the traceback of the other process as its cause."""
    error = await Submitted(executor, work_for(raising.fail_with_a_cause)).error()
    assert type(error) is not raising.Holding  # of a class derived from it: its __str__ would say something else
    assert isinstance(error, raising.Holding)
    assert error.__cause__ is None
    second = error.__context__
    assert type(second) is raising.ApiError
    assert second.status == 400
    first = second.__cause__
    assert type(first) is KeyError
    assert isinstance(first.__cause__, RemoteTraceback)
    assert 'raise Holding("third")' in str(first.__cause__)


async def test_a_hidden_context_stays_hidden(executor: ProcessExecutor) -> None:
    """``raise … from None``: it is there, and not shown."""
    error = await Submitted(executor, work_for(raising.fail_and_hide)).error()
    assert isinstance(error.__context__, KeyError)
    assert error.__suppress_context__
    assert isinstance(error.__cause__, RemoteTraceback)


async def test_a_circle_of_causes_ends(executor: ProcessExecutor) -> None:
    """Each of them travels once."""
    error = await Submitted(executor, work_for(raising.fail_in_a_circle)).error()
    assert isinstance(error, raising.ApiError)
    assert isinstance(error.__cause__, raising.ApiError)
    assert error.status == 1
    assert error.__cause__.status == 2


def test_a_group_has_its_members(raised: dict[str, BaseException]) -> None:
    """``except*`` finds what is in it, at any depth."""
    group = raised["group"]
    assert isinstance(group, ExceptionGroup)
    one, inner = group.exceptions
    assert isinstance(one, raising.ApiError)
    assert one.status == 1
    assert isinstance(inner, ExceptionGroup)
    assert isinstance(inner.exceptions[0], ValueError)
    assert group.split(ValueError)[0] is not None
    assert isinstance(raised["base group"], BaseExceptionGroup)
    assert not isinstance(raised["base group"], ExceptionGroup)


async def test_a_large_group_is_cut(executor: ProcessExecutor) -> None:
    """It stays what it is, with its attribute and as many members as may travel."""
    error = await Submitted(executor, work_for(raising.fail_in_a_large_group)).error()
    assert isinstance(error, raising.Grouped)
    assert error.code == 9
    assert 900 < len(error.exceptions) < 1_000
    assert str(error) == "many (2000 sub-exceptions)"


# --- retries ---


@pytest.mark.parametrize("place", ["thread", "process"])
@pytest.mark.parametrize(
    ("kind", "retry_on"),
    [
        ("two parts", raising.ApiError),
        ("two parts", lambda error: error.status == 429),
        ("subclass", raising.ApiError),
        ("os error", OSError),
        ("os error", lambda error: error.errno == 28),
        ("local", raising.ApiError),
        ("own", raising.Own),
        ("rebuilding", raising.Rebuilding),
        ("group", lambda error: error.subgroup(raising.ApiError) is not None),
    ],
)
async def test_retry_on_takes_the_same_in_a_process(
    place: Any, kind: str, retry_on: type[BaseException] | Callable[[BaseException], bool]
) -> None:
    """By class, by base and by attribute."""
    flow = Workflow("retries")
    flow.task(raising.fail_twice, executor=place, retry=Retry(attempts=3, delay=0, retry_on=retry_on))
    events = await run_to_end(flow, {"kind": kind})
    assert events[-1].data["outputs"] == {"fail_twice": 3}


@pytest.mark.parametrize("place", ["thread", "process"])
@pytest.mark.parametrize(("kind", "retry_on"), [("own", Exception), ("local base", Exception), ("two parts", OSError)])
async def test_retry_on_refuses_the_same_in_a_process(place: Any, kind: str, retry_on: type[BaseException]) -> None:
    """What is no Exception is none there either."""
    flow = Workflow("refuses")
    flow.task(raising.fail_twice, executor=place, retry=Retry(attempts=3, delay=0, retry_on=retry_on))
    events = await run_to_end(flow, {"kind": kind})
    assert of_type(events, "task.retrying") == []
    assert events[-1].type == "run.failed"


# --- files ---


SCRIPT = """
import asyncio, sys
from reactor import Engine, Retry, Workflow

flow = Workflow("script")


class Mine(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def local():
    class Inner(Mine):
        pass
    return Inner


@flow.task(executor="process", retry=Retry(attempts=3, delay=0, retry_on=Mine))
def body(ctx) -> int:
    if ctx.attempt == 1:
        raise Mine(7, "of the script")
    if ctx.attempt == 2:
        raise local()(8, "of a function of the script")
    return ctx.attempt


@flow.task(executor="process", after=body, retry=Retry(attempts=2, delay=0, retry_on=local()))
def again(ctx) -> int:
    if ctx.attempt == 1:
        raise local()(8, "by its name")
    return ctx.attempt


async def main():
    async with Engine() as engine:
        run = await engine.start(flow)
        await run
        print([run.state.tasks[name].attempt for name in ("body", "again")])


if __name__ == "__main__":
    asyncio.run(main())
"""


def test_exceptions_of_a_script_are_known_in_it(tmp_path: Path) -> None:
    """Classes of ``__main__``, which a worker has under another name."""
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout == "[3, 2]\n", done.stderr
