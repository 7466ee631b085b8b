"""A cancel of 200 running bodies of every kind is proven: nothing is left of those that stop, the rest is named."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from reactor import Context, ContextClosed, Engine, Run, Workflow
from reactor.events.timing import milliseconds
from reactor.events.vocabulary import TERMINAL
from reactor.testing import read_all
from tests.helpers import bodies
from tests.helpers.crash import ended_in, in_log
from tests.helpers.runs import PATIENCE, full_log, wait_for_event, wait_until
from tests.helpers.warm import start_python

GRACE = 4.0
PROCESSES = os.cpu_count() or 1
LOOKING = 15
"""Threads that look at ``ctx.cancelled``."""
BLOCKED = 15
"""Threads that are blocked in ``ctx.receive``."""
DEAF = 1
ASYNC = 200 - PROCESSES - LOOKING - BLOCKED - DEAF


class Deaf:
    """A thread that ignores its cancel until the gate opens; then it tries everything a Context can do."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.ended = threading.Event()
        self.caught: list[type[BaseException] | None] = []

    def body(self, ctx: Context) -> str:
        self.gate.wait()
        for act in (
            lambda: ctx.emit("deaf.said", {}),
            lambda: ctx.progress(0.5),
            lambda: ctx.chunk("late"),
            lambda: ctx.spend(cost=1, tokens=1),
            lambda: ctx.log.info("late"),
            lambda: ctx.llm_call("gpt-x").__enter__(),
            lambda: ctx.tool_call("search").__enter__(),
            lambda: ctx.receive("late"),
            lambda: ctx.run(Workflow("late")),
            lambda: ctx.checkpoint(),
            lambda: ctx.committed(),
        ):
            try:
                act()
                self.caught.append(None)
            except BaseException as error:
                self.caught.append(type(error))
        self.ended.set()
        return "late"


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    deaf = Deaf()
    yield deaf
    deaf.gate.set()


