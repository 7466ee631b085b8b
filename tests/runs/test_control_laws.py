"""Whatever an operator does to a run, in whatever order, and however often it crashes: the laws hold.

Random sequences of pause, resume, cancel, input and crash against random DAGs whose bodies wait, fail and try again,
pass checkpoints and ask for child runs. Then the run is resumed and fed until it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reactor import (
    Engine,
    Event,
    MailboxFull,
    Run,
    RunEnded,
    RunEnding,
    RunNotHere,
    TaskEnded,
    UnknownTask,
    WrongQuestion,
)
from reactor.events.event import Window
from reactor.events.fold import replay
from reactor.events.vocabulary import TASK_ENDS
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from tests.helpers.crash import check_laws
from tests.helpers.dags import Spec, build, controlled_dags, expected
from tests.helpers.inside import kill, recovery_done
from tests.helpers.runs import open_runs

RUN_ID = "r"
REFUSED = (RunEnded, RunEnding, TaskEnded, UnknownTask, MailboxFull, WrongQuestion, RunNotHere)
"""RunNotHere: right after a crash, a child run is open in the log, and its parent has not asked for it again yet."""
PATIENCE = 60.0
"""Seconds an example may take: only one that hangs takes them."""

Step = tuple[int, str, int]
"""After how many turns, what is done, and a number: to which task or run, or how many commits are lost."""

STEPS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sampled_from(
            ["pause", "pause", "pause", "resume", "resume", "send", "send", "crash", "crash", "cancel task", "cancel"]
        ),
        st.integers(0, 30),
    ),
    min_size=2,
    max_size=12,
)


class CommitLog(MemoryLog):
    """Survives its engine, and remembers its commits: what a process leaves that is killed after any of them."""

    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[tuple[str, Window]] = []

    def append(self, run_id: str, window: Window, *, tenant: str = "") -> asyncio.Future[int]:
        self.commits.append((run_id, list(window)))
        return super().append(run_id, window)

    def killed(self, lost: int) -> CommitLog:
        """A log without the last ``lost`` commits; the first, with the start of the run, is always there."""
        left = CommitLog()
        for run_id, window in self.commits[: max(1, len(self.commits) - lost)]:
            left.append(run_id, window)
        return left


class Story:
    """A run through all its lives."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.log = CommitLog()
        self.engine: Engine
        self.run: Run
        self.values = 0
        self.lives: list[tuple[set[str], list[str]]] = []
        """Of each life, what had completed when it began, and the bodies that ran in it."""

    async def live(self) -> None:
        completed = {e.task_id or "" for e in await self.events() if e.type == "task.completed"}
        ran: list[str] = []
        self.lives.append((completed, ran))
        flow = build(self.spec)
        self.engine = Engine(self.log, workflows=[flow], resources={"ran": ran}, grace=0)
        await self.engine.__aenter__()
        self.run = await (self.engine.get(RUN_ID) if self.log.commits else self.engine.start(flow, run_id=RUN_ID))

    async def die(self) -> None:
        """Nothing of this life is heard any more."""
        kill(self.engine)
        await self.engine.drain(0)

    async def events(self, run_id: str = RUN_ID) -> list[Event]:
        return await read_all(self.log, run_id) if self.log.commits else []

    # --- steps ---

    async def do(self, what: str, number: int) -> None:
        if what == "crash":
            before = self.log
            self.log = before.killed(number // 6)
            await self.die()
            await self.live()
        elif what == "cancel":
            if await self.succeeds(self.run.request_cancel(grace=30)):
                assert "run.cancelling" in types(await self.events())
        elif what == "cancel task":
            task_id = self.task(number)
            if await self.succeeds(self.run.request_cancel(grace=30, task=task_id)):
                assert ("task.cancelling", task_id) in [(e.type, e.task_id) for e in await self.events()]
        elif what == "send":
            await self.send(self.run, self.task(number), (None, "1", "2")[number % 3])
        else:
            await self.hold(what, number)

    async def hold(self, what: str, number: int) -> None:
        """Pause or resume, of the run or of one of its children."""
        runs = sorted(await open_runs(self.engine), key=lambda run: run.id)
        run = runs[number % len(runs)] if runs else self.run
        if await self.succeeds(run.pause() if what == "pause" else run.resume()):
            found = [t for t in types(await read_all(self.log, run.id), but="recovered") if t in HOLDS]
            assert found[-1:] == ["run.paused"] if what == "pause" else found[-1:] != ["run.paused"]

    async def send(self, run: Run, task_id: str, key: str | None) -> None:
        self.values += 1
        value = self.values
        if await self.succeeds(run.send(task_id, value, key=key)):
            received = [e for e in await read_all(self.log, run.id) if e.type == "task.received"]
            assert value in [e.data["value"] for e in received if e.task_id == task_id]

    async def succeeds(self, command: Awaitable[None]) -> bool:
        """Whether the run took a command."""
        try:
            await command
        except REFUSED:
            return False
        return True

    def task(self, number: int) -> str:
        """One of the tasks and children there are; mostly of those that wait for a value, if any do."""
        tasks = self.run.state.tasks
        waiting = [task.id for task in tasks.values() if task.waiting] if number % 4 else []
        ids = waiting or list(tasks)
        return ids[number % len(ids)]

    async def finish(self) -> None:
        """Resumes and feeds everything until nothing is open."""
        while self.engine.open_runs:
            for run in await open_runs(self.engine):
                if run.status == "paused":
                    await self.succeeds(run.resume())
                for task in list(run.state.tasks.values()):
                    for asked in task.waiting or ():
                        await self.send(run, task.id, asked["key"])
            await asyncio.sleep(0)
        await recovery_done(self.engine)

    # --- what must hold ---

    async def check(self) -> None:
        for record in await self.log.records(status=None, workflow=None, before=None, limit=1_000):
            events = await self.events(record.run_id)
            state = check_laws(events)
            assert (await self.engine.get(record.run_id)).state == state == replay(record.run_id, events)
            check_cancel(events)
            check_values(events)
        events = await self.events()
        for completed, ran in self.lives:
            assert not completed & set(ran), "what is in the log as completed ran again"
            assert not [id for id in set(ran) if ran.count(id) > 1 + self.failures(id)]
        if not {"run.cancelling", "task.cancelling"} & set(types(events)):
            self.check_outcome(events)

    def failures(self, task_id: str) -> int:
        return next(task.fails_first for task in self.spec if task.name == task_id.partition("[")[0])

    def check_outcome(self, events: Sequence[Event]) -> None:
        """What nobody cancelled ends as if nothing had been done to it."""
        model, state = expected(self.spec), self.run.state
        assert {id: task.status for id, task in state.tasks.items()} == model.statuses
        assert state.status == model.run_status
        assert {name: events[-1].data[name] for name in model.totals} == model.totals
        if model.run_status == "completed":
            assert events[-1].data["outputs"] == model.outputs


HOLDS = ("run.paused", "run.resumed")


def types(events: Sequence[Event], but: str = "") -> list[str]:
    """The types of events, without those of a reason."""
    return [event.type for event in events if not but or event.data.get("reason") != but]


def check_cancel(events: Sequence[Event]) -> None:
    """After ``run.cancelling`` nothing starts, and what had not ended was stopped, or had its answer already."""
    cancelling = next((event.seq for event in events if event.type == "run.cancelling"), None)
    if cancelling is not None:
        assert events[-1].type == "run.cancelled"
        ends = {event.type for event in events[cancelling:] if event.type in TASK_ENDS}
        assert ends <= {"task.cancelled", "task.skipped", "task.completed"}


def check_values(events: Sequence[Event]) -> None:
    """What a body gets at its k-th question is what was sent to that, in every attempt; each is answered once."""
    sent: dict[tuple[str | None, str | None], Any] = {}
    for event in events:
        if event.type == "task.received":
            name = (event.task_id, event.data["key"])
            assert name not in sent, f"{event!r} answers a question that is answered"
            sent[name] = event.data["value"]
        elif event.type == "value.got":
            names = [str(event.data["k"] + 1), *([None] if event.data["k"] == 0 else [])]
            assert event.data["value"] in [sent.get((event.task_id, name)) for name in names], f"{event!r}"


@pytest.mark.slow
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(controlled_dags(), STEPS)
def test_whatever_is_done_to_a_run_it_keeps_its_laws(spec: Spec, steps: list[Step]) -> None:
    """Legal statuses, nothing started in a pause, nothing completed run again, one end, state == fold, same values."""

    async def main() -> None:
        story = Story(spec)
        await story.live()
        for turns, what, number in steps:
            for _ in range(turns):
                await asyncio.sleep(0)
            await story.do(what, number)
        await story.finish()
        await story.check()
        await story.die()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
