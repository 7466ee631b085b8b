"""The page in docs/agents.md shows every token once, whatever becomes of the server meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.command import end
from tests.helpers.life import Life
from tests.helpers.node import Page, find_node
from tests.helpers.paths import block_of
from tests.helpers.tokens import FIRST, REST

FIRST_TEXT, WHOLE_TEXT = "".join(FIRST), "".join(FIRST + REST)


@pytest.fixture
def snippet(tmp_path: Path) -> Path:
    path = tmp_path / "snippet.js"
    path.write_text(block_of("docs/agents.md", "js"))
    return path


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    find_node()
    life = Life(tmp_path / "runs.db")
    yield life
    end(life.process)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_a_restart_in_the_middle_of_the_tokens_doubles_none_and_loses_none(
    how: str, life: Life, snippet: Path, tmp_path: Path
) -> None:
    """The page begins anew with the attempt that recovery starts, and shows that one alone."""
    gate = tmp_path / "gate"
    life.start_run(gate=str(gate))
    with Page(life.base, snippet) as page:
        page.until(FIRST_TEXT)
        life.end(how)
        life.begin_again()
        shown = page.until(FIRST_TEXT)
        assert shown[0] == ""  # cleared before the first token of the next attempt
        gate.touch()
        shown += page.until(WHOLE_TEXT)
        assert all(WHOLE_TEXT.startswith(text) for text in shown)
        assert page.next() is None


def test_a_retry_begins_anew(life: Life, snippet: Path, tmp_path: Path) -> None:
    """An attempt that failed leaves no token behind."""
    gate = tmp_path / "gate"
    life.start_run(gate=str(gate), fails=True)
    with Page(life.base, snippet) as page:
        page.until(FIRST_TEXT)
        gate.touch()
        shown = page.until(WHOLE_TEXT)
        assert "" in shown
        assert all(WHOLE_TEXT.startswith(text) for text in shown)
        assert page.next() is None
