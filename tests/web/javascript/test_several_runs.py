"""Several runs on one connection, without a browser: random order, losses, cuts and deaths, the same for each seed."""

from __future__ import annotations

import pytest

from tests.helpers.stream_clients import javascript

SEEDS = [str(seed) for seed in range(1, 25)]


@pytest.mark.parametrize("law", ["lane", "all", "tabs"])
async def test_every_event_comes_once_and_in_order_whatever_is_lost(law: str) -> None:
    """``lane``: messages of a connection come twice, late, or never. ``all``: ``followAll`` while runs are added and
    removed, and connections are cut. ``tabs``: tabs come and die with and without a word, the leader first; those that
    are left agree on one connection, and after the last one there is none."""
    shown = await javascript("several_runs.mjs", law, *SEEDS)
    assert len(shown) == len(SEEDS)
    for seed, result in zip(SEEDS, shown, strict=True):
        assert all(result.values()), (seed, result)
