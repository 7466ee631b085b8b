"""The checker of histories finds each kind of fault that is planted in a good one, and nothing in the good one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from reactor import Context, Engine, Event, Workflow
from reactor.testing import NODE, Asked, Began, History, Seen, Shown, check_histories, read_all

ONE, OTHER = "n1.1", "n2.1"
"""The life of a node in which a run begins, and the one in which it goes on."""
DONE_BEFORE, DONE_AFTER = 10.0, 20.0
"""When the followers are shown what is before the recovery, and behind it."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A run that is recovered once, by another node; one that is not; and everybody who had to do with them."""
    return asyncio.run(_record(f"sqlite:///{tmp_path_factory.mktemp('log')}/runs.db"))


async def _record(log: str) -> History:
    here = [ONE]
    flow = Workflow("flow")

    @flow.task
    async def first(ctx: Context) -> dict[str, str]:
        await ctx.emit("work.began", {NODE: here[0]})
        return {NODE: here[0]}

    @flow.task
    async def ask(first: dict[str, str], ctx: Context) -> dict[str, str]:
        await ctx.emit("work.began", {NODE: here[0]})
        await ctx.receive("what now?", key="k")
        return {NODE: here[0]}

    async with Engine(log, workflows=[flow], grace=0.0) as engine:
        moved, kept = [await engine.start(flow, run_id=run_id) for run_id in ("moved", "kept")]
        for run in (moved, kept):
            async for event in run:
                if event.type == "task.waiting":
                    break
            await run.emit("client.said", {"n": 1})
            await run.emit("client.said", {"n": 2})
        await kept.send("ask", "yes", key="k")
        await kept.ended()
        before = len(await read_all(engine.log, "moved"))
    here[0] = OTHER
    async with Engine(log, workflows=[flow]) as engine:
        moved = await engine.get("moved")
        await moved.send("ask", "yes", key="k")
        await moved.ended()
        logs = {id: [event.json for event in await read_all(engine.log, id)] for id in ("moved", "kept")}
    return _history(logs, before)


def _history(logs: dict[str, list[bytes]], before: int) -> History:
    seen = {
        run_id: [Seen(DONE_BEFORE if place < before else DONE_AFTER, event) for place, event in enumerate(events)]
        for run_id, events in logs.items()
    }
    shown = [Shown(f"follower {n}", run_id, seen[run_id]) for run_id in logs for n in (0, 1)]
    shown += [Shown(f"all {n}", None, [*seen["kept"], *seen["moved"]]) for n in (0, 1)]
    shown.append(Shown("one that left", "moved", seen["moved"][:3], ended=False))
    shown.append(Shown("one that came late", "moved", seen["moved"][3:], after=3))
    asked: list[Asked] = []
    for run_id in logs:
        asked.append(Asked("ann", run_id, "run.started", {"workflow": "flow"}, 1.0, 2.0))
        asked += [
            Asked("ann", run_id, "client.said", {"n": n}, 2.0 + n, 2.5 + n, _seq(logs[run_id], "client.said", n - 1))
            for n in (1, 2)
        ]
        asked.append(Asked("bob", run_id, "task.received", {"value": "yes"}, 6.0, 7.0))
        asked.append(Asked("bob", run_id, "client.said", {"n": 3}, 6.0, None))
    began = [Began(3.0, run_id, "first", 1, ONE) for run_id in logs]
    began += [Began(4.0, run_id, "ask", 1, ONE) for run_id in logs] + [Began(15.0, "moved", "ask", 2, OTHER)]
    return History(logs, shown, asked, began)


def _seq(events: Sequence[bytes], type: str, nth: int = 0) -> int:
    return [event.seq for event in map(Event.from_json, events) if event.type == type][nth]


def test_a_good_history_has_no_fault(good: History) -> None:
    """With a recovery, one that left, one that came late, and a command that nobody knows of."""
    assert check_histories(good) == []
    assert {event.type for event in good.events["moved"]} >= {"run.resumed", "task.received", "run.completed"}


# --- faults of what was shown ---


def shown(good: History, change: Callable[[list[Seen]], list[Seen]], who: str = "follower 0", **more: Any) -> History:
    """One of them was shown something else."""
    at = next(n for n, one in enumerate(good.shown) if one.who == who and one.run_id in ("moved", None))
    changed = good.shown[at]._replace(events=change([*good.shown[at].events]), **more)
    return replace(good, shown=[*good.shown[:at], changed, *good.shown[at + 1 :]])


def with_changed(event: bytes, **members: Any) -> bytes:
    return orjson.dumps({**orjson.loads(event), **members})


def with_data(event: bytes, **data: Any) -> bytes:
    return with_changed(event, data={**orjson.loads(event)["data"], **data})


def is_of_kept(seen: Seen) -> bool:
    return Event.from_json(seen.json).run_id == "kept"


