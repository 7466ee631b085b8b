"""Whatever is asked, answered, given up and crashed, in whatever order: an answer reaches the question it names.

A body asks questions with and without keys, one after the other and at once, lets some expire, gives some up, fails and
runs again, sometimes with other prompts. Somebody sends values, early, late and twice, and the process crashes. A model
that reads nothing but the log says what each value was for, and what each body had to get.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, Event, QuestionExpired, Retry, Run, RunEnded, TaskEnded, Workflow, WrongQuestion
from reactor.events.fold import replay
from reactor.events.state import RunState
from tests.helpers.crash import check_laws
from tests.helpers.inside import kill
from tests.runs.test_control_laws import CommitLog

RUN_ID, TASK = "r", "ask"
PATIENCE = 60.0
"""Seconds an example may take: only one that hangs takes them."""
SOON = 0.002
"""Seconds after which a question expires, or is given up."""


class Asked(NamedTuple):
    key: str | None
    how: str
    """``wait``, ``expire`` or ``give up``."""
    changes: bool
    """Whether later attempts ask something else at its place."""


@dataclass
class Spec:
    groups: list[list[Asked]]
    """The questions of a group are asked at once."""
    fails: list[int | None]
    """For each attempt that fails: in which group, while its questions are open; None: at the end."""


QUESTIONS = st.builds(
    Asked, st.just(None), st.sampled_from(["wait", "wait", "expire", "give up"]), st.sampled_from([False, False, True])
)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    groups = draw(st.lists(st.lists(QUESTIONS, min_size=1, max_size=3), min_size=1, max_size=3))
    names = iter(draw(st.permutations("abcdefghi")))
    named = [[q._replace(key=next(names)) if draw(st.booleans()) else q for q in group] for group in groups]
    fails = draw(st.lists(st.one_of(st.none(), st.integers(0, len(groups) - 1)), max_size=2))
    return Spec(named, fails)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 6),  # turns before it
        st.sampled_from(["send", "send", "send", "double", "early", "wait", "crash"]),
        st.integers(0, 40),
    ),
    min_size=2,
    max_size=14,
)


def build(spec: Spec) -> Workflow:
    flow = Workflow("asking")

    @flow.task(retry=Retry(attempts=len(spec.fails) + 1, delay=0, jitter=0))
    async def ask(ctx: Context) -> str:
        place = 0
        failures = spec.fails[ctx.resources["failed"][0] :]
        for number, group in enumerate(spec.groups):
            asking: list[Any] = []
            for question in group:
                place += 1
                prompt = f"{place}, differently?" if question.changes and ctx.attempt > 1 else f"{place}?"
                asking.append(put(ctx, question, place, prompt))
            if failures and failures[0] == number:
                asking.append(fail(ctx))
            await asyncio.gather(*asking)
        if failures:
            await fail(ctx)
        return "asked"

    return flow


async def put(ctx: Context, question: Asked, place: int, prompt: str) -> None:
    """Asks, and says what came of it."""
    name = question.key or str(place)
    try:
        if question.how == "expire":
            value = await ctx.receive(prompt, key=question.key, schema=int, timeout=SOON)
        elif question.how == "give up":
            value = await asyncio.wait_for(ctx.receive(prompt, key=question.key, schema=int), SOON)
        else:
            value = await ctx.receive(prompt, key=question.key, schema=int)
    except (QuestionExpired, TimeoutError):
        value = None
    await ctx.emit("value.got", {"name": name, "prompt": prompt, "value": value})


async def fail(ctx: Context) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    raise ConnectionError("try again")


# --- the model ----------------------------------------------------------------------------------------------------


@dataclass
class Known:
    prompt: str
    seq: int
    outcome: Any = None
    """The value that answered it, ``none`` if it expired or was given up; None while it is open."""
    is_live: bool = True


@dataclass
class Model:
    """What the events of the task say so far."""

    questions: dict[str, Known] = field(default_factory=dict[str, Known])
    early: dict[int, tuple[str | None, Any]] = field(default_factory=dict[int, "tuple[str | None, Any]"])
    """By seq: key and value."""

    def read(self, events: Iterable[Event]) -> Model:
        for event in events:
            self.see(event)
        return self

    def see(self, event: Event) -> None:
        data = event.data
        if event.type == "task.started":
            for known in self.questions.values():
                known.is_live = False
        elif event.type == "run.resumed":  # nothing is asked before the body runs again
            for known in self.questions.values():
                known.is_live = known.is_live and known.outcome is None
        elif event.type == "task.waiting":
            self.see_question(event, data)
        elif event.type == "task.received":
            known = self.questions.get(data["key"])
            if known is None:
                self.early[event.seq] = (data["key"], data["value"])
            else:
                assert known.outcome is None, f"{event!r}: its question has its answer, or will have none"
                known.outcome = data["value"]
        elif event.type in ("task.expired", "task.withdrawn"):
            self.questions[data["key"]].outcome = "none"
        elif event.type == "value.got":
            known = self.questions[data["name"]]
            is_it = known.prompt == data["prompt"] or not data["name"].isdigit()  # a key names it, whatever its prompt
            assert is_it, f"{event!r} has the answer to another question"
            assert known.outcome == ("none" if data["value"] is None else data["value"]), f"{event!r} is not its answer"

    def see_question(self, event: Event, data: dict[str, Any]) -> None:
        name, before = data["key"], self.questions.get(data["key"])
        same = before is not None and (before.prompt == data["prompt"] or not name.isdigit())
        if before is not None and same:
            assert before.outcome is None, f"{event!r} asks what was answered, or has expired"
            assert not before.is_live, f"{event!r} asks what is asked"
            before.is_live, before.prompt = True, data["prompt"]
            return
        known = Known(data["prompt"], event.seq)
        self.questions.pop(name, None)
        self.questions[name] = known
        if "answered" in data:
            key, known.outcome = self.early.pop(data["answered"])
            assert key == name or (key is None and data["prompt"].startswith("1")), f"{event!r}: it was for {key!r}"

    def destination(self, key: str | None, published: int) -> str | None:
        """What a value sent now is for: a name, ``first``, or None where it is to be refused."""
        if key is not None:
            known = self.questions.get(key)
            is_free = known.outcome is None if known else key not in [waiting for waiting, _ in self.early.values()]
            return key if is_free else None
        asked = [name for name, known in self.questions.items() if known.is_live] or list(self.questions)
        found = [name for name in asked if self.questions[name].outcome is None]
        if len(found) == 1:
            is_seen = len(self.questions) == 1 or self.questions[found[0]].seq <= published
            return found[0] if is_seen else None
        return None if found or self.questions or self.early else "first"


# --- the real thing -----------------------------------------------------------------------------------------------


class Sending(NamedTuple):
    """A value that was sent, and what was known when it was."""

    written: int
    published: int
    key: str | None
    value: int
    was_taken: bool


class Story:
    """A run through all its lives."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.log = CommitLog()
        self.engine: Engine
        self.run: Run
        self.sent: list[Sending] = []
        self.values = 0

    async def live(self) -> None:
        flow = build(self.spec)
        failed = [sum(event.type == "task.retrying" for event in self.events())]
        self.engine = Engine(self.log, workflows=[flow], resources={"failed": failed}, grace=0)
        self.engine.live.subscribe(lambda event: failed.append(failed.pop() + (event.type == "task.retrying")))
        await self.engine.__aenter__()
        self.run = await (self.engine.get(RUN_ID) if self.log.commits else self.engine.start(flow, run_id=RUN_ID))

    async def die(self) -> None:
        kill(self.engine)
        await self.engine.drain(0)

    def events(self) -> list[Event]:
        """What is committed. Each life knows its own."""
        return [event for _, window in self.log.commits for event in window]

    async def crash(self, lost: int) -> None:
        before = self.log
        await self.die()
        self.check_sending()
        self.log = before.killed(lost)
        await self.live()

    async def send(self, key: str | None) -> None:
        self.values = value = self.values + 1
        execution: Any = self.run._execution  # what is written, and not committed yet, nobody else is told
        if execution is None:
            return  # it had ended before the crash
        written, published, was_taken = execution.journal.last_written, self.run.feed.last_seq, True
        try:
            await self.run.send(TASK, value, key=key)
        except WrongQuestion:
            was_taken = False
        except (RunEnded, TaskEnded):
            return
        self.sent.append(Sending(written, published, key, value, was_taken))

    async def do(self, what: str, number: int) -> None:
        open_now = [question["key"] for question in self.run.state.tasks[TASK].waiting or []]
        names = [q.key or str(place) for place, q in enumerate((q for g in self.spec.groups for q in g), 1)]
        keys = [None, *(names if what == "early" else open_now)]
        key = keys[number % len(keys)]
        if what == "crash":
            await self.crash(number // 10)
        elif what == "wait":
            await asyncio.sleep(2 * SOON)
        elif what == "double":
            await asyncio.gather(self.send(key), self.send(key))
        else:
            await self.send(key)

    async def finish(self) -> None:
        """Answers everything that is open until nothing is."""
        while self.engine.open_runs:
            for question in self.run.state.tasks[TASK].waiting or []:
                await self.send(question["key"])
            await asyncio.sleep(0)

    def check_sending(self) -> None:
        """Each value of this life went where the model says, by the log of the moment it was sent at."""
        events = self.events()
        received = {event.data["value"]: event.data["key"] for event in events if event.type == "task.received"}
        for sending in self.sent:
            if sending.written > len(events) or (sending.was_taken and sending.value not in received):
                continue  # lost before it was committed
            aim = Model().read(events[: sending.written]).destination(sending.key, sending.published)
            assert sending.was_taken == (aim is not None), f"{sending} was for {aim!r}"
            if aim is not None:
                assert received[sending.value] == (None if aim == "first" else aim), f"{sending} was for {aim!r}"
        self.sent.clear()

    def check(self) -> None:
        events = self.events()
        self.check_sending()
        check_laws(events)
        Model().read(events)
        got: dict[tuple[str, str], Any] = {}
        for event in events:
            if event.type == "value.got":
                name = (event.data["name"], event.data["prompt"] if event.data["name"].isdigit() else "")
                assert got.setdefault(name, event.data["value"]) == event.data["value"], f"{event!r} is not the same"
        assert events[-1].type == "run.completed"
        check_folds(events)


def check_folds(events: Sequence[Event]) -> None:
    """The state of any moment lists the questions that are open, and goes through JSON."""
    model, state = Model(), RunState(RUN_ID)
    for length, event in enumerate(events, 1):
        model.see(event)
        state = replay(RUN_ID, events[:length])
        task = state.tasks[TASK]
        is_between = event.type in ("task.retrying", "task.started", "run.resumed")  # nobody has asked again yet
        if task.status in ("running", "waiting") and not is_between:
            found = {question["key"] for question in task.waiting or []}
            assert found == {name for name, known in model.questions.items() if known.outcome is None and known.is_live}
            assert (task.status == "waiting") == bool(found)
        assert RunState.from_dict(state.to_dict()) == replace(state, crashes=None)  # not shown


@pytest.mark.slow
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(specs(), STEPS)
def test_an_answer_reaches_the_question_it_names(spec: Spec, steps: list[tuple[int, str, int]]) -> None:
    """And no other; nobody is asked twice; what a body got once it gets again."""

    async def main() -> None:
        story = Story(spec)
        await story.live()
        try:
            for turns, what, number in steps:
                for _ in range(turns):
                    await asyncio.sleep(0)
                await story.do(what, number)
            await story.finish()
            story.check()
        finally:
            with suppress(Exception):
                await story.die()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
