"""Other systems on the same graphs, where they are installed (``pip install --group bench-peers``).

Each runs a task that does nothing, in a process of its own, with the least that its documentation asks for to see
progress. They promise different things; what each of them does is said beside its figure.

- LangGraph: a node a task, ``astream(stream_mode="updates")``, no checkpointer. It runs in super-steps.
- LlamaIndex workflows: a step a kind of event, events written to the stream.
- Dask distributed: ``submit`` with futures as upstreams, an in-process cluster of one worker.
- DBOS: a workflow whose steps are stored in SQLite before the next one starts.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from statistics import geometric_mean

from rich.console import Console

from benchmarks.child import Child
from benchmarks.engine import measure as measure_ours
from benchmarks.figure import Figure, shown

SYSTEMS = {
    "langgraph": ("LangGraph", "langgraph", {"layers": 1_000, "chain": 300}),
    "llamaindex": ("LlamaIndex workflows", "llama-index-workflows", {"layers": 300, "chain": 100}),
    "dask": ("Dask distributed", "distributed", {"layers": 300, "chain": 100}),
    "dbos": ("DBOS, SQLite", "dbos", {"layers": 300, "chain": 100}),
}
"""Key -> name, distribution, tasks a shape."""
MODULES = {"langgraph": "langgraph", "llamaindex": "workflows", "dask": "distributed", "dbos": "dbos"}


def installed() -> list[str]:
    return [key for key, module in MODULES.items() if importlib.util.find_spec(module) is not None]


def measure(quick: bool, console: Console) -> list[Figure]:
    """One figure with a bar for each system; an empty list where none is installed."""
    for key in SYSTEMS.keys() - set(installed()):
        console.print(f"{SYSTEMS[key][0]} is not installed: skipped (dependency group bench-peers)")
    us: dict[str, float] = {}
    shapes: dict[str, dict[str, float]] = {}
    for key in installed():
        name, distribution, sizes = SYSTEMS[key]
        label = f"{name} {version(distribution)}"
        with console.status(label):
            try:
                shapes[label] = {shape: run(key, shape, n // (3 if quick else 1)) for shape, n in sizes.items()}
            except (RuntimeError, TimeoutError) as error:
                console.print(f"[red]{label} was not measured: {error}[/]")
                continue
        us[label] = geometric_mean(shapes[label].values())
    if not us:
        return []
    ours = {log: geometric_mean(measure_ours(s, 1_000, 3, log)["us"] for s in ("layers", "chain")) for log in LOGS}
    return [_figure(us, ours, shapes)]


LOGS = ("memory", "sqlite")


def _figure(us: dict[str, float], ours: dict[str, float], shapes: dict[str, dict[str, float]]) -> Figure:
    graph = next((value for name, value in us.items() if name.startswith("LangGraph")), None)
    durable = next((value for name, value in us.items() if name.startswith("DBOS")), None)
    graph_ratio = None if graph is None else graph / ours["memory"]
    durable_ratio = None if durable is None else durable / ours["sqlite"]
    known = [(ratio, least) for ratio, least in ((graph_ratio, 5), (durable_ratio, 50)) if ratio is not None]
    return Figure(
        id="P",
        what="beside other systems, layers and chain, memory log",
        value=ours["memory"],
        unit="us/task",
        low=ours["memory"],
        high=ours["memory"],
        rounds=1,
        target="≥ 5 × LangGraph, ≥ 50 × DBOS (SQLite)",
        met=all(ratio >= least for ratio, least in known) if known else None,
        ratio=graph_ratio,
        against="faster than LangGraph",
        note="; ".join(
            f"{name} " + ", ".join(f"{shape} {shown(value)} us" for shape, value in by_shape.items())
            for name, by_shape in shapes.items()
        )
        + f"; reactor memory {shown(ours['memory'])}, sqlite {shown(ours['sqlite'])} us"
        + ("" if durable_ratio is None else f", {durable_ratio:.0f} × faster than DBOS"),
        bars=us,
        details={"shapes": shapes, "ours": ours},
    )


def run(key: str, shape: str, n: int) -> float:
    """Microseconds a task, median of three runs in one process, the first of them not counted."""
    with Child(sys.executable, "-m", "benchmarks.peer_programs", key, shape, str(n)) as child:
        return child.answer(240.0)