def two_hundred(deaf: Deaf, folder: Path, stopped: Counter[str]) -> Workflow:
    """As many bodies of each kind as can really run at once, 200 together."""
    flow = Workflow("two-hundred")
    flow.task(lambda: list(range(ASYNC)), name="asyncs")
    flow.task(lambda: list(range(LOOKING)), name="lookings")
    flow.task(lambda: list(range(BLOCKED)), name="blockeds")
    flow.task(lambda: [str(folder / f"journal-{n}") for n in range(PROCESSES)], name="journals")

    @flow.task(map="asyncs")
    async def waits(asyncs: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped["waits"] += 1

    @flow.task(map="lookings")
    def looks(lookings: int, ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.001)
        stopped["looks"] += 1

    @flow.task(map="blockeds")
    def blocked(blockeds: int, ctx: Context) -> None:
        try:
            ctx.receive("a value that never comes")
        finally:
            stopped["blocked"] += 1

    flow.task(bodies.sleep, name="sleeps", map={"journal": "journals"}, executor="process")
    flow.task(deaf.body, name="deaf", after=["asyncs", "lookings", "blockeds", "journals"])
    return flow


def live(run: Run) -> int:
    """Bodies that have begun and not ended."""
    return sum(task.count is None and task.status in ("running", "waiting") for task in run.state.tasks.values())


def child_processes() -> set[int]:
    found: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found |= {int(pid) for pid in file.read_text().split()}
    return found


async def test_a_cancel_of_200_running_bodies_ends_within_its_grace_and_leaves_only_the_deaf_one(
    deaf: Deaf, tmp_path: Path
) -> None:
    """Async bodies, threads and processes stop and are gone; the one that ignores it is abandoned, named and mute."""
    stopped: Counter[str] = Counter()
    flow = two_hundred(deaf, tmp_path, stopped)
    threads, processes = set(threading.enumerate()), child_processes()
    async with Engine(grace=0) as engine:
        tasks = asyncio.all_tasks()
        run = await engine.start(flow)
        for n in range(PROCESSES):
            await wait_for_event(run, "demo.began", f"sleeps[{n}]")
        await wait_until(lambda: live(run) == 200)
        await wait_until(lambda: run.state.tasks["deaf"].status == "running")
        pids = [e.data["pid"] for e in await read_all(engine.log, run.id) if e.type == "demo.began"]
        assert set(pids) <= child_processes()
        await asyncio.wait_for(run.cancel(grace=GRACE), PATIENCE)
        events = await full_log(engine, run)
        check_proof(run, events)
        assert stopped == {"waits": ASYNC, "looks": LOOKING, "blocked": BLOCKED}
        await wait_until(lambda: asyncio.all_tasks() - {asyncio.current_task()} <= tasks)
        deaf.gate.set()
        assert await asyncio.to_thread(deaf.ended.wait, 30)
        assert deaf.caught == [ContextClosed] * 11
        assert await read_all(engine.log, run.id) == events
        assert events[-1].type in TERMINAL
    await wait_until(lambda: not {t for t in threading.enumerate() if t.name.startswith("reactor")} - threads)
    await wait_until(lambda: child_processes() <= processes)


def check_proof(run: Run, events: list[Any]) -> None:
    """What the log says of the 200."""
    cancelling = next(event for event in events if event.type == "run.cancelling")
    ends = {id: event for id, event in ended_in(events).items() if event.seq > cancelling.seq}
    assert len(ends) == 200
    assert {event.type for event in ends.values()} == {"task.cancelled"}
    assert {id for id, event in ends.items() if not event.data["stopped"]} == {"deaf"}
    assert all(event.data["stop_ms"] < GRACE * 1000 for id, event in ends.items() if id != "deaf")
    assert (events[-1].type, events[-1].data["abandoned"]) == ("run.cancelled", 1)
    assert (events[-1].data["cancelled"], events[-1].data["completed"]) == (200, 4)
    took = milliseconds(cancelling.decode()["time"], events[-1].decode()["time"])
    assert took < GRACE * 1000 + 10_000, "the machine may be slow; the cancel waits for nobody beyond its grace"
    assert run.status == "cancelled"


async def test_a_cancel_to_which_everybody_answers_does_not_wait_for_its_grace(tmp_path: Path) -> None:
    """The end comes with the last answer: the grace is what bodies may take, not what a cancel costs."""
    deaf, stopped = Deaf(), Counter[str]()
    deaf.gate.set()
    async with Engine(grace=0) as engine:
        run = await engine.start(two_hundred(deaf, tmp_path, stopped))
        for n in range(PROCESSES):
            await wait_for_event(run, "demo.began", f"sleeps[{n}]")
        await wait_until(lambda: live(run) >= 200 - DEAF)
        await asyncio.wait_for(run.cancel(grace=3600), PATIENCE)
        assert (await full_log(engine, run))[-1].data["abandoned"] == 0


# --- reactor serve ----------------------------------------------------------------------------------------------

DEAF_FLOW = """
import time
from contextlib import suppress
from pathlib import Path
from reactor import Workflow

flow = Workflow("deaf")

@flow.task
def deaf(folder: str) -> None:
    Path(folder, "begun").touch()
    while True:
        time.sleep(0.05)
"""


class Served:
    """``reactor serve`` in a process of its own, with a run whose thread ignores everything."""

    def __init__(self, folder: Path, store: str, grace: float) -> None:
        self.folder = folder
        (folder / "deaf.py").write_text(DEAF_FLOW)
        command = ["-m", "reactor_web", "serve", folder / "deaf.py", "--port", 0, "--store", store, "--grace", grace]
        self.process = start_python(*command, quiet=True)
        found = re.search(r"serving on (\S+)", self.process.stdout.readline())
        assert found is not None
        self.url = f"{found[1]}/api/v1"

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.close_pipes()

    def begin(self, run_id: str) -> None:
        """Returns once the body runs."""
        body = json.dumps({"input": {"folder": str(self.folder)}, "run_id": run_id}).encode()
        request = Request(f"{self.url}/workflows/deaf/runs", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30):
            pass
        deadline = time.monotonic() + 30
        while not (self.folder / "begun").exists():
            assert time.monotonic() < deadline, "the body does not begin"
            time.sleep(0.01)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_server_with_a_deaf_thread_exits_after_its_grace(store: str, tmp_path: Path) -> None:
    """SIGTERM: the stream is told, the process is gone, code 0; on a durable log the run stays for the next start."""
    database = tmp_path / "runs.db"
    url = "memory://" if store == "memory" else f"sqlite:///{database}"
    with Served(tmp_path, url, 0.1) as served:
        served.begin("r")
        with urlopen(f"{served.url}/runs/r/events", timeout=30) as stream:
            assert stream.readline().startswith((b"retry", b":"))
            served.process.send_signal(signal.SIGTERM)
            rest = stream.read().decode()
        assert "stream.closing" in rest or "run.cancelled" in rest
        assert served.process.wait(30) == 0
    if store == "sqlite":
        assert [event.type for event in in_log(database, "r")] == ["run.started", "task.started"]


def test_a_second_sigterm_ends_the_server_at_once(tmp_path: Path) -> None:
    """Whoever asks twice does not wait for a grace of an hour."""
    with Served(tmp_path, f"sqlite:///{tmp_path / 'runs.db'}", 3600) as served:
        served.begin("r")
        with urlopen(f"{served.url}/runs/r/events", timeout=30) as stream:
            assert stream.readline().startswith((b"retry", b":"))
            served.process.send_signal(signal.SIGTERM)
            assert "stream.closing" in stream.read().decode()  # the first signal is being obeyed
        assert served.process.poll() is None
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 128 + signal.SIGTERM
