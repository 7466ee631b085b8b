"""S1, S2: events delivered per second to 1,000 clients of one run, one event a loop turn and in bursts of 100.

Each round measures all servers one after the other, each in a fresh process with a fresh load program. To nchan the
load program publishes the events itself, over one connection; it sends a burst when the last one is answered.
"""

from __future__ import annotations

from typing import Any

from benchmarks import nchan
from benchmarks.figure import Figure, spread
from benchmarks.served import measured, plan_of, server

CLIENTS = 1_000
EVENTS = 300
BURST_EVENTS = 3_000
SLOWER = {"nchan": 3, "send": 10}
"""A third and a tenth of the events in bursts, so that all take seconds."""
QUICK_CLIENTS = 200


def s1(quick: bool) -> Figure:
    """S1: one event a loop turn."""
    rounds = rates(quick, EVENTS, burst=1)
    return _figure("S1", "one event a loop turn", rounds, factor=1.0)


def s2(quick: bool) -> Figure:
    """S2: bursts of 100."""
    rounds = rates(quick, BURST_EVENTS, burst=100)
    return _figure("S2", "bursts of 100", rounds, factor=5.0)


def kinds() -> list[str]:
    """The servers that can be measured on this machine."""
    return ["reactor", "send", "made", *(["nchan"] if nchan.is_installed() else [])]


def rates(quick: bool, events: int, burst: int) -> dict[str, list[dict[str, Any]]]:
    """By server: the results of each round."""
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds()}
    for _ in range(1 if quick else 3):
        for kind, of_kind in results.items():
            fewer = events // SLOWER.get(kind, 1) if burst > 1 else events
            of_kind.append(rate(kind, QUICK_CLIENTS if quick else CLIENTS, fewer, burst))
    return results


def rate(kind: str, clients: int, events: int, burst: int) -> dict[str, Any]:
    """Measures one server once."""
    with server(kind) as served:
        plan = {**plan_of(kind, served.port, events, burst), "clients": clients}
        result = measured(served, plan)
    return {**result, "per_second": result["delivered"] / result["seconds"]}


def _figure(id: str, what: str, results: dict[str, list[dict[str, Any]]], *, factor: float) -> Figure:
    per_second = {kind: [result["per_second"] for result in rounds] for kind, rounds in results.items()}
    medians = {kind: spread(rates)["value"] for kind, rates in per_second.items()}
    against = "nchan" if "nchan" in medians else "send"
    ratio = medians["reactor"] / medians[against]
    clients = round(results["reactor"][0]["ended"])
    busy = results["reactor"][0]
    share = busy["system"] / max(busy["user"] + busy["system"], 1e-9)
    return Figure(
        id=id,
        what=f"{clients:,} clients, {what}",
        unit="events/s",
        **spread(per_second["reactor"]),
        target=f"≥ {factor:g} × nchan",
        met=ratio >= factor if against == "nchan" else None,
        ratio=ratio,
        against=against,
        note=f"send() per client {medians['send']:,.0f}/s; ceiling of load program and kernel {medians['made']:,.0f}/s"
        f"; {share:.0%} of the server's time in the kernel",
        bars=medians,
        details={"rounds": results},
    )
