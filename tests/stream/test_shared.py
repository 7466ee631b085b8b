"""What one subscriber does to what it is given, no other sees: every door through which events and states go out."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import Observable
from reactivex import operators as ops

import reactor_web
from reactor import Context, Engine, Event, Run, RunState, TaskState, Workflow, evolve, off_loop
from reactor.events.event import Message
from reactor.events.fold import replay
from reactor.operators import to_state
from reactor.testing import read_all
from reactor_web.sse.parser import Parser
from tests.helpers.runs import PATIENCE, result, wait_for_event
from tests.helpers.server import Server

flow = Workflow("shared")


@flow.task
async def talk(ctx: Context) -> dict[str, Any]:
    await ctx.receive("go?")
    for number in range(3):
        await ctx.emit("number.said", {"number": number, "list": [number]})
    return {"said": 3}


@flow.task
async def after(talk: dict[str, Any]) -> int:
    return talk["said"]


def vandalise(message: Message) -> None:
    """Does to an event all that Python allows."""
    message.data.update(number=999, stolen=True)
    message.data.get("list", []).append("more")
    if isinstance(message, Event):
        message.body["time"] = "never"
        for name, value in {"seq": 999, "type": "run.failed", "task_id": "nobody", "json": b"{}", "blob": b"?"}.items():
            setattr(message, name, value)


def facts(message: Message) -> tuple[Any, ...]:
    return message.seq, message.type, message.task_id, message.time, message.data


Subscribe = Callable[[Engine, Run, Callable[[Message], None]], Any]


def over(events: Callable[[Engine, Run], Observable[Message]]) -> Subscribe:
    return lambda engine, run, hear: events(engine, run).subscribe(hear)


def iterating(engine: Engine, run: Run, hear: Callable[[Message], None]) -> asyncio.Future[None]:
    async def read() -> None:
        async for message in run:
            hear(message)

    return asyncio.ensure_future(read())


DOORS: dict[str, Subscribe] = {
    "run.events": over(lambda engine, run: run.events),
    "run.events_after": over(lambda engine, run: run.events_after(2)),
    "run.live": over(lambda engine, run: run.live),
    "engine.live": over(lambda engine, run: engine.live),
    "run.task_events": over(lambda engine, run: run.task_events("talk")),
    "off_loop": over(lambda engine, run: run.events.pipe(off_loop())),
    "async iterator": iterating,
}


@pytest.mark.parametrize("door", DOORS)
async def test_no_door_shows_what_another_subscriber_did_to_its_events(door: str, engine: Engine) -> None:
    """A vandal comes first at each door, in the same run; the honest subscriber gets what is in the log."""
    run = await engine.start(flow, run_id="r")
    asked = await wait_for_event(run, "task.waiting")
    heard: list[tuple[Any, ...]] = []
    vandals = [subscribe(engine, run, vandalise) for subscribe in DOORS.values()]
    honest = DOORS[door](engine, run, lambda message: heard.append(facts(message)))
    late = [subscribe(engine, run, vandalise) for subscribe in DOORS.values()]
    await run.send("talk", True)
    assert await result(run) == {"after": 3}
    if door == "off_loop":
        async with asyncio.timeout(PATIENCE):
            while not heard or heard[-1][1] != "run.completed":
                await asyncio.sleep(0.002)
    if isinstance(honest, asyncio.Future):
        await honest
    logged = await read_all(engine.log, "r")
    assert run.state == replay("r", logged)
    wanted = [facts(event) for event in logged]
    if door in ("run.live", "engine.live"):
        wanted = [fact for fact in wanted if fact[0] > asked.seq]
    elif door == "run.events_after":
        wanted = wanted[2:]
    elif door == "run.task_events":
        wanted = [fact for fact in wanted if fact[2] == "talk"]
    assert heard == wanted
    again: list[tuple[Any, ...]] = []
    run.events.subscribe(lambda message: again.append(facts(message)))
    await asyncio.sleep(0)
    async for message in run:  # both read the ring or the log, after all the vandals
        assert facts(message) == facts(logged[(message.seq or 0) - 1])
    assert again == [facts(event) for event in logged]
    del vandals, late


async def test_the_log_in_memory_gives_nobody_its_own_events(engine: Engine) -> None:
    """What a reader of the log does to an event, the next reader and the stream do not see."""
    run = await engine.start(flow, run_id="r")
    await wait_for_event(run, "task.waiting")
    await run.send("talk", True)
    await result(run)
    wanted = [facts(event) for event in await read_all(engine.log, "r")]
    for event in await engine.log.read("r", 0, 100):
        vandalise(event)
    assert [facts(event) for event in await read_all(engine.log, "r")] == wanted


def spoil(events: Observable[Message]) -> Observable[Message]:
    """A view that changes what it is given."""
    return events.pipe(ops.do_action(vandalise), ops.filter(lambda message: False))


async def test_a_view_of_a_stream_changes_the_events_of_no_other_stream(server: Server) -> None:
    """``stream(view=...)``: its pipeline has views of its own, live and from the log."""
    run = await server.engine.start(flow, run_id="r")
    await wait_for_event(run, "task.waiting")

    async def handle(request: web.Request) -> web.StreamResponse:
        return await reactor_web.stream(request, run, view=spoil)

    app = web.Application()
    app.router.add_get("/spoilt", handle)
    reactor_web.mount(app, server.engine)
    mounted = TestServer(app, host="127.0.0.1")
    async with mounted, aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        spoilt, events = mounted.make_url("/spoilt"), f"{server.url}/runs/r/events"
        async with session.get(spoilt) as one, session.get(events) as other:
            await run.send("talk", True)
            await one.read()
            frames = Parser(sticky_id=False).feed(await other.read())
    logged = await read_all(server.engine.log, "r")
    assert [frame.data.encode() for frame in frames if frame.event != "stream.end"] == [e.json for e in logged]


# --- the state ----------------------------------------------------------------------------------------------------


async def waiting_run(engine: Engine) -> Run:
    run = await engine.start(flow, run_id="r", meta={"who": {"name": "Ann"}}, budget={"cost": 1})
    await wait_for_event(run, "task.waiting")
    return run


WAYS: dict[str, Callable[[RunState], Any]] = {
    "a field": lambda state: setattr(state, "status", "failed"),
    "the seq": lambda state: setattr(state, "seq", 999),
    "all tasks": lambda state: setattr(state, "tasks", {}),
    "a deletion": lambda state: delattr(state, "status"),
    "a task": lambda state: setattr(state.tasks["talk"], "status", "failed"),
    "a task in a loop": lambda state: [setattr(task, "attempt", 9) for task in state.tasks.values()],
    "a new task": lambda state: state.tasks.__setitem__("x", TaskState("x", "x")),
    "a task less": lambda state: state.tasks.pop("talk"),
    "the fold": lambda state: evolve(state, Event.from_json(b'{"seq":999,"run_id":"r","type":"a.b","data":{}}')),
    "a recount": lambda state: state.count_progress(),
}


@pytest.mark.parametrize("way", WAYS)
async def test_run_state_cannot_be_changed(way: str, engine: Engine) -> None:
    """Each way raises, and nothing has changed: neither for the run nor for anybody who follows it."""
    run = await waiting_run(engine)
    before = run.state.copy()
    with pytest.raises((AttributeError, TypeError)):
        WAYS[way](run.state)
    assert run.state == before
    await run.send("talk", True)
    assert await result(run) == {"after": 3}
    assert run.state == replay("r", await read_all(engine.log, "r"))


async def test_what_is_in_the_fields_of_a_state_is_a_copy(engine: Engine) -> None:
    """Lists and dicts that a reader changes are its own, also those of ``to_dict``."""
    run = await waiting_run(engine)
    state, before = run.state, run.state.copy()
    assert state.meta is not None
    assert state.budget is not None
    state.meta["who"]["name"] = "Bob"
    state.budget.clear()
    waiting = state.tasks["talk"].waiting
    assert waiting is not None
    waiting[0]["prompt"] = "stop?"
    waiting.clear()
    shown = state.to_dict()
    shown["tasks"]["talk"]["waiting"][0]["prompt"] = "stop?"
    shown["tasks"]["talk"]["waiting"].clear()
    shown["meta"]["who"]["name"] = "Bob"
    mine = state.copy()
    mine.status, mine.tasks["talk"].status = "failed", "failed"
    assert run.state == before
    await run.send("talk", True)
    await result(run)


async def test_a_state_is_current_and_is_still_a_RunState(engine: Engine) -> None:  # a class
    """It shows each event as soon as that is published; equality, copies, pickles and dataclass tools work."""
    run = await waiting_run(engine)
    state = run.state
    assert isinstance(state, RunState)
    assert isinstance(state.tasks["talk"], TaskState)
    assert state.tasks["talk"].status == "waiting"
    assert state.tasks.get("nobody") is None
    assert list(state.tasks) == ["talk", "after"]
    assert (len(state.tasks), "talk" in state.tasks) == (2, True)
    folded = replay("r", await read_all(engine.log, "r"))
    assert state == folded
    assert folded == state
    assert state != replay("r", [])
    assert state.tasks == folded.tasks
    assert (state.progress, state.has_ended, repr(state)) == (folded.progress, False, repr(folded))
    for twin in (copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state)), state.copy()):
        assert type(twin) is RunState
        assert twin == folded
        assert {type(task) for task in twin.tasks.values()} == {TaskState}
    twin = copy.deepcopy(state.tasks["talk"])
    assert (type(twin), twin) == (TaskState, folded.tasks["talk"])
    assert replace(state.copy(), status="failed").status == "failed"
    await run.send("talk", True)
    ended = await run.ended()
    assert state.status == ended.status == "completed"
    with pytest.raises(AttributeError, match=r"read-only, so 'status' cannot be set; run\.state\.copy\(\)"):
        ended.status = "failed"


async def test_reading_a_state_looks_at_no_other_task(engine: Engine) -> None:
    """No copy of the map: reading one task of a large run makes one view, however many tasks there are."""
    many = Workflow("many")
    for number in range(300):
        many.task(_nothing, name=f"t{number}")
    run = await engine.start(many)
    await result(run)
    tasks = run.feed.state.tasks

    class Counted(dict[str, TaskState]):
        looked = 0

        def __getitem__(self, id: str) -> TaskState:
            Counted.looked += 1
            return super().__getitem__(id)

        def __iter__(self) -> Any:
            raise AssertionError("all tasks were looked at")

    run.feed.state.tasks = Counted(tasks)
    assert run.state.tasks["t7"].status == "completed"
    assert (run.status, run.state.completed, run.state.progress) == ("completed", 300, 1.0)
    assert Counted.looked == 1
    run.feed.state.tasks = tasks


async def _nothing() -> None:
    pass


async def test_each_subscription_of_to_state_has_its_own(engine: Engine) -> None:
    """A subscriber that changes the state it is given changes it for itself alone."""
    run = await waiting_run(engine)
    seen: list[str] = []

    def spoil_state(state: RunState) -> None:
        state.status = "spoilt"
        state.tasks.clear()

    run.events.pipe(to_state()).subscribe(spoil_state)
    run.events.pipe(to_state()).subscribe(lambda state: seen.append(state.status))
    await run.send("talk", True)
    await result(run)
    await asyncio.sleep(0)
    assert set(seen) == {"running", "completed"}


# --- what bodies are given ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_a_body_cannot_change_what_the_context_of_another_shows(place: str, engine: Engine) -> None:
    """``ctx.meta``, ``ctx.input`` and ``ctx.upstreams`` are made for each attempt, nested values and errors too."""
    contexts = Workflow("contexts")
    seen: list[Any] = []

    @contexts.task
    async def fails() -> None:
        raise ValueError("really")

    def look(ctx: Context) -> None:
        seen.append(copy.deepcopy((dict(ctx.meta), ctx.upstreams["fails"].error)))
        ctx.meta["who"]["name"] = "Bob"
        ctx.meta["more"] = 1  # type: ignore[index]  # a Mapping, but a body may try
        error = ctx.upstreams["fails"].error
        assert error is not None
        error["message"] = "changed"

    async def on_loop(ctx: Context) -> None:
        look(ctx)

    for name in ("one", "two"):
        contexts.task(on_loop if place == "loop" else look, name=name, after=["fails"], on_upstream_failure="run")
    run = await engine.start(contexts, meta={"who": {"name": "Ann"}})
    await result(run)
    assert seen == 2 * [({"who": {"name": "Ann"}}, {"type": "ValueError", "message": "really"})]
    assert run.state.tasks["fails"].error == {"type": "ValueError", "message": "really"}
