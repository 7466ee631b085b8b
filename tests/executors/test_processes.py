"""Bodies in processes of their own, against a voice that only writes down what it hears."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import functools
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from reactor.definition.address import address_of, check_address, resolve
from reactor.errors import EngineClosed, WorkerDied
from reactor.executors.processes.executor import ProcessExecutor
from reactor.testing import RecordedVoice, Submitted, work_for
from reactor.testing.attempts import PATIENCE
from tests.helpers import bodies


def pid_of(voice: RecordedVoice) -> int:
    """The process of a body that has said where it began."""
    return next(entry[2]["pid"] for entry in voice.heard if entry[1] == "demo.began")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def executor() -> AsyncIterator[ProcessExecutor]:
    """One for many tests, which mostly find an idle worker. It must leave no process."""
    executor = ProcessExecutor(asyncio.get_running_loop(), workers=2)
    yield executor
    await executor.close()
    assert executor.children == []


@pytest_asyncio.fixture(loop_scope="module")
async def fresh() -> AsyncIterator[ProcessExecutor]:
    """One that has no worker yet. It must leave no process."""
    executor = ProcessExecutor(asyncio.get_running_loop(), workers=2)
    yield executor
    await executor.close()
    assert executor.children == []


@pytest_asyncio.fixture(loop_scope="module")
async def voice() -> RecordedVoice:
    return RecordedVoice()


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process can open so many more files, and no other."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for fd in taken[:count]:
            os.close(fd)
        del taken[:count]
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


# --- what crosses ---


async def test_large_values_cross(executor: ProcessExecutor) -> None:
    """Values far above what a pipe holds come through whole, in both directions."""
    value = {"text": "x" * 5_000_000, "bytes": bytes(5_000_000)}
    assert await Submitted(executor, work_for(bodies.same, value=value)).output() == value


async def test_the_attempt_crosses_without_resources(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """ctx shows the attempt; shared resources stay where they are."""
    assert await Submitted(executor, work_for(bodies.look, voice)).output() == {
        "run_id": "r",
        "task_id": "t",
        "attempt": 2,
        "map_index": None,
        "input": {"size": 4},
        "meta": {"owner": "me"},
        "resources": {},
        "upstream": {"rows": 3},
    }


async def test_progress_is_sampled_where_it_is_made(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """However often a body tells its progress few of them cross, and the last one always does."""
    await Submitted(executor, work_for(bodies.much_progress, voice, count=20_000)).output()
    assert voice.heard[-1] == ("progress", 1.0)
    assert len(voice.heard) < 200


async def test_threads_of_a_body_may_speak(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """Each thread's events come in its own order, none is lost."""
    await Submitted(executor, work_for(bodies.shout_in_threads, voice, threads=8, count=50)).output()
    for name in range(8):
        assert [entry[2]["number"] for entry in voice.heard if entry[2]["name"] == name] == list(range(50))


