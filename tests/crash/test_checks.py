"""The checks find what is wrong: of a whole world nothing, and each fault that is planted in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from reactor import Engine
from reactor.tenants.tenant import Tenant
from tests.crash import evidence as reading
from tests.crash import flows, oracle, report
from tests.crash.answers import Answer
from tests.crash.clients import Followed
from tests.crash.evidence import End, Evidence, Shown, Window

TENANT = "a"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """Two lives of an engine in this process, the first of which is stopped in the middle."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(oracle.FILE, str(folder / "oracle"))
        yield asyncio.run(two_lives(folder, patch))


async def two_lives(folder: Path, patch: pytest.MonkeyPatch) -> Evidence:
    log, answers, ends = folder / "runs.db", list[Answer](), list[End]()
    for life, live in enumerate((first_life, second_life), 1):
        patch.setenv(oracle.LIFE, str(life))
        async with Engine(f"sqlite:///{log}", workflows=flows.ALL, grace=0.0) as engine:
            answers += await live(engine.tenant(TENANT), life)
            if life == 2:
                states = {f"{TENANT}/{r.run_id}": await state(engine, r.run_id) for r in await every(engine)}
        ends.append(End(life, "stopped", reading.position(log)))
    windows = reading.windows(log)
    shown = [Shown(Followed("all", TENANT, "", "events"), tuple(e for w in windows for e in w.events))]
    shown += [Shown(Followed("tree", TENANT, "asks", "events"), of(windows, *ASKING))]
    shown += [Shown(Followed("run", TENANT, "asks", "lines"), of(windows, "asks"))]
    return Evidence(oracle.lines(folder / "oracle"), answers, windows, ends, shown, states)


ASKING = ("asks", "asks.ask.1", "asks.ask.1.ask.1")


def of(windows: list[Window], *runs: str) -> tuple[bytes, ...]:
    mine = {f"{TENANT}/{run}" for run in runs}
    return tuple(event for window in windows if window.run in mine for event in window.events)


async def every(engine: Engine) -> list[Any]:
    return list(await engine.tenant(TENANT).list(limit=100))


async def state(engine: Engine, run_id: str) -> Any:
    return orjson.loads(orjson.dumps((await engine.tenant(TENANT).get(run_id)).state.to_dict()))


def answered(life: int, method: str, path: str, body: Any, status: int = 202, key: str = "", **said: Any) -> Answer:
    said.setdefault("run_id", path.split("/")[2])
    return Answer(life, TENANT, method, path, body, key, 1, status, said)


async def first_life(tenant: Tenant, life: int) -> list[Answer]:
    """A graph, a run that says things, a session, and a run that asks when the engine stops."""
    answers: list[Answer] = []
    for name in ("graph", "commits", "asks"):
        run = await tenant.start(name, {"tenant": TENANT}, run_id=name)
        answers.append(answered(life, "PUT", f"/runs/{name}", {}, 201))
        if name == "asks":
            await until(run, "task.waiting")
        elif name == "commits":
            await run.ended()
        else:
            await until(run, "task.completed")
            await run.cancel(reason="stopped")
            answers.append(answered(life, "POST", "/runs/graph/cancel", {"reason": "stopped"}))
    session = await tenant.session("session")
    seqs = await session.emit_all([{"type": "crash.heard"}, {"type": "crash.heard"}], key="k")
    answers.append(answered(life, "POST", "/runs/session/events", [{}, {}], key="k", seqs=list(seqs)))
    await session.close()
    return answers


async def second_life(tenant: Tenant, life: int) -> list[Answer]:
    """What was cancelled is tried again, what was asked is answered, and one run spends too much."""
    again = await tenant.retry("graph", new_run_id="graph-again")
    answers = [answered(life, "POST", "/runs/graph/retry", {}, run_id="graph-again")]
    await again.ended()
    spends = await tenant.start("spends", {"tenant": TENANT}, run_id="spends", budget={"cost": flows.LIMIT})
    await spends.ended()
    asked = [*((run, "first") for run in ASKING), *((run, "2") for run in reversed(ASKING))]
    for run_id, key in asked:
        while run_id not in [one.run_id for one in await tenant.list(limit=100)]:
            await asyncio.sleep(0.001)
        run = await tenant.get(run_id)
        await until(run, "task.waiting", key=key)
        value = f"{run_id}:{key}"
        await run.send("ask", value, key=key)
        body = {"run": run_id, "task": "ask", "key": key, "value": value}
        answers.append(answered(life, "POST", "/runs/asks/input", body, run_id=run_id))
    await (await tenant.get("asks")).ended()
    return answers