SHOWN: dict[str, tuple[str, Callable[[History], History]]] = {
    "a gap": ("after 4: a gap", lambda good: shown(good, lambda events: [*events[:4], *events[5:]])),
    "a gap where it came in": ("after 3: a gap", lambda good: shown(good, lambda e: e[1:], "one that came late")),
    "a double": ("was shown 4 again", lambda good: shown(good, lambda events: [*events[:4], *events[3:]])),
    "what was before the cursor": (
        "was shown 4 again, after 4",
        lambda good: shown(good, lambda events: events, "one that came late", after=4),
    ),
    "an event after the end": (
        "which the log does not have",
        lambda good: shown(good, lambda e: [*e, Seen(30.0, with_changed(e[-1].json, seq=len(e) + 1))]),
    ),
    "another event": (
        "where the log has 5",
        lambda good: shown(good, lambda e: [*e[:4], e[4]._replace(json=with_data(e[4].json, n=7)), *e[5:]]),
    ),
    "two events in another order": (
        "again, after",
        lambda good: shown(good, lambda events: [*events[:4], events[5], events[4], *events[6:]]),
    ),
    "less than the whole": ("but nothing from", lambda good: shown(good, lambda events: events[:-1])),
    "less than all of all runs": ("but nothing from", lambda good: shown(good, lambda events: events[:-1], "all 0")),
    "two orders of all runs": (
        "in place 1 of all runs, where",
        lambda good: shown(good, lambda events: sorted(events, key=is_of_kept), "all 0"),
    ),
}  # fmt: skip


# --- faults of the log ---


def logged(good: History, change: Callable[[list[bytes]], list[bytes]]) -> History:
    """The log has something else, and all followers were shown that."""
    events = change([*good.logs["moved"]])
    kept = [one for one in good.shown if one.run_id == "kept"]
    return replace(good, logs={**good.logs, "moved": events}, shown=kept)


def renumbered(events: list[bytes]) -> list[bytes]:
    return [with_changed(event, seq=seq) for seq, event in enumerate(events, 1)]


def without(type: str) -> Callable[[list[bytes]], list[bytes]]:
    return lambda events: renumbered([event for event in events if orjson.loads(event)["type"] != type])


def twice(type: str) -> Callable[[list[bytes]], list[bytes]]:
    return lambda events: renumbered(
        [again for event in events for again in [event] * (1 + (orjson.loads(event)["type"] == type))]
    )


def swapped(events: list[bytes]) -> list[bytes]:
    first, second = (_seq(events, "client.said", nth) - 1 for nth in (0, 1))
    events[first], events[second] = events[second], events[first]
    return renumbered(events)


def stale(events: list[bytes]) -> list[bytes]:
    """The last output is one of the node that had the run before."""
    last = max(n for n, event in enumerate(events) if orjson.loads(event)["type"] == "task.completed")
    return [*events[:last], with_data(events[last], output={NODE: ONE}), *events[last + 1 :]]


def again(events: list[bytes]) -> list[bytes]:
    """A task that has completed begins once more, behind the recovery."""
    started = next(event for event in events if orjson.loads(event)["type"] == "task.started")
    at = _seq(events, "run.resumed")
    return renumbered([*events[:at], started, *events[at:]])


LOGGED: dict[str, tuple[str, Callable[[list[bytes]], list[bytes]]]] = {
    "a hole": ("moved: event 6 stands in place 5 of the log", lambda events: [*events[:4], *events[5:]]),
    "no end": ("moved: the log has no terminal event", lambda events: events[:-1]),
    "two ends": ("moved: the log has 2 terminal events", twice("run.completed")),
    "more behind the end": ("after the terminal event", lambda events: renumbered([*events, events[3]])),
    "an acknowledged start missing": ("moved: the run.started of ann", without("run.started")),
    "an acknowledged command missing": ("moved: the task.received of bob", without("task.received")),
    "an acknowledged command twice": ("is in the log 2 times", twice("client.said")),
    "other numbers than were told": ("was acknowledged as", swapped),
    "another order than was told": ("was acknowledged before client.said of ann was asked for", swapped),
    "a completed task that begins again": ("although the task has ended with", again),
    "a second end of a task": ("although the task has ended with", twice("task.completed")),
    "a stale write": (f"was written by {ONE}, while {OTHER} had the run", stale),
}


# --- faults of bodies, and of what nobody was told ---


def began(*bodies: Began) -> Callable[[History], History]:
    return lambda good: replace(good, began=[*good.began, *bodies])


def unknown(good: History) -> History:
    """What was said once, by one who was not answered, is there twice."""
    doubled = logged(good, twice("client.said"))
    return replace(doubled, asked=[Asked("eve", "moved", "client.said", {"n": 1}, 1.0, None)])


OTHERS: dict[str, tuple[str, Callable[[History], History]]] = {
    "a body of an ended task": ("moved: first began on n2.1", began(Began(12.0, "moved", "first", 2, OTHER))),
    "an unanswered command twice": ("of eve with {'n': 1} is in the log 2 times", unknown),
}

PLANTED: dict[str, tuple[str, Callable[[History], History]]] = {
    **SHOWN,
    **{
        name: (sentence, lambda good, change=change: logged(good, change))
        for name, (sentence, change) in LOGGED.items()
    },
    **OTHERS,
}


@pytest.mark.parametrize("name", PLANTED)
def test_each_kind_of_fault_is_found(good: History, name: str) -> None:
    """In a sentence that names the run and says what is wrong."""
    sentence, plant = PLANTED[name]
    faults = check_histories(plant(good))
    assert [fault for fault in faults if sentence in fault], faults
    assert all(fault.startswith(("moved: ", "kept: ")) for fault in faults)
