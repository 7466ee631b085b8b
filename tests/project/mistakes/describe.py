"""Writes ``docs/mistakes.md``: ``python -m tests.project.mistakes.describe``."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers.paths import ROOT
from tests.project.mistakes import around, defining, running, serving
from tests.project.mistakes.section import Section

PAGE = ROOT / "docs" / "mistakes.md"

SECTIONS: tuple[Section, ...] = (*defining.SECTIONS, *running.SECTIONS, *around.SECTIONS, *serving.SECTIONS)


def said(section: Section, row: str) -> str:
    with TemporaryDirectory() as folder:
        return section.run(row, Path(folder))


if __name__ == "__main__":
    for section in SECTIONS:
        if len(sys.argv) > 1 and sys.argv[1] not in section.title:
            continue
        print("##", section.title)
        for row in section.rows:
            try:
                text = said(section, row)
            except BaseException as error:
                text = f"!!!!! {type(error).__name__}: {error}"
            print(" -", row.replace("\n", " ⏎ "), "\n      ", text.replace("\n", "\n       "))
