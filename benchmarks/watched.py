"""E7: what it costs a run to be watched: the same chain of no-op tasks alone and with 1, 100 and 1,000 SSE clients.

A chain has one event after the other, so nothing is written together unless the server waits for more. The server and
the load program have a process each. The time of a run is its own: from its first event to its last, by the time stamps
in the log. Three ways to come:

- ``before``: the streams are open before the run is started (``await_run``).
- ``middle``: the run waits for a value, the streams catch up with that, then it goes on: timed from the value on.
- ``during``: the clients connect while the run goes on; its length is such that it outlasts them.

``behind`` in the details: how far behind the run's last event the last client was. Such a chain is over within
milliseconds, and its megabytes have to go through the load program, too. So there is a last measurement, ``paced``:
1,000 clients before a run of 500 events, one every 20 ms, and 1,000 that come while it goes on; the memory of the
server is looked at in the middle and at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any, Final

from benchmarks.child import Child, ask
from benchmarks.figure import Figure, spread
from benchmarks.followed import collect
from benchmarks.nchan import Served
from benchmarks.served import measured, plan_of, server

SIZES: Final = {1: 2_000, 100: 1_000, 1_000: 300}
"""By the number of clients: tasks of the chain."""
TARGETS: Final = {1: 1.25, 100: 2.0, 1_000: 3.0}
LONG: Final = 20_000
"""Tasks of the chain that outlasts 1,000 clients who come during it."""
WAYS: Final = ("before", "middle")
BEHIND_MS: Final = 100.0
PACED_EVENTS: Final = 500
PACE_SECONDS: Final = 0.02


def e7(quick: bool) -> Figure:
    """The ratio with 100 clients that wait for the run; the others are in the note."""
    pairs = 2 if quick else 5
    rows: dict[str, dict[str, Any]] = {}
    for log in ("memory", "sqlite"):
        with TemporaryDirectory() as folder, server("reactor", url_of(log, folder)) as served:
            for way in WAYS:
                for clients in SIZES:
                    rows[f"{log} {way} {clients}"] = compare(served, way, clients, pairs)
            rows[f"{log} during 1000"] = compare(served, "during", 1_000, 1 if quick else 2)
    late = paced(100 if quick else 1_000)
    middle = rows["memory before 100"]
    return Figure(
        id="E7",
        what=f"a chain of {SIZES[100]:,} tasks, watched by 100 clients",
        unit="ms",
        **spread(middle["watched"]),
        target="≤ " + ", ".join(f"{target:g} × with {clients:,}" for clients, target in TARGETS.items()),
        met=all(row["ratio"] <= row["target"] for row in rows.values()) and late["behind"] <= BEHIND_MS,
        ratio=middle["ratio"],
        against="alone",
        note="; ".join(f"{name}: {row['ratio']:.2f} ×" for name, row in rows.items())
        + f"; paced: last client {late['behind']:.0f} ms behind the last event, memory {late['grown_mb']:+.1f} MB",
        bars={"alone": median(middle["alone"]), "100 clients": median(middle["watched"])},
        details={**rows, "paced": late},
    )


def url_of(log: str, folder: str) -> str:
    return "memory://" if log == "memory" else f"sqlite:///{folder}/runs.db"


def compare(served: Served, way: str, clients: int, pairs: int) -> dict[str, Any]:
    """Interleaved pairs of the same run alone and watched. The first pair, which loads modules, is not counted."""
    tasks = LONG if way == "during" else SIZES[clients]
    flow = f"chain-{tasks}" if way != "middle" else f"gated-{tasks}"
    alone: list[float] = []
    watched: list[float] = []
    behind: list[float] = []
    for index in range(pairs + 1):
        collect(served)
        alone.append(run_alone(served.port, flow, f"{way}-alone-{clients}-{index}"))
        collect(served)
        result = run_watched(served.port, flow, way, f"{way}-{clients}-{index}", clients)
        watched.append(result["ms"])
        behind.append(result["latencies"]["max"])
    alone, watched, behind = alone[1:], watched[1:], behind[1:]
    return {
        "alone": alone,
        "watched": watched,
        "ratio": median(one / other for one, other in zip(watched, alone, strict=True)),
        "target": TARGETS[clients],
        "behind": max(behind),
    }


def paced(clients: int) -> dict[str, Any]:
    """So many clients before a run with an event every 20 ms, and as many during it."""
    with server("reactor") as served:
        plan = {**plan_of("reactor", served.port, PACED_EVENTS, 1, PACE_SECONDS), "latency": "run.completed"}
        memory: list[int] = []
        result = measured(
            served, plan | {"clients": clients, "late": clients}, watch=lambda _: memory.append(served.process.rss)
        )
    return {
        "behind": result["latencies"]["max"],
        "grown_mb": (memory[-1] - memory[len(memory) // 2]) / 1e6,
        "resident_mb": memory[-1] / 1e6,
    }


def run_alone(port: int, flow: str, run_id: str) -> float:
    """Milliseconds of a run that nobody looks at before it is over."""
    ask(port, "PUT", f"/api/v1/runs/{run_id}", {"workflow": flow})
    if flow.startswith("gated"):
        until_waiting(port, run_id)
        ask(port, "POST", f"/api/v1/runs/{run_id}/input", {"task": "gate", "value": True})
    return until_over(port, run_id)


def run_watched(port: int, flow: str, way: str, run_id: str, clients: int) -> dict[str, Any]:
    """The load program's result, with the milliseconds of the run. Every client must have seen every event once."""
    plan: dict[str, Any] = {
        "port": port,
        "path": f"/api/v1/runs/{run_id}/events",
        "clients": clients,
        "latency": "run.completed",
    }
    start = {"method": "PUT", "path": f"/api/v1/runs/{run_id}", "body": f'{{"workflow":"{flow}"}}'}
    if way == "before":
        plan |= {"path": f"{plan['path']}?await_run=30", "publish": start}
    elif way == "middle":
        ask(port, "PUT", f"/api/v1/runs/{run_id}", {"workflow": flow})
        until_waiting(port, run_id)
        plan |= {"publish": {"path": f"/api/v1/runs/{run_id}/input", "body": '{"task":"gate","value":true}'}}
    else:
        plan |= {"path": f"{plan['path']}?await_run=30", "publish": start, "clients": 0, "late": clients}
    with Child.module("load") as load:
        load.tell(plan)
        load.answer()
        load.tell("go")
        result = load.answer()
    tasks = int(flow.partition("-")[2])
    events = 2 * tasks + (6 if way == "middle" else 2)
    if (result["ended"], result["last"], result["lost"], result["repeated"]) != (clients, events, 0, 0):
        raise AssertionError(f"not every client has seen all of {events} events once: {result}")
    return {**result, "ms": until_over(port, run_id)}


def until_waiting(port: int, run_id: str) -> None:
    _until(lambda: bool(ask(port, "GET", f"/api/v1/runs/{run_id}")["tasks"]["gate"].get("waiting")))


def until_over(port: int, run_id: str) -> float:
    """Milliseconds from the first event of a run, or from the value that it waited for, to its last."""
    sleep(0.3)  # a request would disturb what is measured
    _until(lambda: ask(port, "GET", f"/api/v1/runs/{run_id}")["status"] == "completed")
    state = ask(port, "GET", f"/api/v1/runs/{run_id}")
    if "gate" not in state["tasks"]:
        return state["duration_ms"]
    page = ask(port, "GET", f"/api/v1/runs/{run_id}/events?limit=20", accept="application/json")
    began = next(event["time"] for event in page["events"] if event["type"] == "task.received")
    last = ask(port, "GET", f"/api/v1/runs/{run_id}/events?tail=1", accept="application/json")["events"][-1]
    return (datetime.fromisoformat(last["time"]) - datetime.fromisoformat(began)).total_seconds() * 1e3


def _until(condition: Callable[[], bool]) -> None:
    until = monotonic() + 60.0
    while not condition():
        if monotonic() > until:
            raise TimeoutError("the run does not go on")
        sleep(0.05)