async def until(run: Any, type: str, **data: Any) -> None:
    async for event in run:
        if event.type == type and event.data.items() >= data.items():
            return


# --- planting -------------------------------------------------------------------------------------------------------

Plant = Callable[[Evidence], Evidence]


def lines(edit: Callable[[list[oracle.Line]], Any]) -> Plant:
    """Changes what bodies noted."""

    def plant(whole: Evidence) -> Evidence:
        changed = list(whole.lines)
        edit(changed)
        return replace(whole, lines=changed)

    return plant


def place(lines: list[oracle.Line], step: str, task: str = "", run: str = "") -> int:
    """Of the first line of this step that says what has happened."""
    return next(
        at for at, line in enumerate(lines)
        if line.step.startswith(step) and line.when == "after" and task in line.task and line.run.startswith(run)
    )  # fmt: skip


def double(lines: list[oracle.Line], step: str, task: str = "", run: str = "", **changed: Any) -> None:
    """The same again at the end, or something like it."""
    lines.append(lines[place(lines, step, task, run)]._replace(**changed))


def change(lines: list[oracle.Line], step: str, **changed: Any) -> None:
    at = place(lines, step)
    lines[at] = lines[at]._replace(**changed)


def events(run: str, edit: Callable[[list[Any]], Any], is_numbered: bool = True) -> Plant:
    """Changes the events of a run, which are numbered anew; what was shown of it is as before."""

    def plant(whole: Evidence) -> Evidence:
        mine = [event for window in whole.windows if window.run == f"{TENANT}/{run}" for event in window.events]
        changed = list(map(orjson.loads, mine))
        edit(changed)
        if is_numbered:
            changed = [{**event, "seq": seq} for seq, event in enumerate(changed, 1)]
        found = list(whole.windows)
        places = [at for at, window in enumerate(found) if window.run == f"{TENANT}/{run}"]
        for at in places:
            found[at] = found[at]._replace(events=())
        found[places[-1]] = found[places[-1]]._replace(events=tuple(map(orjson.dumps, changed)))
        return replace(whole, windows=found)

    return plant


def first(events: list[Any], type: str) -> int:
    return next(at for at, event in enumerate(events) if event["type"] == type)


def again(events: list[Any], type: str) -> None:
    """The first event of this type, once more behind itself."""
    events.insert(first(events, type), events[first(events, type)])


def with_data(type: str, **data: Any) -> Callable[[list[Any]], None]:
    def edit(events: list[Any]) -> None:
        events[first(events, type)]["data"] |= data

    return edit


def without(type: str) -> Callable[[list[Any]], None]:
    return lambda events: events.pop(first(events, type))


def swap(events: list[Any]) -> None:
    events[2], events[3] = events[3], events[2]


def commands(edit: Callable[[Answer], Answer], path: str) -> Plant:
    """Changes the answer to one command."""

    def plant(whole: Evidence) -> Evidence:
        changed = [edit(answer) if answer.path == path else answer for answer in whole.answers]
        return replace(whole, answers=changed)

    return plant


def shown(edit: Callable[[list[bytes]], Any], follower: int) -> Plant:
    """Changes what one follower was shown."""

    def plant(whole: Evidence) -> Evidence:
        changed = list(whole.shown)
        messages = list(changed[follower].messages)
        edit(messages)
        changed[follower] = changed[follower]._replace(messages=tuple(messages))
        return replace(whole, shown=changed)

    return plant


def state_of(run: str, **said: Any) -> Plant:
    def plant(whole: Evidence) -> Evidence:
        changed = {**whole.states[f"{TENANT}/{run}"], **said}
        return replace(whole, states={**whole.states, f"{TENANT}/{run}": changed})

    return plant


def killed(plant: Plant) -> Plant:
    """No life ended cleanly, so a start may be lost: what is planted is wrong all the same."""
    return lambda whole: plant(replace(whole, ends=[end._replace(how="line") for end in whole.ends]))


