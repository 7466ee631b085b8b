"""The graphs that are measured: upstream indexes of each task, upstreams first."""

from __future__ import annotations

Shape = list[list[int]]

LAYER = 100


def wide(n: int) -> Shape:
    """n independent tasks."""
    return [[] for _ in range(n)]


def chain(n: int) -> Shape:
    """n tasks in a row."""
    return [[i - 1] if i else [] for i in range(n)]


def layers(n: int) -> Shape:
    """Layers of 100; each task has three upstreams in the layer before."""
    return [[] if i < LAYER else [(i // LAYER - 1) * LAYER + (i + k) % LAYER for k in range(3)] for i in range(n)]


SHAPES = {shape.__name__: shape for shape in (wide, chain, layers)}
