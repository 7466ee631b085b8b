"""What the README and the docs show runs, and prints what they say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from reactor_web.dialects import known
from tests.helpers.command import run_code
from tests.helpers.paths import ROOT
from tests.helpers.redis import redis_server

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SNIPPET = re.compile(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)
SNIPPETS = [
    pytest.param(match[1], match[2], id=f"{document.name}-{number}")
    for document in DOCUMENTS
    for number, match in enumerate(SNIPPET.finditer(document.read_text()), 1)
]


REDIS = "redis://127.0.0.1:6379/0"
"""The Redis of a reader. Here it is one of the test."""


@pytest.mark.parametrize(("code", "printed"), SNIPPETS)
def test_a_snippet_runs_and_prints_what_stands_below_it(code: str, printed: str | None, tmp_path: Path) -> None:
    """Each in a process of its own, as a reader would paste it."""
    if REDIS in code:
        with redis_server(tmp_path) as server:
            done = run_code(code.replace(REDIS, server.tcp_url()))
    else:
        done = run_code(code)
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_files_that_are_named_exist(document: Path) -> None:
    """A path in code type, such as `reactor/bounds.py`, is there. A changelog may name files that are gone."""
    if document.name == "CHANGELOG.md":
        return
    for path in re.findall(r"`((?:reactor|web|tests|docs|examples|benchmarks)/[\w./-]*)`", document.read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    ("title", "name"),
    [("The floors", "the floors of reactor"), ("The floors of the web", "the rooms of reactor_web are floors")],
)
def test_the_floors_of_the_guide_are_those_of_the_contract(title: str, name: str) -> None:
    """The table in CONTRIBUTING.md has the rooms of the layers contract, in its order."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["name"] == name)["layers"]
    table = (ROOT / "CONTRIBUTING.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [re.findall(r"`(\w+)/?`", line.split("|")[1]) for line in table.splitlines() if line.startswith("| `")]
    assert rows == [layer.split(" | ") for layer in layers]


def test_every_dialect_is_explained() -> None:
    """It has a row and a section in its page, and is named where clients are told which there are."""
    page = (ROOT / "docs" / "dialects.md").read_text()
    for name in known():
        assert f"| [`{name}`](#{name}) |" in page
        assert f"\n## `{name}`\n" in page
        assert f"`{name}`" in (ROOT / "docs" / "http.md").read_text()
        assert f"`{name}`" in (ROOT / "README.md").read_text()
