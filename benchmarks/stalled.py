"""S5: one client in ten does not read. The server's memory must stay flat, the others' p99 within 1.2 x.

1,000 clients get ten events every tenth of a second for 60 s; then the 900 that read get the same alone. A stalled
client has the segment size of Ethernet and a small receive buffer: over loopback the kernel would buffer 4.3 MB for it
(measured), and the server would not notice it. So it fills 94 KB in the kernel, then the transport's buffer, and is
dropped after ``SEND_TIMEOUT``. Memory is read every second; the growth is that of the second half. The open files of
the server show how many connections it has dropped.
"""

from __future__ import annotations

from typing import Any

from benchmarks.figure import Figure, shown
from benchmarks.served import measured, plan_of, server

CLIENTS = 1_000
SECONDS = 60
PER_SECOND = 100
BURST = 10
RATIO = 1.2
FLAT_MB = 2.0
"""Growth with stalled clients less the growth without: 20 KB for each stalled client."""


def s5(quick: bool) -> Figure:
    """The p99 of the clients that read, over the p99 in a run without stalled ones."""
    clients, seconds = (100, 8) if quick else (CLIENTS, SECONDS)
    without = one(clients - clients // 10, 0, seconds)  # as many clients that read
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
        f"{shown(usual)} ms; {with_stalled['let_go']} let go",
        bars={"none stalled": usual, "10 % stalled": p99},
        details={"with": with_stalled, "without": without},
    )


def one(clients: int, stalled: int, seconds: int) -> dict[str, Any]:
    """One run; ``memory`` is the server's MB second by second."""
    memory: list[float] = []
    files: list[int] = []
    with server("reactor") as served:

        def watch(_: float) -> None:
            memory.append(served.process.rss / 2**20)
            files.append(served.process.open_files)

        events = seconds * PER_SECOND
        plan = plan_of("reactor", served.port, events, BURST, pause=BURST / PER_SECOND)
        plan |= {"clients": clients, "stalled": stalled, "latency": "step.made"}
        result = measured(served, plan, watch=watch)
    half, late = len(memory) // 2, len(files) * 4 // 5  # before the run ends and all connections close
    grown = {"grown_mb": memory[-1] - memory[half], "peak_mb": max(memory), "let_go": files[0] - files[late]}
    return {**result, **grown, "memory": memory}
