"""Bodies in processes of their own, against a voice that only writes down what it hears."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from reactor.definition.address import address_of, check_address, resolve
from reactor.definition.task import Task
from reactor.errors import ContextClosed, EngineClosed, WorkerDied
from reactor.executors.processes.executor import ProcessExecutor
from reactor.executors.processes.messages import RemoteError
from reactor.operators.buffer_window import READY
from reactor.ports.attempt import Attempt, Upstream
from reactor.ports.executor import Job, Work
from tests.helpers import bodies

TIMEOUT = 120.0


class Recorder:
    """A Voice: what it hears in order; what it is asked waits in ``questions`` for the test to answer."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.is_crowded = False
        self.is_closed = False
        self.heard: list[tuple[Any, ...]] = []
        self.questions: list[tuple[str | None, asyncio.Future[Any]]] = []
        self.room: Awaitable[None] = READY
        self.before_answer: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Done when the condition holds, which may change only with what is heard."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def types(self) -> list[str]:
        return [entry[1] if entry[0] == "emit" else entry[0] for entry in self.heard]

    def pid(self) -> int:
        return next(entry[2]["pid"] for entry in self.heard if entry[1] == "demo.began")

    def _hear(self, *entry: Any) -> Awaitable[None]:
        if self.is_closed:
            raise ContextClosed("task t of run r: its attempt has ended", run_id="r", task_id="t")
        self.heard.append(entry)
        self._changed.set()
        return self.room

    def emit(self, type: str, data: bytes) -> Awaitable[None]:
        return self._hear("emit", type, orjson.loads(data))

    def progress(self, data: bytes) -> Awaitable[None]:
        return self._hear("progress", orjson.loads(data)["fraction"])

    def chunk(self, text: str) -> Awaitable[None]:
        return self._hear("chunk", text)

    def spend(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        return self._hear("spend", cost, tokens, source)

    def receive(self, prompt: str | None, schema: dict[str, Any] | None, key: str | None) -> Awaitable[Any]:
        self._hear("receive", prompt)
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.questions.append((prompt, answer))
        return answer

    def run(self, workflow: Any, input: Mapping[str, Any], key: str | None, budget: Any) -> Awaitable[dict[str, Any]]:
        raise NotImplementedError

    def checkpoint(self) -> Awaitable[None]:
        return self._hear("checkpoint")

    def committed(self) -> Awaitable[None]:
        return self._hear("committed")


class Running:
    """A submitted body: ``await running`` gives its output or raises what it raised."""

    def __init__(self, executor: ProcessExecutor, work: Work) -> None:
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.job: Job = executor.submit(work, self._done)
        assert not self.ended.done(), "done was called inside of submit"

    def _done(self, output: Any, error: BaseException | None) -> None:
        # a CancelledError as a value: a future would take it for its own
        self.ended.set_result((output, error))

    async def outcome(self) -> tuple[Any, BaseException | None]:
        async with asyncio.timeout(TIMEOUT):
            return await asyncio.shield(self.ended)

    async def output(self) -> Any:
        output, error = await self.outcome()
        if error is not None:
            raise error
        return output

    async def error(self) -> BaseException:
        output, error = await self.outcome()
        assert error is not None, output
        return error


def work(function: Callable[..., Any], voice: Recorder | None = None, **arguments: Any) -> Work:
    """One attempt; with a voice the body gets a Context as ``ctx``."""
    task = function if isinstance(function, Task) else Task(function, {})
    if voice is None:
        return Work(task, arguments, "r", "t")
    upstreams = {"before": Upstream("completed", {"rows": 3}, None, None, None)}
    attempt = Attempt("r", "t", 2, None, {"size": 4}, {"owner": "me"}, upstreams, {"pool": threading.Lock()})
    return Work(task, arguments, "r", "t", "ctx", attempt, voice)


@pytest.fixture
async def executor() -> AsyncIterator[ProcessExecutor]:
    """Closed after the test, which must leave no process."""
    executor = ProcessExecutor(asyncio.get_running_loop(), workers=2)
    yield executor
    await executor.close()
    assert executor.children == []


@pytest.fixture
async def voice() -> Recorder:
    return Recorder()


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- what crosses ---


async def test_arguments_and_output_cross(executor: ProcessExecutor) -> None:
    """The output is what the body returns for its arguments."""
    assert await Running(executor, work(bodies.add, left=1, right=2)).output() == 3


async def test_large_values_cross(executor: ProcessExecutor) -> None:
    """Values far above what a pipe holds come through whole, in both directions."""
    value = {"text": "x" * 5_000_000, "bytes": bytes(5_000_000)}
    assert await Running(executor, work(bodies.same, value=value)).output() == value


async def test_the_attempt_crosses_without_resources(executor: ProcessExecutor, voice: Recorder) -> None:
    """ctx shows the attempt; shared resources stay where they are."""
    assert await Running(executor, work(bodies.look, voice)).output() == {
        "run_id": "r",
        "task_id": "t",
        "attempt": 2,
        "map_index": None,
        "input": {"size": 4},
        "meta": {"owner": "me"},
        "resources": {},
        "upstream": {"rows": 3},
    }


async def test_what_is_said_arrives_in_order_before_the_result(executor: ProcessExecutor, voice: Recorder) -> None:
    """Events, log lines, chunks and spending come in the order of the calls, the last progress before the output."""
    running = Running(executor, work(bodies.say_all, voice, count=50))
    assert await running.output() == "said"
    heard = [entry for entry in voice.heard if entry[0] != "progress"]
    assert [entry[2]["number"] for entry in heard[:50]] == list(range(50))
    assert heard[50][1:] == ("log.created", {"level": "info", "message": "half", "fields": {"rows": 12}})
    assert heard[51:] == [("chunk", "text"), ("spend", "0.5", 3, "spend")]
    assert voice.heard[-1] == ("progress", 1.0)


async def test_progress_is_sampled_where_it_is_made(executor: ProcessExecutor, voice: Recorder) -> None:
    """However often a body tells its progress few of them cross, and the last one always does."""
    await Running(executor, work(bodies.much_progress, voice, count=20_000)).output()
    assert voice.heard[-1] == ("progress", 1.0)
    assert len(voice.heard) < 200


async def test_threads_of_a_body_may_speak(executor: ProcessExecutor, voice: Recorder) -> None:
    """Each thread's events come in its own order, none is lost."""
    await Running(executor, work(bodies.shout_in_threads, voice, threads=8, count=50)).output()
    for name in range(8):
        assert [entry[2]["number"] for entry in voice.heard if entry[2]["name"] == name] == list(range(50))


async def test_emit_waits_for_room(executor: ProcessExecutor, voice: Recorder) -> None:
    """A body is held in emit until the engine has room: that is the backpressure."""
    voice.room = room = voice.loop.create_future()
    running = Running(executor, work(bodies.say_all, voice, count=3))
    await voice.until(lambda: len(voice.heard) == 1)
    voice.room = READY
    assert not running.ended.done()
    assert len(voice.heard) == 1
    room.set_result(None)
    assert await running.output() == "said"


async def test_a_question_is_answered(executor: ProcessExecutor, voice: Recorder) -> None:
    """ctx.receive blocks, and returns what somebody sent."""
    running = Running(executor, work(bodies.ask, voice))
    await voice.until(lambda: voice.questions)
    voice.questions[0][1].set_result(True)
    assert await running.output() is True


async def test_an_async_body_awaits_its_questions(executor: ProcessExecutor, voice: Recorder) -> None:
    """In a loop of its own a body may ask two things at once."""
    running = Running(executor, work(bodies.ask_twice, voice))
    await voice.until(lambda: len(voice.questions) == 2)
    for prompt, answer in voice.questions:
        answer.set_result(f"{prompt}!")
    assert await running.output() == ["one!", "two!"]


async def test_an_answer_may_be_an_exception(executor: ProcessExecutor, voice: Recorder) -> None:
    """What the engine raises is raised in the body."""
    running = Running(executor, work(bodies.ask, voice))
    await voice.until(lambda: voice.questions)
    voice.questions[0][1].set_exception(ContextClosed("no more", run_id="r", task_id="t"))
    with pytest.raises(ContextClosed, match="no more"):
        await running.output()


async def test_a_closed_voice_raises_in_the_body(executor: ProcessExecutor, voice: Recorder) -> None:
    """Once the attempt has ended, the body's next word raises ContextClosed there."""
    voice.is_closed = True
    error = await Running(executor, work(bodies.say_all, voice, count=1)).error()
    assert isinstance(error, ContextClosed)
    assert error.task_id == "t"


async def test_a_context_that_was_kept_is_closed(executor: ProcessExecutor, voice: Recorder) -> None:
    """What a body leaves behind in its worker is not heard during the next one."""
    pid = await Running(executor, work(bodies.keep, voice)).output()
    assert await Running(executor, work(bodies.use_what_was_kept)).output() == "closed"
    assert pid in executor.children
    assert voice.heard == []


# --- what does not cross ---


async def test_an_exception_crosses(executor: ProcessExecutor) -> None:
    """Type and message are the original's, and its cause shows the traceback it had there."""
    error = await Running(executor, work(bodies.fail, text="no")).error()
    assert type(error) is ValueError
    assert str(error) == "no"
    assert "raise ValueError(text)" in str(error.__cause__)


@pytest.mark.parametrize(
    ("body", "name", "message"),
    [(bodies.fail_locally, "HomeMade", "from here"), (bodies.fail_in_two_parts, "TwoPartError", "7: seven")],
)
async def test_an_exception_that_cannot_cross_keeps_its_name(
    executor: ProcessExecutor, body: Any, name: str, message: str
) -> None:
    """What cannot be pickled or read again arrives as an exception of the same name and message."""
    error = await Running(executor, work(body)).error()
    assert isinstance(error, RemoteError)
    assert (type(error).__name__, str(error)) == (name, message)
    assert "bodies.py" in str(error.__cause__)


async def test_system_exit_is_an_error_of_the_body(executor: ProcessExecutor) -> None:
    """A body does not end its worker with sys.exit()."""
    error = await Running(executor, work(bodies.leave)).error()
    assert isinstance(error, SystemExit)
    assert len(executor.children) == 1


async def test_an_argument_that_cannot_be_sent_is_named(executor: ProcessExecutor) -> None:
    """The body fails with a TypeError that names the argument, and no process is started for it."""
    error = await Running(executor, work(bodies.add, left=1, right=threading.Lock())).error()
    assert isinstance(error, TypeError)
    assert str(error).startswith("argument 'right' of task t cannot be sent to a process")
    assert executor.children == []


async def test_a_body_that_cannot_be_found_fails(executor: ProcessExecutor) -> None:
    """A function without an address is the error of its body."""
    error = await Running(executor, work(lambda: 1)).error()
    assert isinstance(error, ValueError)
    assert "lambda" in str(error)


async def test_an_output_that_cannot_be_sent_fails(executor: ProcessExecutor) -> None:
    """The body fails with a TypeError that says so."""
    with pytest.raises(TypeError, match=r"the output of task t of run r cannot leave its process: .*lock"):
        await Running(executor, work(bodies.lock)).output()


async def test_an_output_that_cannot_be_read_fails(executor: ProcessExecutor) -> None:
    """The body fails with a TypeError, and its worker goes on."""
    with pytest.raises(TypeError, match="cannot be read outside its process: not here"):
        await Running(executor, work(bodies.unreadable)).output()
    assert await Running(executor, work(bodies.add, left=1, right=2)).output() == 3


async def test_a_workflow_that_cannot_be_sent_is_named_instead(executor: ProcessExecutor, voice: Recorder) -> None:
    """ctx.run of an object tells what to do."""
    with pytest.raises(TypeError, match="in a process name the workflow"):
        await Running(executor, work(bodies.give_workflow, voice)).output()


# --- workers ---


async def test_an_idle_worker_is_used_again(executor: ProcessExecutor) -> None:
    """One after the other, bodies run in the same process."""
    pids = [await Running(executor, work(bodies.pid)).output() for _ in range(3)]
    assert len(set(pids)) == 1
    assert executor.children == pids[:1]


async def test_no_more_idle_workers_are_kept_than_asked_for(voice: Recorder) -> None:
    """With workers=0 each body has a fresh process, which ends after it."""
    executor = ProcessExecutor(voice.loop, workers=0)
    pids = {await Running(executor, work(bodies.pid)).output() for _ in range(2)}
    assert len(pids) == 2
    await executor.close()
    assert not any(map(is_alive, pids))


async def test_a_hundred_bodies_are_in_flight_at_once(executor: ProcessExecutor, voice: Recorder) -> None:
    """All of them run at the same time, and each gets its own answer."""
    running = {name: Running(executor, work(bodies.meet, voice, name=name)) for name in map(str, range(100))}
    await voice.until(lambda: len(voice.questions) == 100)
    assert len(executor.children) == 100
    for prompt, answer in voice.questions:
        answer.set_result(prompt)
    for name, body in running.items():
        assert await body.output() == name


async def test_a_worker_inherits_no_lock(executor: ProcessExecutor, tmp_path: Path) -> None:
    """A lock file that the engine holds open is not open in a worker."""
    path = tmp_path / "store.lock"
    with path.open("w") as file:
        os.set_inheritable(file.fileno(), True)  # even so
        fcntl.flock(file, fcntl.LOCK_EX)
        assert str(path) not in await Running(executor, work(bodies.open_files)).output()


@pytest.mark.parametrize(
    ("body", "arguments", "how"),
    [(bodies.die, {"code": 7}, "exit code 7"), (bodies.die, {"code": 0}, "exit code 0"), (bodies.crash, {}, "SIGSEGV")],
)
async def test_a_worker_that_dies_fails_its_body_only(
    executor: ProcessExecutor, body: Any, arguments: dict[str, Any], how: str
) -> None:
    """The body fails with WorkerDied, which says how; the next one gets a fresh process."""
    error = await Running(executor, work(body, **arguments)).error()
    assert isinstance(error, WorkerDied)
    assert error.run_id == "r"
    assert how in str(error)
    assert await Running(executor, work(bodies.add, left=1, right=2)).output() == 3


async def test_a_busy_worker_that_is_killed_fails_its_body(
    executor: ProcessExecutor, voice: Recorder, tmp_path: Path
) -> None:
    """kill -9 of a busy worker is WorkerDied, after everything it had said."""
    running = Running(executor, work(bodies.sleep, voice, journal=str(tmp_path / "journal")))
    await voice.until(lambda: "demo.began" in voice.types())
    os.kill(voice.pid(), signal.SIGKILL)
    error = await running.error()
    assert isinstance(error, WorkerDied)
    assert "SIGKILL" in str(error)


async def test_a_death_is_noticed_where_a_child_keeps_the_pipe_open(executor: ProcessExecutor, voice: Recorder) -> None:
    """The death of a worker ends its body even if a fork of it lives on with its end of the pipe."""
    running = Running(executor, work(bodies.leave_a_child, voice))
    await voice.until(lambda: "demo.began" in voice.types())
    os.kill(voice.pid(), signal.SIGKILL)
    try:
        assert isinstance(await running.error(), WorkerDied)
    finally:
        os.kill(voice.heard[0][2]["child"], signal.SIGKILL)


async def test_an_idle_worker_that_was_killed_costs_nobody_anything(executor: ProcessExecutor) -> None:
    """A body that was given to a dead worker, before its death was known, runs in another one."""
    pid = await Running(executor, work(bodies.pid)).output()
    os.kill(pid, signal.SIGKILL)
    assert await Running(executor, work(bodies.pid)).output() != pid


# --- stopping ---


async def test_a_cancel_interrupts_a_body(executor: ProcessExecutor, voice: Recorder, tmp_path: Path) -> None:
    """A body that sleeps is interrupted, its finally runs, and its worker is not used again."""
    journal = tmp_path / "journal"
    running = Running(executor, work(bodies.sleep, voice, journal=str(journal)))
    await voice.until(lambda: "demo.began" in voice.types())
    running.job.cancel()
    assert isinstance(await running.error(), asyncio.CancelledError)
    assert journal.read_text() == "cleaned up, cancelled True"
    assert running.job.saw_cancel
    assert await Running(executor, work(bodies.pid)).output() != voice.pid()


async def test_a_cancel_interrupts_an_async_body(executor: ProcessExecutor, voice: Recorder, tmp_path: Path) -> None:
    """An async body is cancelled as it would be on the loop."""
    journal = tmp_path / "journal"
    running = Running(executor, work(bodies.sleep_async, voice, journal=str(journal)))
    await voice.until(lambda: "demo.began" in voice.types())
    running.job.cancel()
    assert isinstance(await running.error(), asyncio.CancelledError)
    assert journal.read_text() == "cleaned up"


async def test_a_cancel_interrupts_a_loop_that_never_waits(executor: ProcessExecutor, voice: Recorder) -> None:
    """``while True: pass`` ends."""
    running = Running(executor, work(bodies.spin, voice))
    await voice.until(lambda: voice.heard)
    running.job.cancel()
    assert isinstance(await running.error(), asyncio.CancelledError)


async def test_a_body_that_returns_because_it_was_told_to_stop_says_so(
    executor: ProcessExecutor, voice: Recorder
) -> None:
    """saw_cancel tells that what a body returned is no output."""
    running = Running(executor, work(bodies.when_told, voice))
    await voice.until(lambda: voice.heard)
    assert not running.job.saw_cancel
    running.job.cancel()
    assert await running.output() == "stopped"
    assert running.job.saw_cancel


async def test_a_cancel_before_the_worker_is_there_starts_nothing(executor: ProcessExecutor, voice: Recorder) -> None:
    """A body that waits for its process is cancelled without ever running, and not inside of cancel()."""
    running = Running(executor, work(bodies.say_all, voice, count=1))
    running.job.cancel()
    assert not running.ended.done()
    assert isinstance(await running.error(), asyncio.CancelledError)
    assert await Running(executor, work(bodies.add, left=1, right=2)).output() == 3
    assert voice.heard == []


async def test_a_cancel_at_any_moment_ends_a_body_once(executor: ProcessExecutor, voice: Recorder) -> None:
    """Wherever the interrupt hits, the body is answered for, and the next one runs."""
    for moment in range(1, 40):
        voice.heard.clear()
        running = Running(executor, work(bodies.say_all, voice, count=20))
        await voice.until(
            lambda moment=moment, running=running: len(voice.heard) >= moment % 24 or running.ended.done()
        )
        running.job.cancel()
        output, error = await running.outcome()
        assert output == "said" or isinstance(error, asyncio.CancelledError)
    assert await Running(executor, work(bodies.add, left=1, right=2)).output() == 3


async def test_a_blocked_question_is_woken_by_a_cancel(executor: ProcessExecutor, voice: Recorder) -> None:
    """Who waits for an answer that will not come is let go, and the engine's side of the question is cancelled."""
    running = Running(executor, work(bodies.ask, voice))
    await voice.until(lambda: voice.questions)
    running.job.cancel()
    assert isinstance(await running.error(), (asyncio.CancelledError, ContextClosed))
    assert voice.questions[0][1].cancelled()


async def test_threads_of_a_body_are_woken_by_a_cancel(executor: ProcessExecutor, voice: Recorder) -> None:
    """In a thread of the body, a blocked receive raises ContextClosed and a blocked emit returns."""
    asking = Running(executor, work(bodies.ask_in_a_thread, voice))
    await voice.until(lambda: voice.questions)
    asking.job.cancel()
    assert await asking.output() == "ContextClosed"
    voice.room = voice.loop.create_future()
    saying = Running(executor, work(bodies.wait_for_room, voice))
    await voice.until(lambda: "demo.held" in voice.types())
    saying.job.cancel()
    assert await saying.output() == "let go"


@pytest.mark.parametrize("body", [bodies.ignore, bodies.hang_in_c])
async def test_a_body_that_ignores_a_cancel_is_killed(executor: ProcessExecutor, voice: Recorder, body: Any) -> None:
    """abandon() kills the process, and done is never called."""
    running = Running(executor, work(body, voice))
    await voice.until(lambda: "demo.began" in voice.types())
    pid = voice.pid()
    running.job.cancel()
    if body is bodies.ignore:
        await voice.until(lambda: "demo.ignored" in voice.types())
    assert running.job.abandon()
    await executor.close()
    assert not is_alive(pid)
    assert not running.ended.done()
    assert executor.abandoned == 0


async def test_an_abandoned_body_never_begins_again(executor: ProcessExecutor, voice: Recorder) -> None:
    """Neither one that waits for its process nor one that was just given to it."""
    waits = Running(executor, work(bodies.say_all, voice, count=1))
    assert waits.job.abandon()
    await Running(executor, work(bodies.pid)).output()
    given = Running(executor, work(bodies.say_all, voice, count=1))
    assert given.job.abandon()
    await Running(executor, work(bodies.pid)).output()
    await executor.close()
    assert not waits.ended.done()
    assert not given.ended.done()


async def test_a_signal_to_the_whole_group_leaves_bodies_alone(executor: ProcessExecutor, voice: Recorder) -> None:
    """Ctrl-C and a SIGTERM that reaches the workers as well: what becomes of the bodies is the engine's decision."""
    running = Running(executor, work(bodies.ask, voice))
    await voice.until(lambda: voice.questions)
    for pid in executor.children:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    voice.questions[0][1].set_result(True)
    assert await running.output() is True


async def test_close_leaves_no_process(voice: Recorder, tmp_path: Path) -> None:
    """Idle, busy, deaf and starting: all are gone, the busy ones after their finally."""
    executor = ProcessExecutor(voice.loop)
    idle = Running(executor, work(bodies.pid))
    await idle.output()
    busy = Running(executor, work(bodies.sleep, voice, journal=str(tmp_path / "journal")))
    await voice.until(lambda: "demo.began" in voice.types())
    deaf = Running(executor, work(bodies.ignore, voice))
    await voice.until(lambda: voice.types().count("demo.began") == 2)
    starting = Running(executor, work(bodies.pid))
    pids = executor.children
    await executor.close()
    assert executor.children == []
    assert not any(map(is_alive, pids))
    assert (tmp_path / "journal").exists()
    for running in (busy, deaf, starting):
        assert isinstance(await running.error(), asyncio.CancelledError)
    assert isinstance(await Running(executor, work(bodies.pid)).error(), EngineClosed)


PARENT = """
import asyncio, os, sys
from reactor.executors.processes import ProcessExecutor
from tests.executors import bodies
from tests.executors.test_processes import Recorder, Running, work


class Point:
    def __init__(self, x): self.x = x


def move(point): return Point(point.x + 1)


async def main():
    voice = Recorder()
    executor = ProcessExecutor(voice.loop)
    if sys.argv[1] == "point":
        moved = await Running(executor, work(move, point=Point(1))).output()
        print(type(moved) is Point, moved.x)
        await executor.close()
        return
    running = Running(executor, work(bodies.ignore, voice))
    await voice.until(lambda: voice.heard)
    print(voice.pid(), flush=True)
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
            assert select.select([worker], [], [], TIMEOUT)[0], "the worker has outlived its engine"
        finally:
            os.close(worker)


def test_classes_of_main_cross_in_both_directions(tmp_path: Path) -> None:
    """A script may send and get back what it defines itself, and is not run a second time by its worker."""
    with _parent(tmp_path, "point") as parent:
        assert parent.stdout is not None
        assert parent.stdout.read() == "True 2\n"


UNGUARDED = """
import asyncio
from reactor.executors.processes import ProcessExecutor
from tests.executors.test_processes import Recorder, Running, work


def body(): return "run"


async def main():
    executor = ProcessExecutor(Recorder().loop)
    try:
        print(await Running(executor, work(body)).output())
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
        (Recorder.until.__get__(object()), "not a function"),
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
        (address._replace(qualname="gone"), "tests.executors.bodies has no gone"),
        (address._replace(qualname="_left"), "not a function"),
    ):
        with pytest.raises(LookupError, match=why):
            resolve(wrong)
