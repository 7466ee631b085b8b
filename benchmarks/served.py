"""One measurement of a stream: a server of any kind, and its load program."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import orjson

from benchmarks.child import Child, Cpu, ask
from benchmarks.messages import RUN_ID
from benchmarks.nchan import Served, nchan

STREAM = f"/api/v1/runs/{RUN_ID}/events"
GO = {"path": f"/api/v1/runs/{RUN_ID}/input", "body": '{"task":"speak","value":true}'}


@contextmanager
def server(kind: str, *arguments: str, env: dict[str, str] | None = None) -> Generator[Served]:
    """Runs a server for the length of the ``with`` block. ``kind``: one of ``server``'s, or ``nchan``."""
    if kind == "nchan":
        with nchan() as served:
            yield served
        return
    with Child.module("server", kind, *arguments, env=env) as process:
        yield Served(process, process.answer())


def plan_of(kind: str, port: int, events: int, burst: int, pause: float = 0.0) -> dict[str, Any]:
    """The plan that makes the load program have ``events`` sent in bursts. For reactor it starts the run."""
    if kind == "reactor":
        start(port, "speaking", {"events": events, "burst": burst, "pause": pause})
        return {"port": port, "path": STREAM, "publish": GO}
    if kind == "nchan":
        return {"port": port, "path": "/events", "publish": {"path": "/publish", "events": events, "burst": burst}}
    body = orjson.dumps({"events": events, "burst": burst, "pause": pause}).decode()
    return {"port": port, "path": "/events", "publish": {"path": "/go", "body": body}}


def start(port: int, workflow: str, input: dict[str, Any], run_id: str = RUN_ID) -> None:
    """Starts a run of ours over HTTP."""
    ask(port, "PUT", f"/api/v1/runs/{run_id}", {"workflow": workflow, "input": input})


def measured(
    served: Served,
    plan: dict[str, Any],
    *,
    program: str = "load",
    connected: Callable[[], None] | None = None,
    watch: Callable[[float], None] | None = None,
    seconds: float = 150.0,
) -> dict[str, Any]:
    """The load program's result, with the server's processor time.

    ``connected()`` is called when all clients have an answer, ``watch(seconds)`` then about every second.
    """
    with Child.module(program) as load:
        load.tell(plan)
        first = load.answer()
        if connected is not None:
            connected()
        before = served.process.cpu
        load.tell("go")
        passed = 0.0
        while not load.has_answer(1.0):
            passed += 1.0
            if watch is not None:
                watch(passed)
            if passed > seconds:
                raise TimeoutError(f"the load program has not ended within {seconds:g} seconds")
        used: Cpu = served.process.cpu.since(before)
        result = load.answer()
    if result["lost"] or result["repeated"] or result["ended"] < first["connected"] - plan.get("stalled", 0):
        raise AssertionError(f"not every client has seen every event once: {result}")
    return {**result, "connect_seconds": first["seconds"], "user": used.user, "system": used.system}