PLANTED: dict[str, tuple[str, Plant]] = {
    "an effect happens twice": ("repeated", killed(lines(lambda all: double(all, "measure")))),
    "a completed body runs in a later life": ("repeated", killed(lines(lambda all: double(all, "done", life=2)))),
    "a start has an old number": ("repeated", killed(lines(lambda all: double(all, "", "ask", life=2)))),
    "a body ran in a clean life without a start": ("unstarted", lines(lambda all: double(all, "done", attempt=9))),
    "an old process goes on": ("overlapping", killed(lines(lambda all: double(all, "", "ask", life=1)))),
    "an effect that the log relies on is lost": ("undone", lines(lambda all: all.pop(place(all, "done")))),
    "the log has another output": ("undone", lines(lambda all: change(all, "done", value="another"))),
    "what was taken over runs": (
        "taken_over", lines(lambda all: all.append(all[place(all, "done", "items")]._replace(run="a/graph-again"))),
    ),
    "what was committed is lost": ("uncommitted", events("commits", without("crash.said"))),
    "a body got another answer": ("asked_again", lines(lambda all: change(all, "answer:2", value="another"))),
    "a question has two answers": ("asked_again", events("asks", lambda all: again(all, "task.received"))),
    "an answered question is asked": (
        "asked_again",
        events("asks", lambda all: all.insert(first(all, "child.started"), all[first(all, "task.waiting")])),
    ),
    "a child starts twice": ("children", events("asks", lambda all: again(all, "child.started"))),
    "a child ends twice": ("children", events("asks", lambda all: again(all, "child.ended"))),
    "a child ended otherwise": ("children", events("asks", with_data("child.ended", status="failed"))),
    "a child had other outputs": ("children", events("asks", with_data("child.ended", outputs={}))),
    "a child has another parent": (
        "children",
        events("asks.ask.1", with_data("run.started", parent={"run_id": "graph", "task_id": "ask"})),
    ),
    "a child cost more": ("money", events("asks", with_data("child.ended", cost=7.5))),
    "what was paid is not counted": ("money", events("asks", without("task.spent"))),
    "what nobody paid is counted": ("money", lines(lambda all: all.pop(place(all, "pay:", run="a/spends")))),
    "the totals are wrong": ("holes", events("spends", with_data("task.spent", total_cost=9.0))),
    "a hole": ("holes", events("graph", lambda all: all.pop(3), is_numbered=False)),
    "two events change places": ("holes", events("graph", swap, is_numbered=False)),
    "two ends": ("holes", events("commits", lambda all: again(all, "run.completed"))),
    "no end": ("holes", events("commits", without("run.completed"))),
    "an acknowledged cancel is lost": ("unanswered", events("graph", without("run.cancelling"))),
    "an acknowledged answer is lost": ("unanswered", events("asks", without("task.received"))),
    "an acknowledged answer came to the log too late": (
        "unanswered", commands(lambda answer: answer._replace(life=1), "/runs/asks/input"),
    ),
    "an answer is in the log twice": ("unanswered", events("asks", lambda all: again(all, "task.received"))),
    "what a session heard has other seqs": (
        "unanswered",
        commands(lambda answer: answer._replace(said={**answer.said, "seqs": [2, 4]}), "/runs/session/events"),
    ),
    "a command failed": ("unanswered", commands(lambda answer: answer._replace(status=500), "/runs/graph/cancel")),
    "GET says something else": ("unfolded", state_of("commits", status="running")),
    "a run that nobody stopped was cancelled": (
        "otherwise", commands(lambda answer: answer._replace(status=409), "/runs/graph/cancel"),
    ),
    "a message is lost": ("wrongly_shown", shown(lambda all: all.pop(5), 0)),
    "a message is shown twice": ("wrongly_shown", shown(lambda all: all.insert(5, all[5]), 1)),
    "messages change places": ("wrongly_shown", shown(lambda all: all.insert(3, all.pop(5)), 1)),
    "a message has other bytes": ("wrongly_shown", shown(lambda all: all.append(all.pop() + b" "), 2)),
    "what was shown is not in the log": ("wrongly_shown", events("asks", lambda all: all.pop(4))),
    "the last message is missing": ("wrongly_shown", shown(lambda all: all.pop(), 2)),
}  # fmt: skip


def test_nothing_is_wrong_with_a_whole_world(whole: Evidence) -> None:
    """Where nothing was planted there is no fault; and it has everything that a fault is planted in."""
    assert list(report.faults(whole)) == []
    assert report.figures(whole).items() >= {"lives": 2, "runs": 8, "commands": 12, "followers": 3}.items()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(whole: Evidence, name: str) -> None:
    """By the check that looks for it."""
    check, plant = PLANTED[name]
    found = list(report.faults(plant(whole)))
    assert [fault for fault in found if fault.startswith(f"{check}: ")], found


def test_each_check_has_found_something() -> None:
    """A check that nothing makes fail says nothing."""
    assert {check for check, _ in PLANTED.values()} == {check.__name__ for check in report.CHECKS}
