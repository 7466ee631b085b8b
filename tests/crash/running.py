"""Worlds side by side, for the test and by hand: ``python -m tests.crash --lives 1000 --worlds 4 --seed 7``."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import report
from tests.crash.world import World


@dataclass
class Outcome:
    """What all worlds did, and what was wrong."""

    figures: Counter[str] = field(default_factory=Counter[str])
    kills: Counter[str] = field(default_factory=Counter[str])
    stories: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        parts = (self.figures, self.kills, self.stories)
        return "\n".join(", ".join(f"{count:,} {name}" for name, count in part.most_common()) for part in parts)


async def run(folder: Path, seed: str, lives: int, worlds: int) -> Outcome:
    """``lives`` in all. Each world has a seed of its own, which is part of its faults."""
    outcome = Outcome()

    async def one(number: int) -> None:
        its_seed, its_folder = f"{seed}.{number}", folder / f"world-{number}"
        its_folder.mkdir()
        world = World(its_folder, its_seed, lives // worlds - 1)  # and its last one
        evidence = await world.live()
        outcome.figures += report.figures(evidence)
        outcome.kills += world.kills
        outcome.stories += world.stories
        outcome.faults += [f"seed {its_seed}: {fault}" for fault in [*world.faults, *report.faults(evidence)]]

    await asyncio.gather(*map(one, range(worlds)))
    return outcome
