"""Every wrong usage of ``docs/mistakes.md`` is really tried, and answered with the sentence that stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project.mistakes.describe import PAGE, SECTIONS
from tests.project.mistakes.kinds import NOTHING
from tests.project.mistakes.section import Section, line_of

ROWS = [pytest.param(section, row, id=f"{section.title}-{row}") for section in SECTIONS for row in section.rows]

INSIDE = re.compile(
    r"unexpected keyword|positional argument|object has no attribute|is not iterable|not subscriptable|"
    r"not supported between|NoneType|dictionary update|expected string or bytes|0x[0-9a-f]{6}"
)
"""Words of Python's own about the inside of Reactor, which tell nobody what to write."""


@pytest.mark.parametrize(("section", "row"), ROWS)
def test_a_mistake_is_told_as_the_page_says(section: Section, row: str, tmp_path: Path) -> None:
    """The row with its answer stands in the page, and the answer is a sentence for the one who wrote it."""
    said = section.run(row, tmp_path)
    assert NOTHING not in said
    assert not INSIDE.search(said)
    assert line_of(row, said) in PAGE.read_text().splitlines()


def test_the_page_has_these_rows_and_no_others() -> None:
    """Written by ``python -m tests.project.mistakes.describe``; there are many."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS) >= 150
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("## ")] == [
        f"## {section.title}" for section in SECTIONS
    ]
