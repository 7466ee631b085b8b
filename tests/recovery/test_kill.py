"""``kill -9`` at random moments: nothing completed runs again, nothing is lost, the run ends as if nothing had been."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from reactor import Engine, Event
from reactor.events.fold import replay
from reactor.events.vocabulary import TERMINAL
from reactor.testing import read_all
from tests.helpers.crash import check_laws, ended_in, in_log
from tests.helpers.warm import Started, start_python
from tests.helpers.workflows import EXPECTED, NOT_RECOVERABLE, noted

SEED = int(os.environ.get("KILL_SEED", "20261121"))
KILLS = int(os.environ.get("KILLS", "50"))
KILLS_HTTP = int(os.environ.get("KILLS_HTTP", "10"))
WAIT_SECONDS = 30.0


@dataclass
class Story:
    """One run through all its processes: where it is logged, what its bodies noted, what was certain at each death."""

    run_id: str
    log: Path
    journal: Path
    certain: list[tuple[int, list[Event]]] = field(default_factory=list)
    """At each death: how many lines the journal had, and what was in the log."""

    def died(self) -> None:
        self.certain.append((len(noted(self.journal)), in_log(self.log, self.run_id)))

    def is_over(self) -> bool:
        return bool(self.certain) and replay(self.run_id, self.certain[-1][1]).has_ended

    def check(self, events: list[Event]) -> None:
        """Everything that must hold once the run has ended."""
        check_laws(events)
        assert events[-1].type == "run.completed", events[-1].json
        assert events[-1].data["outputs"].items() >= EXPECTED.items()
        lines = [task for _, task in noted(self.journal)]
        self.check_lives(lines, events)
        for line_count, logged in self.certain:
            assert events[: len(logged)] == logged, "what was in the log has changed"
            ended = ended_in(logged)
            again = {task for task in lines[line_count:] if task in ended}
            allowed = {task for task, needed_by in NOT_RECOVERABLE.items() if needed_by.name not in ended}
            assert again <= allowed, f"{again} had ended after {len(logged)} events, and ran again"
        resumed = sum(event.type == "run.resumed" for event in events)
        assert resumed <= len(self.certain)

    def check_lives(self, lines: list[str], events: list[Event]) -> None:
        """In one life a body runs at most once; its start is in the log, but for the window that died with the process.

        A task begins without waiting for the commit of its task.started: so a body can have run once more, per kill,
        than the log has starts.
        """
        line, seq = 0, 0
        for line_count, logged in [*self.certain, (len(lines), events)]:
            ran = Counter(lines[line:line_count])
            starts = {event.task_id for event in logged[seq:] if event.type == "task.started"}
            assert not [task for task, times in ran.items() if times > 1]
            if logged is events:
                assert ran.keys() <= starts, "nothing was killed, and yet a start is not in the log"
            line, seq = line_count, len(logged)


def story(folder: Path, name: str) -> Story:
    return Story(name, folder / f"{name}.db", folder / f"{name}.journal")


def wait_for_events(story: Story, count: int, process: Started) -> None:
    """Returns as soon as this life has added so many events, or the run or the process has ended."""
    seen = len(in_log(story.log, story.run_id)) if story.log.exists() else 0
    deadline = time.monotonic() + WAIT_SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline, "the process does nothing"
        events = in_log(story.log, story.run_id) if story.log.exists() else []
        if len(events) >= seen + count or (events and events[-1].type in TERMINAL):
            return
        time.sleep(0.005)


def kill(process: Started) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


# --- in process -------------------------------------------------------------------------------------------------


def start_child(story: Story) -> Started:
    return start_python("-m", "tests.helpers.killed", f"sqlite:///{story.log}", story.run_id, story.journal)


def live_and_die(story: Story, chance: random.Random) -> bool:
    """One process, killed at a random moment after its first event; False if it ended before that."""
    process = start_child(story)
    wait_for_events(story, 1, process)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0.0, 0.3))
    else:
        wait_for_events(story, chance.randint(1, 90), process)
    was_alive = process.poll() is None
    kill(process)
    errors = process.stderr.read()
    process.close_pipes()
    assert errors.count("Traceback") == errors.count("ValueError: told to fail"), errors
    story.died()
    return was_alive


@pytest.mark.slow
def test_50_kills_in_process_repeat_and_lose_nothing(tmp_path: Path) -> None:
    """However often the process is killed, the log is whole and the run completes with its outputs."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    kills = runs = 0
    while kills < KILLS:
        runs += 1
        tale = story(tmp_path, f"run-{runs}")
        while kills < KILLS and not tale.is_over():
            kills += live_and_die(tale, chance)
        finish(tale)
    print(f"{kills} kills in {runs} runs")


def finish(tale: Story) -> None:
    """The last restart: undisturbed."""
    process = start_child(tale)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert out.splitlines() == ["begun", "done"]
    asyncio.run(check_through_the_engine(tale))


async def check_through_the_engine(tale: Story) -> None:
    """An engine that knows no workflow reads the log, and its state is the fold of it."""
    async with Engine(f"sqlite:///{tale.log}") as engine:
        run = await engine.get(tale.run_id)
        events = await read_all(engine.log, tale.run_id)
        assert run.state == replay(tale.run_id, events)
        assert (await run.outputs()).items() >= EXPECTED.items()
    tale.check(events)


# --- over HTTP --------------------------------------------------------------------------------------------------


def serve(story: Story) -> tuple[str, Started]:
    process = start_python(
        "-m", "reactor_web", "serve", "tests/helpers/workflows.py:killed",
        "--store", f"sqlite:///{story.log}", "--port", "0", quiet=True,
    )  # fmt: skip
    found = re.search(r"serving on (\S+)", process.stdout.readline())
    assert found is not None
    return f"{found[1]}/api/v1", process


def ask(url: str, body: dict[str, object] | None = None) -> dict[str, object]:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=WAIT_SECONDS) as response:
        return json.load(response)


@pytest.mark.slow
def test_10_kills_of_a_server_repeat_and_lose_nothing(tmp_path: Path) -> None:
    """A run that was accepted (201) is in the log; the server started again goes on with it, without being asked."""
    print(f"seed {SEED + 1}")
    chance = random.Random(SEED + 1)
    kills = runs = 0
    while kills < KILLS_HTTP:
        runs += 1
        tale = story(tmp_path, f"run-{runs}")
        url, process = serve(tale)
        body = {"input": {"journal": str(tale.journal)}, "run_id": tale.run_id}
        assert ask(f"{url}/workflows/killed/runs", body)["run_id"] == tale.run_id
        assert in_log(tale.log, tale.run_id)[0].type == "run.started"
        while kills < KILLS_HTTP and not tale.is_over():
            wait_for_events(tale, chance.randint(1, 90), process)
            kill(process)
            process.close_pipes()
            kills += 1
            tale.died()
            url, process = serve(tale)
        deadline = time.monotonic() + WAIT_SECONDS
        while (answer := ask(f"{url}/runs/{tale.run_id}"))["status"] != "completed":
            assert answer["status"] == "running", answer
            assert time.monotonic() < deadline, "the run does not end"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        process.close_pipes()
        asyncio.run(check_through_the_engine(tale))
    print(f"{kills} kills in {runs} runs")
