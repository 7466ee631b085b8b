"""E3: how the cost of a task grows from a run of 1,000 to one of 50,000, over how bare asyncio's grows in the same run.

The cost of bare asyncio grows too, because the collector visits more live objects. The chain of 10,000 and the wide
graph of 50,000 must complete with a complete log.
"""

from __future__ import annotations

from statistics import geometric_mean, median
from typing import Any

from benchmarks.engine import WORST, measure
from benchmarks.figure import Figure

SMALL = 1_000
LARGE = 50_000
CHAIN = 10_000
TARGET = 1.15


def e3(quick: bool) -> Figure:
    """The geometric mean of the growth of ``wide`` and ``layers``; the worse of them may be 1.5 times the target."""
    large, rounds = (10_000, 1) if quick else (LARGE, 3)
    shapes = {name: growth(name, large, rounds) for name in ("wide", "layers")}
    chain = measure("chain", CHAIN, pairs=1)
    ratios = [geometric_mean(pair) for pair in zip(*(shape["ratios"] for shape in shapes.values()), strict=True)]
    by_shape = ", ".join(
        f"{name} {shape['ours']:.2f} × (bare {shape['bare']:.2f} ×) to {shape['us']:.1f} us"
        for name, shape in shapes.items()
    )
    return Figure(
        id="E3",
        what=f"growth of us/task from {SMALL:,} to {large:,} tasks",
        value=geometric_mean(shape["ours"] for shape in shapes.values()),
        unit="×",
        low=min(shape["ours"] for shape in shapes.values()),
        high=max(shape["ours"] for shape in shapes.values()),
        rounds=rounds,
        target=f"≤ {TARGET:g} × bare's growth",
        met=median(ratios) <= TARGET and max(median(shape["ratios"]) for shape in shapes.values()) <= WORST * TARGET,
        ratio=median(ratios),
        against="bare asyncio",
        note=f"{by_shape}; chain of {CHAIN:,} completes, {chain['us']:.1f} us",
        bars={"bare asyncio": geometric_mean(shape["bare"] for shape in shapes.values())},
        details={"shapes": shapes, "chain": chain},
    )


def growth(name: str, large: int, rounds: int) -> dict[str, Any]:
    """The median growth of one shape, ours and bare's, and the ratio of the two in each round."""
    ours: list[float] = []
    bare: list[float] = []
    us: list[float] = []
    for _ in range(rounds):
        small, big = measure(name, SMALL, pairs=3), measure(name, large, pairs=1)
        ours.append(big["us"] / small["us"])
        bare.append(big["bare_us"] / small["bare_us"])
        us.append(big["us"])
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    return {"ours": median(ours), "bare": median(bare), "us": median(us), "ratios": ratios}
