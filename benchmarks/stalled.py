"""S5: one client in ten does not read. The server's memory must stay flat, the others' p99 within 1.2 x.

1,000 clients, 30 events a second for 60 s; the same again with no client stalled. A stalled client has the segment size
of Ethernet and a small receive buffer: over loopback the kernel would take 2.6 MB for it, and nobody would notice. So
it fills what the kernel takes after some 15 s, then the transport's buffer, and is aborted after ``SEND_TIMEOUT``.
Memory is looked at every second; growth is that of the second half.
"""

from __future__ import annotations

from typing import Any

from benchmarks.figure import Figure, shown
from benchmarks.served import measured, plan_of, server

CLIENTS = 1_000
SECONDS = 60
PER_SECOND = 30
RATIO = 1.2
FLAT_MB = 2.0
"""Growth with stalled clients less growth without: 20 KB a stalled client."""


def s5(quick: bool) -> Figure:
    """p99 of the clients that read, over that of a run without stalled ones."""
    clients, seconds = (100, 8) if quick else (CLIENTS, SECONDS)
    without = one(clients, 0, seconds)
    with_stalled = one(clients, clients // 10, seconds)
    p99, usual = with_stalled["latencies"]["p99"], without["latencies"]["p99"]
    grown = with_stalled["grown_mb"] - without["grown_mb"]
    return Figure(
        id="S5",
        what=f"p99 with {clients // 10} of {clients:,} clients stalled, {seconds} s",
        value=p99,
        unit="ms",
        low=p99,
        high=p99,
        rounds=1,
        target=f"memory flat, p99 ≤ {RATIO:g} ×",
        met=p99 / usual <= RATIO and grown <= FLAT_MB,
        ratio=p99 / usual,
        against="none stalled",
        note=f"memory in the second half {with_stalled['grown_mb']:+.1f} MB, without stalled clients "
        f"{without['grown_mb']:+.1f} MB; peak {with_stalled['peak_mb'] - without['peak_mb']:+.1f} MB; p99 without "
        f"{shown(usual)} ms; {with_stalled['closed_early']} aborted",
        bars={"none stalled": usual, "10 % stalled": p99},
        details={"with": with_stalled, "without": without},
    )


def one(clients: int, stalled: int, seconds: int) -> dict[str, Any]:
    """One run; ``memory`` is the server's MB second by second."""
    memory: list[float] = []
    with server("reactor") as served:
        events = seconds * PER_SECOND
        plan = plan_of("reactor", served.port, events, burst=1, pause=1 / PER_SECOND)
        plan |= {"clients": clients, "stalled": stalled, "latency": "step.made"}
        memory.append(served.process.rss / 2**20)
        result = measured(served, plan, watch=lambda _: memory.append(served.process.rss / 2**20))
    half = len(memory) // 2
    return {**result, "grown_mb": memory[-1] - memory[half], "peak_mb": max(memory), "memory": memory}
