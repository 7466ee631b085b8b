"""D2: what following one run costs in each dialect: 200 clients of one dialect, one event a loop turn.

The run is that of D1, and says something of every kind. Each round takes one dialect after the other, each with a run
and a load program of its own, in one server. Every client asks for the whole run. All of them must be sent the same
bytes, and ``step`` must be called once an event, however many clients there are; anything else is an error.

The processor's time is all that the server uses, divided by the events and by the clients. Fewer frames than events
mean fewer writes, so a dialect that leaves much out is cheaper than the native one. A ratio is the median of those of
the rounds, because the machine may be slower in one round than in the next.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.child import ask
from benchmarks.figure import Figure, shown, spread
from benchmarks.nchan import Served
from benchmarks.served import measured, server, start
from benchmarks.steps import steps_of
from reactor_web import dialects

CLIENTS = 200
TASKS = 40
QUICK_CLIENTS, QUICK_TASKS = 50, 10
ROUNDS = 3
NATIVE = "native"
HEARTBEAT = 3_600
"""Seconds. A heartbeat goes to those who follow at that moment, so their bytes would differ."""


def d2(quick: bool) -> Figure:
    """Microseconds of the server a client and event, in the dearest dialect but native; the others stand beside it."""
    clients, tasks, rounds = (QUICK_CLIENTS, QUICK_TASKS, 1) if quick else (CLIENTS, TASKS, ROUNDS)
    names = dialects.known()
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with server("counted") as served:
        for index in range(rounds):
            for name in names:
                results[name].append(followed(served, name, f"{name}-{index}", clients, tasks))
    return _figure(results, clients)


def followed(served: Served, name: str, run_id: str, clients: int, tasks: int) -> dict[str, Any]:
    """Measures one dialect once. Raises AssertionError if its clients do not share what is made for them."""
    run = f"/api/v1/runs/{run_id}"
    start(served.port, "telling", {"tasks": tasks}, run_id)
    before: list[int] = []

    def note() -> None:
        before.extend([steps_of(served.port, name), ask(served.port, "GET", run)["seq"]])

    plan = {
        "port": served.port,
        "path": f"{run}/events?dialect={name}&after=0&heartbeat={HEARTBEAT}",
        "publish": {"path": f"{run}/input", "body": '{"task":"speak","value":true}'},
        "clients": clients,
    }
    result = measured(served, plan, program="alike", connected=note)
    seq = ask(served.port, "GET", run)["seq"]
    steps, events = steps_of(served.port, name) - before[0], seq - before[1]
    if result["bodies"] != 1:
        raise AssertionError(f"the clients of {name} were sent {result['bodies']} different streams")
    if steps != events:
        raise AssertionError(f"{name} made the frames of {events} events in {steps} steps, for {clients} clients")
    return {
        **result,
        "events": events,
        "per_second": events * clients / result["seconds"],
        "cost": (result["user"] + result["system"]) / events / clients * 1e6,
        "frames_per_event": result["frames"] / seq,
    }


def _figure(results: dict[str, list[dict[str, Any]]], clients: int) -> Figure:
    costs = {name: [result["cost"] for result in rounds] for name, rounds in results.items()}
    rates = {name: median([result["per_second"] for result in rounds]) for name, rounds in results.items()}
    medians = {name: median(of_name) for name, of_name in costs.items()}
    ratios = {name: median([a / b for a, b in zip(costs[name], costs[NATIVE], strict=True)]) for name in costs}
    dearest = max(medians.keys() - {NATIVE}, key=medians.__getitem__)
    return Figure(
        id="D2",
        what=f"{clients} clients of one run in the dearest dialect, {dearest}",
        unit="us/client/event",
        **spread(costs[dearest]),
        target="none",
        met=None,
        ratio=ratios[dearest],
        against=NATIVE,
        note="; ".join(
            f"{name} {shown(cost)} us, {ratios[name]:.2f} × native, {rates[name]:,.0f} events/s"
            f" ({results[name][0]['frames_per_event']:.2f} frames)"
            for name, cost in medians.items()
        ),
        bars=medians,
        details={"rounds": results},
    )
