"""S7: 1,000 clients drop their connections and come back with a cursor in the same moment, while events go on.

The run emits 100 events a second; after 3 s every client closes, connects again at once and sends ``Last-Event-ID``.
At the end each must have seen every seq once. The figure is the seconds until the last client had an answer; its
baseline is the first connect of the same clients, 64 at a time.
"""

from __future__ import annotations

from typing import Any

from benchmarks.figure import Figure, spread
from benchmarks.served import measured, plan_of, server

CLIENTS = 1_000
EVENTS = 1_000
PER_SECOND = 100
DROP_AFTER = 3.0


def s7(quick: bool) -> Figure:
    """Raises AssertionError (in ``measured``) if any event was lost or came twice: there is no tolerance for that."""
    clients, events, after = (200, 200, 1.0) if quick else (CLIENTS, EVENTS, DROP_AFTER)
    rounds = [one(clients, events, after) for _ in range(1 if quick else 2)]
    seconds = [result["resumed_seconds"] for result in rounds]
    first = spread([result["connect_seconds"] for result in rounds])["value"]
    return Figure(
        id="S7",
        what=f"{clients:,} clients reconnect at once, until all are answered",
        unit="s",
        **spread(seconds),
        target="all resumed, none lost, none twice",
        met=all(result["lost"] == result["repeated"] == result["closed_early"] == 0 for result in rounds),
        ratio=spread(seconds)["value"] / first,
        against="first connect",
        note=f"{sum(result['delivered'] for result in rounds):,} events delivered, 0 lost, 0 twice; first connect "
        f"{first:.2f} s",
        bars={"first connect": first, "reconnect": spread(seconds)["value"]},
        details={"rounds": rounds},
    )


def one(clients: int, events: int, after: float) -> dict[str, Any]:
    """Measures one server with one load program."""
    with server("reactor") as served:
        plan = plan_of("reactor", served.port, events, burst=1, pause=1 / PER_SECOND)
        return measured(served, {**plan, "clients": clients, "drop_after": after})
