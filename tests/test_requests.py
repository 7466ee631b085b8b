"""The checks of what a caller passes in."""

from __future__ import annotations

import pytest

from reactor.errors import InvalidRunId
from reactor.requests import check_run_id


@pytest.mark.parametrize("run_id", ["", ".", "..", "é", "a b", "a/b", "x" * 65])
def test_the_sentence_of_a_bad_run_id_is_true_of_every_one(run_id: str) -> None:
    """It names the characters, and the two ids of allowed characters that are refused."""
    with pytest.raises(InvalidRunId, match=r"1 to 64 of A-Z a-z 0-9 \. _ ~ -, and not \. or \.\.$"):
        check_run_id(run_id)
