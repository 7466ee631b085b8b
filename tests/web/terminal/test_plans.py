"""A DAG as data on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.command import reactor
from tests.helpers.documents import plan, task

CLI_TOOLS = """
from reactor import tool

@tool
def double(n: int) -> int:
    return 2 * n
"""


CLI_PLAN = plan(task("a", "double", {"n": 4}), task("b", "double", {"n": "$a"}), budget={"tasks": 5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(CLI_TOOLS)
    (tmp_path / "more.py").write_text(CLI_TOOLS.replace("double", "triple"))
    (tmp_path / "plan.json").write_text(json.dumps(CLI_PLAN))
    return tmp_path


def test_run_runs_a_plan(folder: Path) -> None:
    """A plan runs with its tools; output and exit code are those of any run."""
    done = reactor("run", "plan.json", "--tools", "tools.py", "--tools", "more.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "b completed" in done.stdout
    assert "16" in done.stdout


def test_graph_prints_a_plan(folder: Path) -> None:
    """The graph of a plan is printed as Mermaid."""
    done = reactor("graph", "plan.json", "--tools", "tools.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["flowchart TD", '    t0["a"]', '    t1["b"]', "    t0 --> t1"]


@pytest.mark.parametrize(("arguments", "text", "told"), [
    (["--tools", "tools.py"], "{", "plan.json: the plan is not JSON: "),
    (["--tools", "tools.py"], "[]", "plan.json: the plan must be an object, not a list"),
    (["--tools", "tools.py"], '{"tasks": [{"id": "a", "tool": "doubel"}]}', "tasks[0].tool is 'doubel'"),
    (["--tools", "tools.py"], '{"tasks": [{"id": "a", "tool": "double"}]}', "tasks[0].input.n is missing"),
    (["--tools", "tools.py"], '{"tasks": [], "tasks": []}', "tasks appears twice"),
    (["--tools", "tools.py"], " " * 2_000_000, "the limit is 1,048,576"),
    (["--tools", "none.py"], None, "--tools: there is no file none.py"),
    (["--tools", "plan.json"], None, "plan.json is not a Python file"),
    (["--tools", "tools.py", "n=5"], None, "'n=5' cannot be given"),
    ([], None, "say with --tools which files register its tools"),
])  # fmt: skip
def test_what_cannot_run_is_told_in_one_sentence(
    folder: Path, arguments: list[str], text: str | None, told: str
) -> None:
    """What is wrong is one sentence on stderr, with exit code 2."""
    if text is not None:
        (folder / "plan.json").write_text(text)
    done = reactor("run", "plan.json", *arguments, cwd=folder)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_tools_are_for_plans(folder: Path) -> None:
    """--tools with a Python file is refused, and so is a plan that does not exist."""
    done = reactor("run", "tools.py", "--tools", "tools.py", cwd=folder)
    assert (done.returncode, "--tools is for a plan" in done.stderr) == (2, True)
    done = reactor("graph", "none.json", "--tools", "tools.py", cwd=folder)
    assert (done.returncode, "none.json cannot be read: No such file" in done.stderr) == (2, True)


def test_the_example_runs() -> None:
    """examples/plan.json over examples/tools.py."""
    done = reactor("run", "examples/plan.json", "--tools", "examples/tools.py")
    assert done.returncode == 0, done.stderr
    assert "What the docs are made of" in done.stdout
