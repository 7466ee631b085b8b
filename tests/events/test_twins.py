"""Two values that can be told apart share no digest, whatever their classes hide; the same value has the same again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Engine, RunExists, Workflow
from reactor.events.exact import NoExactForm, exact_form
from tests.helpers import twins
from tests.helpers.paths import ROOT
from tests.helpers.runs import result

PLACES = st.lists(st.sampled_from(twins.WRAPPERS), max_size=4)


def wrapped(value: Any, places: list[Any]) -> Any:
    for wrap in places:
        value = wrap(value)
    return value


def form(value: Any) -> bytes | None:
    try:
        return exact_form(value)
    except NoExactForm:
        return None


@pytest.mark.parametrize("number", range(len(twins.GROUPS)))
def test_no_two_values_of_a_group_share_a_digest(number: int) -> None:
    """``1``, ``True``, ``Decimal("1")``; ``-0.0``; bounds of deques; names of zones; classes of equal fields."""
    values = twins.GROUPS[number]
    digests = [twins.digest(value) for value in values]
    assert None not in digests
    assert len(set(digests)) == len(values)
    assert len({form(value) for value in values}) == len(values)


@settings(max_examples=150, deadline=None)
@given(st.data(), PLACES)
def test_a_difference_is_found_wherever_in_a_value_it_is(data: st.DataObject, places: list[Any]) -> None:
    """In members, keys, fields, private attributes, secrets, excluded and extra fields, however deep."""
    group = data.draw(st.sampled_from(twins.GROUPS))
    one, other = (group[i] for i in data.draw(st.permutations(range(len(group))))[:2])
    first, second, again = (twins.digest(wrapped(value, places)) for value in (one, other, one))
    assert first is not None
    assert first == again != second
    assert form(wrapped(one, places)) == form(wrapped(one, places)) != form(wrapped(other, places))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(twins.HIDING), st.sampled_from(["a", ["a"], 1]), PLACES)
def test_what_a_class_hides_counts(hide: Any, hidden: Any, places: list[Any]) -> None:
    """From JSON, ``repr``, ``==`` or ``pickle``: the same hidden value has the same digest, another has another."""
    try:
        same = [twins.digest(wrapped(hide(hidden), places)) for _ in range(2)]
        other = twins.digest(wrapped(hide("b"), places))
    except (TypeError, AttributeError):
        return  # not a value of this class, or its __hash__ fails
    if same[0] is None:  # a class or function whose name is that of others: nothing is said of it at all
        assert (same[1], other) == (None, None)
    else:
        assert same[0] == same[1] != other


def test_another_process_makes_the_same_digests() -> None:
    """With another order of the members of sets, and other addresses."""
    command = "import json; from tests.helpers.twins import all_digests; print(json.dumps(all_digests()))"
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    there = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, timeout=60, check=True
    )
    assert json.loads(there.stdout) == twins.all_digests()


def test_what_a_path_has_computed_is_no_part_of_its_digest() -> None:
    """Its hash is another one in each process, and is there only where somebody has asked for it."""
    path, same = twins.Place("a/b"), twins.Place("a/b")
    assert {path: str(path), path.parent: path.parts}
    assert twins.digest(path) == twins.digest(same) != twins.digest(twins.Place("a/c"))


# --- where digests are used -----------------------------------------------------------------------------------------

HIDES = [hide for hide in twins.HIDING if twins.digest(hide("a")) is not None]
NAMELESS = [hide for hide in twins.HIDING if twins.digest(hide("a")) is None]


def cached(ran: list[Any]) -> Workflow:
    """``body`` of an input, which says what it holds; ``given`` has no annotation, so it comes as it is."""
    flow = Workflow("cached")

    @flow.task(cache=True)
    async def body(given):  # type: ignore[no-untyped-def]
        ran.append(given)
        return len(ran)

    return flow


async def test_no_output_is_handed_to_who_gave_another_value() -> None:
    """Of what hides something, and of near values: a body runs once for each that can be told apart."""
    ran: list[Any] = []
    flow = cached(ran)
    values = [hide(hidden) for hide in HIDES for hidden in ("a", "b")] + [v for group in twins.GROUPS for v in group]
    different = list({twins.digest(value): value for value in values}.values())
    async with Engine() as engine:
        first = [await result(await engine.start(flow, {"given": value})) for value in different]
        assert first == [{"body": n} for n in range(1, len(different) + 1)]
        again = [await result(await engine.start(flow, {"given": value})) for value in different]
    assert again == first
    assert len(ran) == len(different)


async def test_what_cannot_be_told_from_others_is_not_cached() -> None:
    """The body runs each time, even for the same value."""
    ran: list[Any] = []
    async with Engine() as engine:
        for hide in NAMELESS:
            value = hide("a")
            for _ in range(2):
                await result(await engine.start(cached(ran), {"given": value}))
    assert len(ran) == 2 * len(NAMELESS)


@pytest.mark.parametrize("hide", HIDES)
async def test_a_start_with_another_hidden_value_is_another_start(hide: Any) -> None:
    """Nobody is given the outputs of another's run because their secrets look alike."""
    flow = cached([])
    async with Engine() as engine:
        await engine.ensure(flow, {"given": hide("a")}, run_id="r")
        assert not (await engine.ensure(flow, {"given": hide("a")}, run_id="r"))[1]
        with pytest.raises(RunExists, match="started differently"):
            await engine.ensure(flow, {"given": hide("b")}, run_id="r")


@pytest.mark.parametrize("hide", NAMELESS)
async def test_what_cannot_be_told_from_others_is_no_same_start(hide: Any) -> None:
    """It may be another one: so it is refused, even where it is the same object."""
    flow, value = cached([]), hide("a")
    async with Engine() as engine:
        await engine.ensure(flow, {"given": value}, run_id="r")
        with pytest.raises(RunExists, match="started differently"):
            await engine.ensure(flow, {"given": value}, run_id="r")