async def test_an_async_body_awaits_its_questions(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """In a loop of its own a body may ask two things at once."""
    running = Submitted(executor, work_for(bodies.ask_twice, voice))
    await voice.until(lambda: len(voice.questions) == 2)
    for prompt, answer in voice.questions:
        answer.set_result(f"{prompt}!")
    assert await running.output() == ["one!", "two!"]


# --- what does not cross ---


async def test_an_exception_crosses(executor: ProcessExecutor) -> None:
    """Type and message are the original's, and its cause shows the traceback it had there."""
    error = await Submitted(executor, work_for(bodies.fail, text="no")).error()
    assert type(error) is ValueError
    assert str(error) == "no"
    assert "raise ValueError(text)" in str(error.__cause__)


async def test_system_exit_is_an_error_of_the_body(fresh: ProcessExecutor) -> None:
    """A body does not end its worker with sys.exit()."""
    error = await Submitted(fresh, work_for(bodies.leave)).error()
    assert isinstance(error, SystemExit)
    assert len(fresh.children) == 1


async def test_an_argument_that_cannot_be_sent_is_named(fresh: ProcessExecutor) -> None:
    """The body fails with a TypeError that names the argument, and no process is started for it."""
    error = await Submitted(fresh, work_for(bodies.add, left=1, right=threading.Lock())).error()
    assert isinstance(error, TypeError)
    assert str(error).startswith("argument 'right' of task t cannot be sent to a process")
    assert fresh.children == []


async def test_a_body_that_cannot_be_found_fails(executor: ProcessExecutor) -> None:
    """A function without an address is the error of its body."""
    error = await Submitted(executor, work_for(lambda: 1)).error()
    assert isinstance(error, ValueError)
    assert "lambda" in str(error)


async def test_an_output_that_cannot_be_sent_fails(executor: ProcessExecutor) -> None:
    """The body fails with a TypeError that says so."""
    with pytest.raises(TypeError, match=r"the output of task t of run r cannot leave its process: .*lock"):
        await Submitted(executor, work_for(bodies.lock)).output()


async def test_an_output_that_cannot_be_read_fails(executor: ProcessExecutor) -> None:
    """The body fails with a TypeError, and its worker goes on."""
    with pytest.raises(TypeError, match="cannot be read outside its process: not here"):
        await Submitted(executor, work_for(bodies.unreadable)).output()
    assert await Submitted(executor, work_for(bodies.add, left=1, right=2)).output() == 3


async def test_a_workflow_that_cannot_be_sent_is_named_instead(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """ctx.run of an object tells what to do."""
    with pytest.raises(TypeError, match="in a process name the workflow"):
        await Submitted(executor, work_for(bodies.give_workflow, voice)).output()


# --- workers ---


async def test_an_idle_worker_is_used_again(fresh: ProcessExecutor) -> None:
    """One after the other, bodies run in the same process."""
    pids = [await Submitted(fresh, work_for(bodies.pid)).output() for _ in range(3)]
    assert len(set(pids)) == 1
    assert fresh.children == pids[:1]


async def test_no_more_idle_workers_are_kept_than_asked_for(voice: RecordedVoice) -> None:
    """With workers=0 each body has a fresh process, which ends after it."""
    executor = ProcessExecutor(voice.loop, workers=0)
    pids = {await Submitted(executor, work_for(bodies.pid)).output() for _ in range(2)}
    assert len(pids) == 2
    await executor.close()
    assert not any(map(is_alive, pids))


@pytest.mark.slow
async def test_33_bodies_are_in_flight_at_once(fresh: ProcessExecutor, voice: RecordedVoice) -> None:
    """More than any default pool of threads has (32), at the same time, and each gets its own answer."""
    running = {name: Submitted(fresh, work_for(bodies.meet, voice, name=name)) for name in map(str, range(33))}
    for there in range(1, 34):  # each has the patience of one, since a machine may begin them one after the other
        await voice.until(lambda there=there: len(voice.questions) >= there)
    assert len(fresh.children) == 33
    for prompt, answer in voice.questions:
        answer.set_result(prompt)
    for name, body in running.items():
        assert await body.output() == name


async def test_a_worker_inherits_no_lock(fresh: ProcessExecutor, tmp_path: Path) -> None:
    """A lock file that the engine holds open is not open in a worker."""
    path = tmp_path / "store.lock"
    with path.open("w") as file:
        os.set_inheritable(file.fileno(), True)  # even so
        fcntl.flock(file, fcntl.LOCK_EX)
        assert str(path) not in await Submitted(fresh, work_for(bodies.open_files)).output()


@pytest.mark.parametrize(
    ("body", "arguments", "how"),
    [(bodies.die, {"code": 7}, "exit code 7"), (bodies.die, {"code": 0}, "exit code 0"), (bodies.crash, {}, "SIGSEGV")],
)
async def test_a_worker_that_dies_fails_its_body_only(
    executor: ProcessExecutor, body: Any, arguments: dict[str, Any], how: str
) -> None:
    """The body fails with WorkerDied, which says how; the next one gets a fresh process."""
    error = await Submitted(executor, work_for(body, **arguments)).error()
    assert isinstance(error, WorkerDied)
    assert error.run_id == "r"
    assert how in str(error)
    assert await Submitted(executor, work_for(bodies.add, left=1, right=2)).output() == 3


async def test_a_busy_worker_that_is_killed_fails_its_body(
    executor: ProcessExecutor, voice: RecordedVoice, tmp_path: Path
) -> None:
    """kill -9 of a busy worker is WorkerDied, after everything it had said."""
    running = Submitted(executor, work_for(bodies.sleep, voice, journal=str(tmp_path / "journal")))
    await voice.until(lambda: "demo.began" in voice.types())
    os.kill(pid_of(voice), signal.SIGKILL)
    error = await running.error()
    assert isinstance(error, WorkerDied)
    assert "SIGKILL" in str(error)


async def test_a_death_is_noticed_where_a_child_keeps_the_pipe_open(
    executor: ProcessExecutor, voice: RecordedVoice
) -> None:
    """The death of a worker ends its body even if a fork of it lives on with its end of the pipe."""
    running = Submitted(executor, work_for(bodies.leave_a_child, voice))
    await voice.until(lambda: "demo.began" in voice.types())
    os.kill(pid_of(voice), signal.SIGKILL)
    try:
        assert isinstance(await running.error(), WorkerDied)
    finally:
        os.kill(voice.heard[0][2]["child"], signal.SIGKILL)


@pytest.mark.parametrize("then", ["hang", "crash"])
async def test_what_a_body_has_started_ends_with_a_body_that_is_killed(
    executor: ProcessExecutor, voice: RecordedVoice, then: str
) -> None:
    """It may be tried again, and would run twice: abandoned, because it did not answer a cancel, or crashed."""
    running = Submitted(executor, work_for(bodies.start_a_process, voice, then=then))
    await voice.until(lambda: "demo.began" in voice.types())
    child = os.pidfd_open(voice.heard[0][2]["child"])
    if then == "hang":
        running.job.abandon()
    else:
        await voice.until(lambda: voice.questions)
        voice.questions[0][1].set_result("crash now")
        assert isinstance(await running.error(), WorkerDied)
    try:
        ended, _, _ = await asyncio.to_thread(select.select, [child], [], [], PATIENCE)
        assert ended, "it has outlived the body"
    finally:
        os.close(child)


async def test_what_a_body_leaves_behind_goes_on(fresh: ProcessExecutor, voice: RecordedVoice) -> None:
    """A body that returns has started it on purpose: it outlives the worker, too."""
    await Submitted(fresh, work_for(bodies.start_a_process, voice, then="return")).output()
    child = voice.heard[0][2]["child"]
    await fresh.close()
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)


async def test_an_idle_worker_that_was_killed_costs_nobody_anything(executor: ProcessExecutor) -> None:
    """A body that was given to a dead worker, before its death was known, runs in another one."""
    pid = await Submitted(executor, work_for(bodies.pid)).output()
    os.kill(pid, signal.SIGKILL)
    assert await Submitted(executor, work_for(bodies.pid)).output() != pid


# --- stopping ---


async def test_a_cancel_interrupts_a_body(executor: ProcessExecutor, voice: RecordedVoice, tmp_path: Path) -> None:
    """A body that sleeps is interrupted, its finally runs, and its worker is not used again."""
    journal = tmp_path / "journal"
    running = Submitted(executor, work_for(bodies.sleep, voice, journal=str(journal)))
    await voice.until(lambda: "demo.began" in voice.types())
    running.job.cancel()
    assert isinstance(await running.error(), asyncio.CancelledError)
    assert journal.read_text() == "cleaned up, cancelled True"
    assert running.job.saw_cancel
    assert await Submitted(executor, work_for(bodies.pid)).output() != pid_of(voice)


async def test_a_cancel_interrupts_an_async_body(
    executor: ProcessExecutor, voice: RecordedVoice, tmp_path: Path
) -> None:
    """An async body is cancelled as it would be on the loop."""
    journal = tmp_path / "journal"
    running = Submitted(executor, work_for(bodies.sleep_async, voice, journal=str(journal)))
    await voice.until(lambda: "demo.began" in voice.types())
    running.job.cancel()
    assert isinstance(await running.error(), asyncio.CancelledError)
    assert journal.read_text() == "cleaned up"


async def test_a_cancel_interrupts_a_loop_that_never_waits(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """``while True: pass`` ends."""
    running = Submitted(executor, work_for(bodies.spin, voice))
    await voice.until(lambda: voice.heard)
    running.job.cancel()
    assert isinstance(await running.error(), asyncio.CancelledError)


async def test_a_body_that_returns_because_it_was_told_to_stop_says_so(
    executor: ProcessExecutor, voice: RecordedVoice
) -> None:
    """saw_cancel tells that what a body returned is no output."""
    running = Submitted(executor, work_for(bodies.when_told, voice))
    await voice.until(lambda: voice.heard)
    assert not running.job.saw_cancel
    running.job.cancel()
    assert await running.output() == "stopped"
    assert running.job.saw_cancel


async def test_a_cancel_before_the_worker_is_there_starts_nothing(fresh: ProcessExecutor, voice: RecordedVoice) -> None:
    """A body that waits for its process is cancelled without ever running, and not inside of cancel()."""
    running = Submitted(fresh, work_for(bodies.say_all, voice, count=1))
    running.job.cancel()
    assert not running.has_ended
    assert isinstance(await running.error(), asyncio.CancelledError)
    assert await Submitted(fresh, work_for(bodies.add, left=1, right=2)).output() == 3
    assert voice.heard == []


@pytest.mark.slow
async def test_a_cancel_at_any_moment_ends_a_body_once(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """Wherever the interrupt hits, the body is answered for, and the next one runs."""
    for moment in range(24):
        voice.heard.clear()
        running = Submitted(executor, work_for(bodies.say_all, voice, count=20))
        await voice.until(lambda moment=moment, running=running: len(voice.heard) >= moment or running.has_ended)
        running.job.cancel()
        output, error = await running.outcome()
        assert output == "said" or isinstance(error, asyncio.CancelledError)
    assert await Submitted(executor, work_for(bodies.add, left=1, right=2)).output() == 3


async def test_threads_of_a_body_are_woken_by_a_cancel(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """In a thread of the body, a blocked receive raises ContextClosed and a blocked emit returns."""
    asking = Submitted(executor, work_for(bodies.ask_in_a_thread, voice))
    await voice.until(lambda: voice.questions)
    asking.job.cancel()
    assert await asking.output() == "ContextClosed"
    voice.room = voice.loop.create_future()
    saying = Submitted(executor, work_for(bodies.wait_for_room, voice))
    await voice.until(lambda: "demo.held" in voice.types())
    saying.job.cancel()
    assert await saying.output() == "let go"


@pytest.mark.parametrize("body", [bodies.ignore, bodies.hang_in_c])
async def test_a_body_that_ignores_a_cancel_is_killed(fresh: ProcessExecutor, voice: RecordedVoice, body: Any) -> None:
    """abandon() kills the process, and done is never called."""
    running = Submitted(fresh, work_for(body, voice))
    await voice.until(lambda: "demo.began" in voice.types())
    pid = pid_of(voice)
    running.job.cancel()
    if body is bodies.ignore:
        await voice.until(lambda: "demo.ignored" in voice.types())
    assert running.job.abandon()
    await fresh.close()
    assert not is_alive(pid)
    assert not running.has_ended
    assert fresh.abandoned == 0


async def test_an_abandoned_body_never_begins_again(fresh: ProcessExecutor, voice: RecordedVoice) -> None:
    """An abandoned body does not begin, whether it waits for its process or was just given to it."""
    waits = Submitted(fresh, work_for(bodies.say_all, voice, count=1))
    assert waits.job.abandon()
    await Submitted(fresh, work_for(bodies.pid)).output()
    given = Submitted(fresh, work_for(bodies.say_all, voice, count=1))
    assert given.job.abandon()
    await Submitted(fresh, work_for(bodies.pid)).output()
    await fresh.close()
    assert not waits.has_ended
    assert not given.has_ended


async def test_a_signal_to_the_whole_group_leaves_bodies_alone(executor: ProcessExecutor, voice: RecordedVoice) -> None:
    """Ctrl-C and a SIGTERM that reaches the workers as well: what becomes of the bodies is the engine's decision."""
    running = Submitted(executor, work_for(bodies.ask, voice))
    await voice.until(lambda: voice.questions)
    for pid in executor.children:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    voice.questions[0][1].set_result(True)
    assert await running.output() is True


async def test_close_leaves_no_process(voice: RecordedVoice, tmp_path: Path) -> None:
    """Idle, busy, deaf and starting: all are gone, the busy ones after their finally."""
    executor = ProcessExecutor(voice.loop)
    idle = Submitted(executor, work_for(bodies.pid))
    await idle.output()
    busy = Submitted(executor, work_for(bodies.sleep, voice, journal=str(tmp_path / "journal")))
    await voice.until(lambda: "demo.began" in voice.types())
    deaf = Submitted(executor, work_for(bodies.ignore, voice))
    await voice.until(lambda: voice.types().count("demo.began") == 2)
    starting = Submitted(executor, work_for(bodies.pid))
    pids = executor.children
    await executor.close()
    assert executor.children == []
    assert not any(map(is_alive, pids))
    assert (tmp_path / "journal").exists()
    for running in (busy, deaf, starting):
        assert isinstance(await running.error(), asyncio.CancelledError)
    assert isinstance(await Submitted(executor, work_for(bodies.pid)).error(), EngineClosed)


PARENT = """
import asyncio, os, sys
from reactor.executors.processes.executor import ProcessExecutor
from tests.helpers import bodies
from reactor.testing import RecordedVoice, Submitted, work_for


class Point:
    def __init__(self, x): self.x = x


def move(point): return Point(point.x + 1)


async def main():
    voice = RecordedVoice()
    executor = ProcessExecutor(voice.loop)
    if sys.argv[1] == "point":
        moved = await Submitted(executor, work_for(move, point=Point(1))).output()
        print(type(moved) is Point, moved.x)
        await executor.close()
        return
    running = Submitted(executor, work_for(bodies.ignore, voice))
    await voice.until(lambda: voice.heard)
    print(voice.heard[0][2]["pid"], flush=True)
    await running.outcome()


if __name__ == "__main__":
    asyncio.run(main())
"""


def _parent(folder: Path, what: str, code: str = PARENT) -> subprocess.Popen[str]:
    (folder / "parent.py").write_text(code)
    command = [sys.executable, folder / "parent.py", what]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def test_the_death_of_the_engine_ends_its_workers(tmp_path: Path) -> None:
    """kill -9 of the parent: the worker goes away in the middle of a body that ignores everything else."""
    with _parent(tmp_path, "ignore") as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        try:
            assert select.select([worker], [], [], PATIENCE)[0], "the worker has outlived its engine"
        finally:
            os.close(worker)


def test_classes_of_main_cross_in_both_directions(tmp_path: Path) -> None:
    """A script may send and get back what it defines itself, and is not run a second time by its worker."""
    with _parent(tmp_path, "point") as parent:
        assert parent.stdout is not None
        assert parent.stdout.read() == "True 2\n"


UNGUARDED = """
import asyncio
from reactor.executors.processes.executor import ProcessExecutor
from reactor.testing import RecordedVoice, Submitted, work_for


def body(): return "run"


async def main():
    executor = ProcessExecutor(RecordedVoice().loop)
    try:
        print(await Submitted(executor, work_for(body)).output())
    finally:
        await executor.close()


asyncio.run(main())
"""


def test_a_script_without_its_guard_does_not_start_processes_without_end(tmp_path: Path) -> None:
    """A worker that imports a script which runs workflows on import is refused its own workers, and told why."""
    with _parent(tmp_path, "", UNGUARDED) as parent:
        assert parent.stdout is not None
        assert "LookupError" in (said := parent.stdout.read())
        assert 'start workflows below if __name__ == "__main__"' in said


# --- addresses ---


def test_an_address_leads_back() -> None:
    """Resolving the address of a function gives the function, also where its name holds a Task."""
    for function in (bodies.add, bodies._measure, bodies.decorated.function):
        check_address(function)
        assert resolve(address_of(function)) is function
    assert str(address_of(bodies.add)) == "tests.helpers.bodies:add"


def test_a_module_that_only_this_process_can_import_is_addressed_by_its_file(tmp_path: Path) -> None:
    """A module loaded from a file that no import finds has its path for a place."""
    from importlib.util import module_from_spec, spec_from_file_location

    path = tmp_path / "flow_of_a_file.py"
    path.write_text("def body(): return 'found'\n")
    spec = spec_from_file_location("flow_of_a_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["flow_of_a_file"] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        assert str(address_of(module.body)) == f"{path}:body"
        address = address_of(module.body)
        del sys.modules["flow_of_a_file"]
        assert resolve(address)() == "found"
    finally:
        sys.modules.pop("flow_of_a_file", None)


def test_what_has_no_address_is_refused() -> None:
    """A lambda, a function in a function, a method, an object, and a name that means no longer this function."""

    def inner() -> None: ...

    for function, why in (
        (lambda: 1, "lambda"),
        (inner, "inside a function"),
        ("text".upper, "not a function"),
        (RecordedVoice.until.__get__(object()), "not a function"),
        (functools.partial(bodies.add, 1), "not a function"),
        ([], "not a function"),
    ):
        with pytest.raises(ValueError, match=why):
            address_of(function)
    with pytest.raises(ValueError, match="something else"):
        check_address(bodies.first_replaced)


def test_an_address_that_leads_nowhere_says_so(tmp_path: Path) -> None:
    """LookupError with one sentence: no module, a module that fails, no name."""
    address = address_of(bodies.add)
    for wrong, why in (
        (address._replace(place="no_such_module", module="no_such_module"), "no_such_module cannot be imported"),
        (address._replace(place=str(tmp_path / "gone.py")), "gone.py cannot be imported: FileNotFoundError"),
        (address._replace(qualname="gone"), "tests.helpers.bodies has no gone"),
        (address._replace(qualname="NO_FUNCTION"), "not a function"),
    ):
        with pytest.raises(LookupError, match=why):
            resolve(wrong)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("left", range(6))
async def test_without_descriptors_for_a_worker_a_body_fails_and_the_next_runs(
    left: int, fresh: ProcessExecutor
) -> None:
    """Wherever the start runs out of them: it is the error of the body, and no body waits for ever."""
    with descriptors_left(left):
        output, error = await Submitted(fresh, work_for(bodies.same, value=1)).outcome()
    assert (output, error) == (1, None) or (isinstance(error, OSError) and error.errno == errno.EMFILE)
    assert left or error is not None
    assert await Submitted(fresh, work_for(bodies.same, value=2)).output() == 2


async def test_without_a_thread_for_a_worker_a_body_fails_and_the_next_runs(
    fresh: ProcessExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system refuses is the error of the body."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        running = Submitted(fresh, work_for(bodies.same, value=1))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await running.output()
    assert await Submitted(fresh, work_for(bodies.same, value=2)).output() == 2
