"""A parameter that is probably a misspelt task: the log says it, and the run goes on as it was written."""

from __future__ import annotations

import pytest

from reactor import InputError, Workflow
from reactor.definition.names import is_near
from reactor.logger import warn_once
from tests.helpers.log_lines import log_lines


@pytest.fixture(autouse=True)
def _nothing_was_said() -> None:
    warn_once.cache_clear()


def flow_with(**defaults: object) -> Workflow:
    """Tasks ``fetch`` and ``page``, and a task ``use`` with these parameters and defaults."""
    flow = Workflow("census")
    flow.task(lambda: "fetched", name="fetch")
    flow.task(lambda: "a page", name="page")
    parameters = ", ".join(f"{name}={default!r}" for name, default in defaults.items())
    flow.task(eval(f"lambda {parameters}: [{', '.join(defaults)}]"), name="use")
    return flow


def said_of(flow: Workflow) -> list[str]:
    with log_lines() as lines:
        flow.validate()
    return [line["event"] for line in lines if line["log_level"] == "warning"]


def test_a_misspelt_upstream_with_a_default_is_said_in_the_log() -> None:
    """The sentence names workflow, task, parameter and the task that is meant."""
    assert said_of(flow_with(fecth=None)) == [
        "workflow 'census', task 'use': no task is named 'fecth', so that parameter is an input of the run, "
        "by default None; did you mean the task 'fetch'?"
    ]


def test_it_is_said_once_a_process() -> None:
    """Also where the same workflow is made again for each request."""
    assert len(said_of(flow_with(fecth=None))) == 1
    assert not said_of(flow_with(fecth=None))


def test_an_input_of_such_a_name_still_works() -> None:
    """It may be meant: the run starts with its default, and with what it is given."""
    assert flow_with(fecth=None).run()["use"] == [None]
    assert flow_with(fecth=None).run({"fecth": 5})["use"] == [5]


@pytest.mark.parametrize("defaults", [{"pages": 10}, {"page2": "x"}, {"root": None}, {"path": None}, {"fetch": None}])
def test_an_input_that_is_another_word_is_not_named(defaults: dict[str, object]) -> None:
    """A plural or a numbered name with a value of its own, and what is not near at all."""
    assert not said_of(flow_with(**defaults))


def test_a_plural_without_a_value_is_named() -> None:
    """None says: the output of an upstream that may be missing."""
    assert "did you mean the task 'page'?" in said_of(flow_with(paeg=None))[0]
    assert "did you mean the task 'fetch'?" in said_of(flow_with(fetchs=None))[0]


def test_without_a_default_the_start_names_the_task() -> None:
    """The run cannot start anyway, so the hint stands in its error."""
    flow = Workflow("census")
    flow.task(lambda: 1, name="fetch")
    flow.task(lambda fecth: fecth, name="use")
    assert not said_of(flow)
    with pytest.raises(InputError, match=r"input 'fecth' of task 'use' is missing .*, did you mean the task 'fetch'\?"):
        flow.run()


@pytest.mark.parametrize(
    ("name", "other", "near"),
    [
        ("fecth", "fetch", True),  # swapped
        ("fetc", "fetch", False),  # a short name has too many neighbours
        ("fetcch", "fetch", True),  # one added
        ("fxtch", "fetch", True),  # one replaced
        ("fxtxh", "fetch", False),  # two, in a short name
        ("mesaure", "measure", True),
        ("maesure", "measure", True),
        ("mezzure", "measure", True),  # two, in a long name
        ("mezzurr", "measure", False),
        ("date", "data", False),  # another word
        ("laod", "load", True),
        ("fetch", "fetch", False),
    ],
)
def test_near(name: str, other: str, near: bool) -> None:
    """One change; two in names of six letters and more; in names of four and less only a swap."""
    assert is_near(name, other) is is_near(other, name) is near
