"""What the README and the docs show runs, and prints what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPET = re.compile(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)
SNIPPETS = [
    pytest.param(match[1], match[2], id=f"{document.name}-{number}")
    for document in DOCUMENTS
    for number, match in enumerate(SNIPPET.finditer(document.read_text()), 1)
]


@pytest.mark.parametrize(("code", "printed"), SNIPPETS)
def test_a_snippet_runs_and_prints_what_stands_below_it(code: str, printed: str | None) -> None:
    """Each in a process of its own, as a reader would paste it."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    if printed is not None:
        assert done.stdout == printed


def test_the_readme_has_snippets() -> None:
    """The test above is not empty."""
    assert len(SNIPPETS) >= 3


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    """Relative links of a document exist."""
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target
