"""Writes ``docs/mistakes.md``: ``python -m tests.project.mistakes.describe``."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers.paths import ROOT
from tests.project.mistakes import around, defining, running, serving
from tests.project.mistakes.section import Section, line_of

PAGE = ROOT / "docs" / "mistakes.md"

SECTIONS: tuple[Section, ...] = (*defining.SECTIONS, *running.SECTIONS, *around.SECTIONS, *serving.SECTIONS)

INTRODUCTION = """\
# Mistakes

What is easily written wrong, and what you are told. Look here for the sentence you got: it names what is wrong, where,
and what to write instead. The tests write each of these wrongly and compare the answer with this page. Do not edit it:
run `python -m tests.project.mistakes.describe`.

A misspelt parameter with a default is not refused, since any name may be an input of the run; the log says it once, as
it says that an output is not what its task is annotated with.
"""


def said(section: Section, row: str) -> str:
    """What whoever writes this row is told."""
    with TemporaryDirectory() as folder:
        return section.run(row, Path(folder))


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *map(_section, SECTIONS)])


def _section(section: Section) -> str:
    setup = f"```py\n{section.setup}```\n" if section.setup else ""
    table = "\n".join(line_of(row, said(section, row)) for row in section.rows)
    parts = (f"## {section.title}\n", section.text and f"{section.text.strip()}\n", setup)
    return "\n".join([*filter(None, parts), f"| written | told |\n|---|---|\n{table}\n"])


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
