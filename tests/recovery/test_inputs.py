"""A body gets on recovery and retry what it got at first; inputs are the same only if nothing tells them apart."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr

from reactor import Engine, InputError, RunExists, Workflow
from reactor.errors import WorkflowChanged
from reactor.events.event import Draft, Event
from reactor.logs.memory import MemoryLog
from reactor.testing import read_all
from tests.events.test_restoring import LEAVES, looks_the_same
from tests.helpers.crash import RUN_ID, crashed_log, record
from tests.helpers.ids import repr_without_address
from tests.helpers.server import Serve
from tests.recovery.test_semantics import up_to

Percent = Annotated[float, AfterValidator(lambda v: v / 100)]


class Login(BaseModel):
    name: str = "me"
    password: SecretStr = SecretStr("")
    pin: str = Field("", exclude=True)


def taking(annotation: Any, received: list[Any]) -> Workflow:
    """``first`` and ``second`` take the input ``given`` of this type; ``second`` after ``first``."""
    flow = Workflow("taking")

    async def first(given):  # type: ignore[no-untyped-def]
        received.append(given)
        return 1

    async def second(given, first):  # type: ignore[no-untyped-def]
        received.append(given)
        return 1

    first.__annotations__["given"] = second.__annotations__["given"] = annotation
    flow.task(first)
    flow.task(second)
    return flow


async def after_restart(events: list[Event], flow: Workflow) -> str | None:
    """Goes on with a run; returns why not, if so."""
    log = MemoryLog()
    await log.append(RUN_ID, events)
    async with Engine(log, workflows=[flow]) as engine:
        if RUN_ID not in engine.not_recovered:
            await (await engine.get(RUN_ID)).ended()
        return engine.not_recovered.get(RUN_ID)


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        (Percent, 50),
        (Annotated[str, BeforeValidator(lambda v: v + "!")], "a"),
        (Annotated[list[int], AfterValidator(lambda v: [*v, 1])], [1]),
        (Annotated[Any, AfterValidator(lambda v: [v])], 1),
        (datetime, datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin"))),
        (Login, {"name": "you"}),
        (Login, {}),
        (tuple[int, ...], [1, 2]),
        (set[float], [1, 2]),
    ],
    ids=repr_without_address,
)
async def test_a_body_is_given_the_same_input_after_a_restart_and_in_a_retry(annotation: Any, given: Any) -> None:
    """No validator sees its own result: 50 % is 0.5, also the second time."""
    received: list[Any] = []
    flow = taking(annotation, received)
    prefix = up_to(await record(flow, {"given": given}), "task.completed", "first")
    at_first = received[0]
    received.clear()
    assert await after_restart(prefix, flow) is None
    log = MemoryLog()
    await log.append(RUN_ID, prefix)
    async with Engine(log) as engine:
        await engine.cancel(RUN_ID)
        engine.register(flow)
        await (await engine.retry(RUN_ID)).ended()
    assert len(received) == 2
    assert all(looks_the_same(value, at_first) for value in received)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(LEAVES).flatmap(lambda leaf: st.tuples(st.just(leaf[0]), leaf[1])))
def test_every_type_of_value_comes_back_or_its_run_says_that_it_does_not(given: tuple[Any, Any]) -> None:
    """Over the value types: the body that runs after a restart is given the same, or the run names the input."""
    annotation, value = given
    received: list[Any] = []
    flow = taking(annotation, received)

    async def main() -> None:
        try:
            flow.validate().validate_input({"given": value})
        except InputError:
            return  # the value does not fit the type
        prefix = up_to(await record(flow, {"given": value}), "task.completed", "first")
        why = await after_restart(prefix, flow)
        if why is None:
            assert looks_the_same(received[-1], received[0])
        else:
            assert "its input 'given' is a value that no log can give back" in why

    asyncio.run(main())


@pytest.mark.parametrize(
    ("annotation", "logged", "is_restored"), [(Percent, 0.5, False), (datetime, "2026-01-01", True)]
)
async def test_an_old_log_whose_input_would_change_is_left_as_it_is(
    annotation: Any, logged: Any, is_restored: bool
) -> None:
    """It does not say which inputs are typed: only one that stays the same when it is validated again is restored."""
    received: list[Any] = []
    flow = taking(annotation, received)
    events = await record(flow, {"given": "2026-01-01" if annotation is datetime else 50})
    started = events[0].decode()["data"]
    del started["typed_inputs"]
    old = Event.from_draft(1, RUN_ID, b"2026-01-01T00:00:00.000000Z", Draft("run.started", orjson.dumps(started)))
    why = await after_restart([old], flow)
    assert why is None if is_restored else "becomes another value when it is validated a second time" in (why or "")


LIMIT = [100]
"""A setting that a release changes."""


def limited(value: Any) -> Any:
    if LIMIT[0] == 0:
        raise RuntimeError("no setting")
    return min(value, type(value)(LIMIT[0]))


class Order(BaseModel):
    amount: Annotated[int, AfterValidator(limited)]
    tags: set[str] = set()


@pytest.mark.parametrize(
    ("annotation", "given"),
    [(Annotated[Decimal, AfterValidator(limited)], "50"), (Order, {"amount": 50, "tags": ["b", "a", "c"]})],
    ids=["value", "model"],
)
@pytest.mark.parametrize("limit", [100, 10, 0], ids=["same", "changed", "raises"])
async def test_a_validator_that_has_changed_makes_no_other_input_of_a_logged_one(
    annotation: Any, given: Any, limit: int, tmp_path: Path
) -> None:
    """After a restart with another setting the run is left as it is, and its retry is refused with a reason."""
    received: list[Any] = []
    flow = taking(annotation, received)
    prefix = up_to(await record(flow, {"given": given}), "task.completed", "first")
    LIMIT[0] = limit
    try:
        why = await after_restart(prefix, flow)
        log = MemoryLog()
        await log.append(RUN_ID, prefix)
        async with Engine(log) as engine:
            await engine.cancel(RUN_ID)
            engine.register(flow)
            if limit == 100:
                await (await engine.retry(RUN_ID)).ended()
            else:
                with pytest.raises(WorkflowChanged, match="its input cannot be read back"):
                    await engine.retry(RUN_ID)
    finally:
        LIMIT[0] = 100
    assert (why is None) == (limit == 100)
    assert limit == 100 or "its input cannot be read back" in (why or "")
    assert all(looks_the_same(value, received[0]) for value in received)


class Before(BaseModel):
    amount: int
    old: str = "old"
    tags: set[str] = {"a", "b", "c"}


class After(BaseModel):
    amount: float
    tags: set[str] = set()
    new: str = "new"


async def test_a_release_may_add_a_field_with_a_default_and_drop_one() -> None:
    """What both versions of the class know is the same: the run goes on."""
    received: list[Any] = []
    prefix = up_to(await record(taking(Before, []), {"given": {"amount": 1}}), "task.completed", "first")
    assert await after_restart(prefix, taking(After, received)) is None
    assert received == [After(amount=1, tags={"a", "b", "c"})]


async def test_whatever_a_validator_raises_is_a_problem_of_the_input(serve: Serve) -> None:
    """422 that names the input, and not an error of the server."""
    flow = taking(Annotated[Any, AfterValidator(lambda v: 1 / 0)], [])
    server = await serve(Engine(), flow)
    status, problem = await server.put("/runs/r", {"workflow": "taking", "input": {"given": 1}})
    assert status == 422
    assert "'given'" in problem["detail"]
    assert "ZeroDivisionError: division by zero" in problem["detail"]


# --- the same start -------------------------------------------------------------------------------------------------


def secrets_of(received: list[Any]) -> Workflow:
    flow = Workflow("secrets")

    @flow.task
    async def enter(login: Login) -> str:
        received.append((login.password.get_secret_value(), login.pin))
        return login.name

    return flow


async def test_a_put_with_another_secret_is_another_start(serve: Serve, tmp_path: Path) -> None:
    """The log shows neither secret nor excluded field, and still tells one from another, also after a restart."""
    log = f"sqlite:///{tmp_path}/runs.db"
    flow = secrets_of([])
    same = {"workflow": "secrets", "input": {"login": {"password": "topsecret", "pin": "1234"}}}
    others = [
        {"workflow": "secrets", "input": {"login": {"password": "other", "pin": "1234"}}},
        {"workflow": "secrets", "input": {"login": {"password": "topsecret", "pin": "4321"}}},
        {"workflow": "secrets", "input": {"login": {"password": "**********", "pin": "1234"}}},
        {"workflow": "secrets", "input": {"login": {"name": "you", "password": "topsecret", "pin": "1234"}}},
    ]
    for first in (201, 200):
        server = await serve(Engine(log), flow)
        assert (await server.put("/runs/r", same))[0] == first
        assert (await server.put("/runs/r", same))[0] == 200
        for other in others:
            assert (await server.put("/runs/r", other))[0] == 409
        run = await server.engine.get("r")
        await run.ended()
        logged = b"".join([event.json for event in await read_all(server.engine.log, "r")])
        assert b"topsecret" not in logged
        assert b"1234" not in logged.replace(run.state.started.encode() if run.state.started else b"", b"")
        await server.engine.drain()


@pytest.mark.parametrize(
    ("first", "again"),
    [(1, 1.0), (1, True), ("1", 1), (None, False), (0.0, -0.0), ({"a": 1}, {"a": 1.0}), ([1], ["1"])],
    ids=repr_without_address,
)
async def test_a_repeated_start_tells_types_apart(first: Any, again: Any) -> None:
    """In input and in meta; the order of members does not count."""
    flow = taking(Any, [])
    async with Engine() as engine:
        await engine.ensure(flow, {"given": first}, run_id="r", meta={"m": first, "n": 1})
        _, is_new = await engine.ensure(flow, {"given": first}, run_id="r", meta={"n": 1, "m": first})
        assert not is_new
        for input, meta in ((again, first), (first, again)):
            with pytest.raises(RunExists, match="started differently"):
                await engine.ensure(flow, {"given": input}, run_id="r", meta={"m": meta, "n": 1})


@pytest.mark.parametrize(("first", "again"), [((1, 2), [1, 2]), ({1}, frozenset([1])), (b"a", "a"), (Decimal(1), "1")])
async def test_a_repeated_start_in_this_process_tells_python_types_apart(first: Any, again: Any) -> None:
    """Values that no JSON tells apart; the same again is the same run."""
    flow = taking(Any, [])
    async with Engine() as engine:
        await engine.ensure(flow, {"given": first}, run_id="r")
        assert not (await engine.ensure(flow, {"given": type(first)(first)}, run_id="r"))[1]
        with pytest.raises(RunExists, match="started differently"):
            await engine.ensure(flow, {"given": again}, run_id="r")


async def test_an_input_that_cannot_be_told_from_others_is_never_the_same_start() -> None:
    """An object that is equal only to itself: nobody can say what it was."""
    flow = taking(Any, [])
    given = object()
    async with Engine() as engine:
        await engine.ensure(flow, {"given": given}, run_id="r")
        with pytest.raises(RunExists, match="started differently"):
            await engine.ensure(flow, {"given": given}, run_id="r")


async def test_a_crashed_log_of_today_says_which_inputs_are_typed(tmp_path: Path) -> None:
    """Through a file, as through memory."""
    received: list[Any] = []
    flow = taking(Percent, received)
    prefix = up_to(await record(flow, {"given": 50}), "task.completed", "first")
    log = await crashed_log("sqlite", prefix, tmp_path)
    async with Engine(log, workflows=[flow]) as engine:  # type: ignore[arg-type]
        await (await engine.get(RUN_ID)).ended()
    assert received == [0.5, 0.5, 0.5]


class Ticket(BaseModel):
    number: UUID = Field(default_factory=uuid4)
    pin: SecretStr = Field(default_factory=lambda: SecretStr(str(uuid4())))


async def test_the_same_request_is_the_same_start_although_it_is_validated_into_another_value(
    serve: Serve, tmp_path: Path
) -> None:
    """A ``default_factory`` makes another value each time; a client that repeats its PUT is given its run."""
    start: dict[str, Any] = {"workflow": "taking", "input": {"given": {}}}
    other = {"workflow": "taking", "input": {"given": {"pin": "1"}}}
    for first in (201, 200):
        server = await serve(Engine(f"sqlite:///{tmp_path}/runs.db"), taking(Ticket, []))
        assert (await server.put("/runs/r", start))[0] == first
        assert (await server.put("/runs/r", start))[0] == 200
        assert (await server.put("/runs/r", other))[0] == 409
        await server.engine.drain()
