"""What is said of a name or an option that is written wrong."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor import Retry, Workflow
from reactor.definition.names import is_one_edit, known_names, names_options


@names_options("greet")
def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


@names_options("later")
async def later(input: dict[str, int]) -> int:
    return input["n"]


def test_an_option_that_is_there_changes_nothing() -> None:
    """The call, the signature and what kind of function it is."""
    assert greet("ada", loud=True) == "ADA"
    assert asyncio.run(later({"n": 3})) == 3
    assert str(inspect.signature(greet)) == "(name: 'str', *, loud: 'bool' = False) -> 'str'"
    assert inspect.iscoroutinefunction(later)


def test_an_option_that_is_not_there_is_named() -> None:
    """With the nearest one, or with all there are; inputs are told to be given together."""
    with pytest.raises(TypeError, match=r"^greet has no option 'laud', did you mean 'loud'\?$"):
        greet("ada", laud=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^greet has no option 'x', 'y'; its options are name, loud$"):
        greet("ada", x=1, y=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^greet has no option 'laud', 'nam', did you mean 'loud' and 'name'\?$"):
        greet("ada", laud=True, nam=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^greet has no option 'laud', 'x', did you mean 'loud'\?$"):
        greet("ada", laud=True, x=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r'^later has no option .root.; inputs .* input=\{"root": \.\.\.\}$'):
        asyncio.run(later(root=1))  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'name'"):
        greet()  # type: ignore[call-arg]


def test_classes_with_it_stay_what_they_are() -> None:
    """They compare, show themselves and are subclassed as before."""

    class Nightly(Workflow):
        def __init__(self, hour: int) -> None:
            super().__init__("nightly")
            self.hour = hour

    assert Nightly(hour=3).hour == 3
    assert Retry(2) == Retry(attempts=2)
    assert repr(Retry(2)).startswith("Retry(attempts=2")


def test_names_are_listed_up_to_ten() -> None:
    """A workflow may have a million tasks."""
    assert known_names([]) == "none"
    assert known_names(["a", "b"]) == "a, b"
    assert known_names(map(str, range(11))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."


def edited(name: str) -> set[str]:
    """All that one letter makes of a name of the letters a, b and c."""
    cuts = [(name[:i], name[i:]) for i in range(len(name) + 1)]
    return {
        *(a + letter + b for a, b in cuts for letter in "abc"),
        *(a + letter + b[1:] for a, b in cuts if b for letter in "abc"),
        *(a + b[1:] for a, b in cuts if b),
        *(a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1),
    } - {name}


@given(st.text("abc", min_size=1, max_size=6), st.text("abc", max_size=6))
def test_one_edit_is_one_letter(name: str, other: str) -> None:
    """That is missing, added, replaced or swapped with its neighbour; the same from both sides."""
    assert is_one_edit(name, other) == (other in edited(name))
    assert not other or is_one_edit(other, name) == is_one_edit(name, other)
    assert all(is_one_edit(name, close) for close in edited(name))
