"""``carry_out``: which errors of a command the client is told, and with what."""

from __future__ import annotations

import pytest

from reactor.errors import InvalidRunId, ReactorError
from reactor_web.http.command import carry_out
from reactor_web.http.problems import Problem


async def refuse(error: Exception) -> None:
    raise error


async def test_a_value_error_is_a_problem_with_its_sentence() -> None:
    """The engine refuses what a caller gives it with a ValueError: status 422."""
    with pytest.raises(Problem, match=r"^a key must be text$") as caught:
        await carry_out(refuse(ValueError("a key must be text")))
    assert caught.value.status == 422


@pytest.mark.parametrize("kind", [ReactorError, InvalidRunId])
async def test_an_error_of_the_engine_passes(kind: type[ReactorError]) -> None:
    """Also one that is a ValueError: its status stands in the table of problems, and its ids are kept."""
    error = kind("no", run_id="a b")
    with pytest.raises(kind) as caught:
        await carry_out(refuse(error))
    assert caught.value is error
