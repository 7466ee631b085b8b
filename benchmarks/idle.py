"""S4: resident memory per idle stream: the slope between the first 100 clients and 5,000, all following an open run.

The kernel's memory for the sockets, about 4 KB each with empty buffers, is not counted. The server is not made to
collect garbage or to give memory back: what counts is what it holds after 5,000 requests.
"""

from __future__ import annotations

from time import sleep

from benchmarks import nchan
from benchmarks.child import Child
from benchmarks.figure import Figure, spread
from benchmarks.served import plan_of, server

FIRST = 100
CLIENTS = 5_000
TARGET_KB = 10.0
SETTLES_SECONDS = 2.0


def s4(quick: bool) -> Figure:
    """KB per stream; two rounds for reactor and nchan, one for ``send``."""
    clients = 1_000 if quick else CLIENTS
    kinds = ["reactor", "send", *(["nchan"] if nchan.is_installed() else [])]
    rounds = {
        kind: [kb_per_stream(kind, clients) for _ in range(1 if quick or kind == "send" else 2)] for kind in kinds
    }
    medians = {kind: spread(values)["value"] for kind, values in rounds.items()}
    against = "nchan" if "nchan" in medians else "send"
    return Figure(
        id="S4",
        what=f"resident memory per idle stream, {clients:,} clients",
        unit="KB",
        **spread(rounds["reactor"]),
        target=f"≤ {TARGET_KB:g} KB",
        met=medians["reactor"] <= TARGET_KB,
        ratio=medians["reactor"] / medians[against],
        against=against,
        note=", ".join(f"{kind} {value:.1f} KB" for kind, value in medians.items() if kind != "reactor"),
        bars=medians,
    )


def kb_per_stream(kind: str, clients: int) -> float:
    """KB per stream of one server, with one load program."""
    with server(kind) as served, Child.module("load") as load:
        plan = plan_of(kind, served.port, events=1, burst=1)
        plan.pop("publish")
        load.tell({**plan, "clients": [FIRST, clients]})
        load.answer()
        sleep(SETTLES_SECONDS)
        before = served.process.rss
        load.tell("more")
        load.answer()
        sleep(SETTLES_SECONDS)
        return (served.process.rss - before) / (clients - FIRST) / 1024
