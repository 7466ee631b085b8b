"""Several runs on one connection, without a browser: random order, losses, cuts and deaths, the same for each seed.

Time, the channel between tabs and the network are those of ``tests/node/simulated.mjs``, so nothing depends on how busy
the machine is, and no law waits by the clock of the wall. With real tabs and a real server: ``test_tabs.py``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.helpers.stream_clients import javascript

SEEDS = [str(seed) for seed in range(1, 25)]


@pytest.mark.parametrize("law", ["lane", "all", "tabs"])
async def test_every_event_comes_once_and_in_order_whatever_is_lost(law: str) -> None:
    """``lane``: messages of a connection come twice, late, or never. ``all``: ``followAll`` while runs are added and
    removed, also one that was there before, and connections are cut. ``tabs``: tabs come and die with and without a
    word, are busy and put away, the leader first; those that are left agree on one connection, and after the last one
    there is none. Each has everything also of a run that says nothing more: no later event shows what was missed."""
    await _holds(law)


async def test_a_leader_that_begins_at_zero_and_hears_late_that_others_are_further_on_leaves_nothing_out() -> None:
    """``late``: it has promised a tab all from the first event on, and goes on from where the others are."""
    await _holds("late")


async def test_a_tab_that_was_put_away_has_what_it_missed_of_the_connection_that_it_knew() -> None:
    """``back``: meanwhile the connection was made anew for other runs, with or without the one that the tab follows."""
    await _holds("back")


async def test_a_log_that_has_lost_its_end_is_told_anew() -> None:
    """``lost``: to tabs and to ``followAll``."""
    await _holds("lost", SEEDS[:12])


async def test_a_position_that_is_not_there_any_more_is_asked_for_once() -> None:
    """``emptied``: also where other tabs still remember it, and no event comes that gives them another."""
    await _holds("emptied", SEEDS[:12])


async def test_a_seed_is_the_same_world_each_time() -> None:
    """Else a failure could not be looked at."""
    for law in ("all", "tabs"):
        first, second = [await javascript("several_runs.mjs", law, "1", "2") for _ in range(2)]
        assert first == second


async def _holds(law: str, seeds: Sequence[str] = SEEDS) -> None:
    shown = await javascript("several_runs.mjs", law, *seeds)
    for seed, result in zip(seeds, shown, strict=True):
        assert all(result.values()), (law, seed, result)
