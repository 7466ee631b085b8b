"""``Reactor`` of the JavaScript client, verb by verb, against the real server."""

from __future__ import annotations

from typing import Any

from reactor import Context, Engine, Workflow
from reactor.testing import read_all
from tests.helpers.server import Serve
from tests.helpers.stream_clients import script

CHANGES = {
    "PUT": {"/runs/r1", "/runs/s1", "/schedules/yearly"},
    "POST": {"/runs/r1/pause", "/runs/r1/resume", "/runs/r1/input", "/runs/s1/events", "/runs/s1/close", "/runs",
             "/schedules/yearly/pause", "/schedules/yearly/resume", "/schedules/yearly/trigger"},
    "DELETE": {"/runs/r1", "/schedules/yearly"},
}  # fmt: skip
"""What must have been asked for, at least."""


def workflows() -> list[Workflow]:
    asking, flaky = Workflow("asking"), Workflow("flaky")

    @asking.task
    async def ask(who: str, ctx: Context) -> list[Any]:
        return [who, await ctx.receive("are you sure?", schema=bool, key="sure")]

    fails = iter([True])

    @flaky.task
    async def first() -> int:
        return 1

    @flaky.task
    async def fail(first: int) -> int:
        if next(fails, False):
            raise RuntimeError("the first time")
        return first

    return [asking, flaky]


async def test_every_verb(serve: Serve) -> None:
    """Each does what it says; each change has a key of its own; what is refused is a ReactorError with its status."""
    server = await serve(Engine("memory://", grace=0.0), *workflows())
    async with script("api.mjs", server.url) as laws:
        *shown, (_, asked) = await laws.rest()
    assert [(law, holds) for law, holds in shown if holds is not True] == []
    assert len(shown) == 11
    for method, paths in CHANGES.items():
        assert paths <= {path for used, path, _ in asked if used == method}
    assert {key for method, _, key in asked if method == "GET"} == {None}
    keys = [key for method, _, key in asked if method != "GET"]
    assert all(len(key) == 24 for key in keys)
    assert len(keys) == len(set(keys))
    _, made, done = await read_all(server.engine.log, "s1")
    assert (made.type, made.data) == ("step.made", {"count": 2**60})
    assert (done.type, done.data["outputs"]) == ("run.completed", {"sum": 3})
