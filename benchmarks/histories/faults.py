"""What is done to the parts, and when: the same for the same seed."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

Kind = Literal["kill", "drain", "stop", "cut", "redis killed", "redis ended"]
NODES = 3
LEASE = 2.0

WEIGHTS: dict[Kind, int] = {"kill": 5, "stop": 3, "cut": 2, "drain": 1}
FIRST: tuple[Kind, ...] = ("kill", "stop", "cut", "drain")
"""Each of them once in a round, however it is chosen."""
SECONDS: dict[Kind, tuple[float, float]] = {
    "kill": (0.1, 3 * LEASE),
    "drain": (0.1, 1.0),
    "stop": (0.3, 2.5 * LEASE),
    "cut": (0.5, 3 * LEASE),
    "redis killed": (0.1, 1.0),
    "redis ended": (0.1, 1.0),
}
"""How long the part is gone then: for less than a lease, or for more."""
PAUSE = (0.5, 2.5)
"""Seconds between two beginnings."""


class Fault(NamedTuple):
    """A part is taken away, and comes back."""

    at: float
    """Seconds from the beginning of the round."""
    kind: Kind
    node: int | None
    """None: Redis."""
    seconds: float


def schedule(seed: str, seconds: float) -> list[Fault]:
    """Faults of nodes one after the other, never two of the same node at once nor of all three; and Redis goes twice,
    killed and ended, whatever else is the matter. All are back after ``seconds``.
    """
    chance = random.Random(seed)
    redis: list[Kind] = ["redis killed", "redis ended"]
    chance.shuffle(redis)
    faults = [_fault(chance, seconds * place, kind, None) for kind, place in zip(redis, (0.35, 0.7), strict=True)]
    firsts = list(FIRST)
    chance.shuffle(firsts)
    back = [0.0] * NODES
    at = 1.0
    while at < seconds:
        free = [node for node in range(NODES) if back[node] < at]
        if len(free) > 1:
            kind = firsts.pop() if firsts else chance.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
            node = chance.choice(free)
            fault = _fault(chance, at, kind, node)
            if at + fault.seconds < seconds:
                faults.append(fault)
                back[node] = at + fault.seconds + 1.0
        at += chance.uniform(*PAUSE)
    return sorted(faults)


def _fault(chance: random.Random, at: float, kind: Kind, node: int | None) -> Fault:
    return Fault(at, kind, node, chance.uniform(*SECONDS[kind]))
