"""E6: what one SSE client costs the run it follows: the same run with and without, in a server of its own.

Layers of 5,000 no-op tasks on a memory log. The wall time is the run's own (``duration_ms`` of its terminal event). The
client is the load program; it opens the stream before the run is started (``await_run``) and sees every event.
"""

from __future__ import annotations

import os
import signal
from statistics import median
from time import monotonic, sleep

from benchmarks.child import Child, ask
from benchmarks.figure import Figure, spread
from benchmarks.nchan import Served
from benchmarks.served import server, start
from benchmarks.workloads import GRAPH_TASKS

TARGET = 1.10


def e6(quick: bool) -> Figure:
    """The median of the ratios of interleaved pairs. The first pair, which loads modules, is not counted."""
    pairs = 3 if quick else 11
    alone: list[float] = []
    followed: list[float] = []
    with server("reactor") as served:
        for index in range(pairs + 1):
            collect(served)
            alone.append(run(served.port, f"alone-{index}"))
            collect(served)
            followed.append(run_followed(served.port, f"followed-{index}"))
    alone, followed = alone[1:], followed[1:]
    ratio = median(one / other for one, other in zip(followed, alone, strict=True))
    return Figure(
        id="E6",
        what=f"a run of {GRAPH_TASKS:,} tasks followed by one SSE client",
        unit="ms",
        **spread(followed),
        target=f"≤ {TARGET:g} × nobody following",
        met=ratio <= TARGET,
        ratio=ratio,
        against="nobody",
        note=f"alone {spread(alone)['value']:.0f} ms ({min(alone):.0f}-{max(alone):.0f}); "
        f"{(spread(followed)['value'] - spread(alone)['value']) / GRAPH_TASKS * 1e3:.1f} us more a task",
        bars={"nobody": spread(alone)["value"], "one client": spread(followed)["value"]},
        details={"alone": alone, "followed": followed},
    )


def collect(served: Served) -> None:
    """Makes the server collect garbage, as E1 does: a full collection takes a third of the time of such a run."""
    os.kill(served.process.pid, signal.SIGUSR1)
    ask(served.port, "GET", "/api/v1/healthz")  # answered when that is done


def run(port: int, run_id: str) -> float:
    """The milliseconds of one run, which is not looked at before it is over."""
    start(port, "graph", {}, run_id)
    until = monotonic() + 60.0
    while monotonic() < until:
        sleep(0.6)  # a request would disturb what is measured
        state = ask(port, "GET", f"/api/v1/runs/{run_id}")
        if state["status"] == "completed":
            return state["duration_ms"]
    raise TimeoutError(f"run {run_id} has not completed")


def run_followed(port: int, run_id: str) -> float:
    """The milliseconds of one run with a client, which must have seen every event."""
    with Child.module("load") as load:
        path = f"/api/v1/runs/{run_id}/events?await_run=30"
        body = '{"workflow":"graph"}'
        load.tell({"port": port, "path": path, "clients": 1, "publish": _put(run_id, body)})
        load.answer()
        load.tell("go")
        result = load.answer()
    if (result["delivered"], result["lost"], result["repeated"]) != (2 * GRAPH_TASKS + 2, 0, 0):
        raise AssertionError(f"the client has not seen every event once: {result}")
    return ask(port, "GET", f"/api/v1/runs/{run_id}")["duration_ms"]


def _put(run_id: str, body: str) -> dict[str, str]:
    return {"method": "PUT", "path": f"/api/v1/runs/{run_id}", "body": body}
