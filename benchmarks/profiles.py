"""Where the time goes: ``python -m benchmarks.profiles [E1] [E5] [S1] [S2] [S6]``.

cProfile's own time per function, by owner: reactivex, our two packages, JSON, asyncio, aiohttp, the kernel (``send``,
``recv`` and ``epoll``, as seen from Python). Time in a builtin counts for whoever called it. The profiler adds about
half a microsecond a call, so it makes code of many small functions look worse than it is; the share of the kernel is
therefore also taken from the operating system, in a run that is not profiled.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.engine import log_of, ours, workflow_of
from benchmarks.fanout import BURST_EVENTS, CLIENTS, EVENTS, rate
from benchmarks.replay import fill, replay_once
from benchmarks.runs import LENGTH, concurrent
from benchmarks.runs import RUNS as RUNS_AT_ONCE
from benchmarks.served import measured, plan_of, server
from benchmarks.shapes import SHAPES

RUNS = 5
TOP = 14
_KERNEL = ("'send' of '_socket.socket'", "'recv' of '_socket.socket'", "'poll' of 'select.epoll'", "'sendmsg'")
_OWNERS = (
    ("/reactivex/", "reactivex"),
    ("/orjson/", "JSON (orjson)"),
    ("/aiohttp_sse/", "aiohttp"),
    ("/aiohttp/", "aiohttp"),
    ("/asyncio/", "asyncio"),
    ("/reactor/", "ours"),
    ("/reactor_web/", "ours"),
    ("/benchmarks/", "the task itself"),
)
Function = tuple[str, int, str]


def owner(function: Function) -> str | None:
    """The owner of a function's time; None for a builtin, whose time counts for its callers."""
    file, _, name = function
    if file != "~":
        return next((who for part, who in _OWNERS if part in file), "other Python")
    if any(kernel in name for kernel in _KERNEL):
        return "kernel (send, recv, epoll)"
    return "JSON (orjson)" if "orjson" in name else None


def by_owner(stats: dict[Function, Any]) -> Counter[str]:
    """Seconds by owner."""
    seconds: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in stats.items():
        who = owner(function)
        if who is not None:
            seconds[who] += own
            continue
        for caller, (_, _, part, _) in callers.items():
            seconds[owner(caller) or "other Python"] += part
    return seconds


def show(title: str, stats: dict[Function, Any]) -> None:
    """Prints the shares, then the functions with the most time of their own."""
    seconds = by_owner(stats)
    total = sum(seconds.values())
    print(f"\n{title}")
    for who, own in seconds.most_common():
        print(f"  {own / total:6.1%}  {who}")
    for (file, line, name), (_, calls, own, _, _) in sorted(stats.items(), key=lambda item: -item[1][2])[:TOP]:
        where = "/".join(Path(file).parts[-2:])
        print(f"  {own / total:6.1%}  {calls:9,} calls  {where}:{line} {name}")


def stats_of(profile: cProfile.Profile | str) -> dict[Function, Any]:
    """The statistics without the time of waiting: an idle server is in ``epoll`` most of the time."""
    return {**pstats.Stats(profile).stats}  # type: ignore[attr-defined]


def e1() -> None:
    """Five runs of each shape on a memory log."""
    profile = cProfile.Profile()
    flows = [workflow_of(shape(2_000)) for shape in SHAPES.values()]
    for flow in flows * RUNS:
        with log_of("memory") as log:
            profile.runcall(asyncio.run, ours(flow, 2_000, log))
    show("E1: memory log, wide, chain and layers of 2,000 (with the check that reads the log back)", stats_of(profile))


def e5() -> None:
    """1,000 runs of ten tasks at once."""
    profile = cProfile.Profile()
    flow = workflow_of(SHAPES["chain"](LENGTH))
    with log_of("memory") as log:
        profile.runcall(asyncio.run, concurrent(flow, RUNS_AT_ONCE, log))
    show("E5: 1,000 runs of a chain of 10", stats_of(profile))


def of_server(title: str, events: int, burst: int) -> None:
    """The server under load: first profiled, then without a profiler for its user and system time."""
    with tempfile.NamedTemporaryFile() as file:
        with server("reactor", env={"BENCH_PROFILE": file.name}) as served:
            measured(served, {**plan_of("reactor", served.port, events, burst), "clients": CLIENTS})
        show(f"{title}, with connecting", stats_of(file.name))
    plain = rate("reactor", CLIENTS, events, burst)
    share = plain["system"] / (plain["user"] + plain["system"])
    print(f"  not profiled: {plain['user']:.2f} s user, {plain['system']:.2f} s system ({share:.0%}) of", end=" ")
    print(f"{plain['seconds']:.2f} s; {plain['per_second']:,.0f} events/s")


def s6() -> None:
    """Replays of 100,000 events."""
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile() as file:
        asyncio.run(fill(Path(folder) / "runs.db"))
        with server("reactor", f"sqlite:///{folder}/runs.db", env={"BENCH_PROFILE": file.name}) as served:
            for _ in range(3):
                replay_once(served.port, 100_000)
        show("S6: replay from SQLite", stats_of(file.name))


def main() -> None:
    wanted = [argument.upper() for argument in sys.argv[1:]] or ["E1", "S1"]
    if "E1" in wanted:
        e1()
    if "E5" in wanted:
        e5()
    if "S1" in wanted:
        of_server("S1: 1,000 clients, one event a loop turn", EVENTS, 1)
    if "S2" in wanted:
        of_server("S2: 1,000 clients, bursts of 100", BURST_EVENTS, 100)
    if "S6" in wanted:
        s6()


if __name__ == "__main__":
    main()
