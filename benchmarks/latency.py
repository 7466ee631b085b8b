"""S3: from a task's completion to the client that receives it: 100 clients, 100 events a second.

The children of a mapped task complete one after the other, every 10 ms. The latency is the time of receipt less the
time stamp in ``task.completed``, so it includes the commit, the fan-out, the kernel and the load program.
"""

from __future__ import annotations

from typing import Any

import orjson

from benchmarks.figure import Figure, shown
from benchmarks.served import GO, STREAM, measured, server, start

CLIENTS = 100
PER_SECOND = 100
P50_MS, P99_MS = 2.0, 10.0


def s3(quick: bool) -> Figure:
    """The percentiles of all deliveries. The baseline sends as many events, by a queue and ``send()`` per client."""
    count = PER_SECOND * (3 if quick else 10)
    ours = [percentiles(ticking, count) for _ in range(1 if quick else 3)]
    theirs = percentiles(sent, count)
    p99s = sorted(result["p99"] for result in ours)
    p50s = sorted(result["p50"] for result in ours)
    p50, p99 = p50s[len(ours) // 2], p99s[len(ours) // 2]
    return Figure(
        id="S3",
        what=f"task completed → client, {CLIENTS} clients, {PER_SECOND} events/s, p99",
        value=p99,
        unit="ms",
        low=p99s[0],
        high=p99s[-1],
        rounds=len(ours),
        target=f"p50 < {P50_MS:g} ms, p99 < {P99_MS:g} ms",
        met=p50 < P50_MS and p99 < P99_MS,
        ratio=p99 / theirs["p99"],
        against="send()",
        note=f"p50 {shown(p50)} ms; send() per client p50 {shown(theirs['p50'])}, p99 {shown(theirs['p99'])} ms",
        bars={"reactor p50": p50, "reactor p99": p99, "send p50": theirs["p50"], "send p99": theirs["p99"]},
        details={"reactor": ours, "send": theirs},
    )


def percentiles(served_by: Any, count: int) -> dict[str, float]:
    """p50, p99 and max in milliseconds."""
    with server("reactor" if served_by is ticking else "send") as served:
        plan = {**served_by(served.port, count), "clients": CLIENTS, "latency": "task.completed"}
        return measured(served, plan)["latencies"]


def ticking(port: int, count: int) -> dict[str, Any]:
    """The plan of the load program for reactor."""
    start(port, "ticking", {"count": count, "period": 1 / PER_SECOND})
    return {"port": port, "path": STREAM, "publish": GO}


def sent(port: int, count: int) -> dict[str, Any]:
    """The plan of the load program for the baseline, whose events have the same type."""
    body = {"events": count, "burst": 1, "pause": 1 / PER_SECOND, "type": "task.completed"}
    return {"port": port, "path": "/events", "publish": {"path": "/go", "body": orjson.dumps(body).decode()}}
