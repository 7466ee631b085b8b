"""The house: who may import whom, how large a file may be, what is public, and that each operator has its test file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reactor
import reactor_web
from reactor.events.state import RUN_STATUS, TASK_STATUS
from reactor.events.vocabulary import NOTICES, TERMINAL, VOCABULARY
from tests.helpers.paths import ROOT
from tests.project.sources import (
    PACKAGES,
    circles,
    import_graph,
    long_functions,
    mapped_names,
    names_in,
    packages,
    source_files,
)

FUNCTION_LINES = 40
MODULE_LINES = 350


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([linter, "--no-cache"], capture_output=True, text=True, cwd=folder, timeout=120)


def test_imports_go_one_way() -> None:
    """The contracts of pyproject.toml hold: the floors, the pure rooms, and no import of reactor_web in reactor."""
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "message"),
    [
        ("reactor/events/event.py", "import reactor.engine", "the floors of reactor BROKEN"),
        ("reactor/stream/feed.py", "from reactor import Workflow", "the floors of reactor BROKEN"),
        (
            "reactor/definition/graph.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from reactor.tasks.actor import TaskActor",
            "the floors of reactor BROKEN",
        ),
        ("reactor/engine.py", "from reactor.spec import load_plan", "the floors of reactor BROKEN"),
        ("reactor/new_room.py", "", "new_room"),
        ("reactor/engine.py", "import reactor_web.app", "reactor never imports reactor_web BROKEN"),
        (
            "reactor/plans/document.py",
            "import asyncio",
            "definition, events, requests, plans and ports are pure BROKEN",
        ),
    ],
)
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, module: str, line: str, message: str) -> None:
    """Planted in a copy: upwards, through ``reactor`` itself, for a type only, through an old path, in a new room."""
    for package in PACKAGES:
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0, done.stdout
    assert message in done.stdout


def test_no_circle_of_files() -> None:
    """Every file can be read after the files it imports; imports in functions and for types count as well."""
    found = circles(import_graph())
    assert not found, "files that import each other in a circle: " + "; ".join(map(", ".join, found))


def test_a_circle_is_found() -> None:
    """The test above can fail."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


@pytest.mark.parametrize("package", list(packages()), ids=lambda package: str(package.relative_to(ROOT)))
def test_a_package_names_all_its_files_and_no_others(package: Path) -> None:
    """Its docstring has one line for each: the name, at least two spaces, what is in it."""
    wrong = set(mapped_names(package)) ^ set(names_in(package))
    assert not wrong, (
        f"the docstring of {package.relative_to(ROOT)}/__init__.py and its files differ in {sorted(wrong)}"
    )
    assert len(mapped_names(package)) == len(set(mapped_names(package)))


def test_functions_are_short() -> None:
    """No function above 40 lines, its docstring left out: it would be two things."""
    found = [
        f"{path.relative_to(ROOT)}: {name} has {lines} lines"
        for path in source_files()
        for name, lines in long_functions(path, FUNCTION_LINES)
    ]
    assert not found, "\n".join(found)


def test_every_answer_leaves_as_fast_as_its_client_reads() -> None:
    """No route answers a plain ``web.Response`` with a body: that hands all of it to the connection at once."""
    folder = Path(reactor_web.__file__).parent
    assert [str(path) for path in folder.rglob("*.py") if "web.Response(" in path.read_text()] == []


def test_modules_are_short() -> None:
    """No module above 350 lines: it would be two things."""
    lengths = {path: len(path.read_text().splitlines()) for path in source_files()}
    found = [f"{path.relative_to(ROOT)} has {lines} lines" for path, lines in lengths.items() if lines > MODULE_LINES]
    assert not found, "\n".join(found)


def test_the_public_surface_is_what_all_says() -> None:
    """__all__ is sorted, importable and complete."""
    assert reactor.__all__ == sorted(reactor.__all__)
    assert all(hasattr(reactor, name) for name in reactor.__all__)
    assert reactor_web.__all__ == sorted(reactor_web.__all__)
    assert set(reactor_web.__all__) == {
        "AgentInput", "Caps", "Client", "Guard", "JwtSettings", "Principal", "Problem", "ReactorCollector", "RemoteRun",
        "Scope", "Start", "SyncClient", "add_agent", "add_chat", "add_start", "add_state", "add_stream", "create_app",
        "mount", "only_looks", "principal_of", "problems", "protect", "stream",
    }  # fmt: skip
    assert {"Workflow", "Context", "Engine", "Run", "Event", "off_loop"} <= set(reactor.__all__)


def test_each_operator_has_one_file_and_one_test_file() -> None:
    """reactor/operators/x.py and tests/operators/test_x.py."""
    operators = {path.stem for path in (ROOT / "reactor/operators").glob("*.py")} - {"__init__"}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests/operators").glob("test_*.py")}
    assert operators == tests


def test_every_status_comes_from_the_vocabulary() -> None:
    """One table of types; whatever changes a status is in it, control types are not."""
    assert RUN_STATUS.keys() | TASK_STATUS.keys() | TERMINAL <= VOCABULARY.keys()
    assert not NOTICES.keys() & VOCABULARY.keys()


def test_no_time_operator_of_the_library_is_used() -> None:
    """Each would start an operating system thread per timer where a scheduler is forgotten; ours require one."""
    timed = re.compile(
        r"\bops\.(debounce|delay|timeout|throttle_first|sample|timestamp|time_interval|(window|buffer)_with_time)|"
        r"\brx\.(timer|interval)|\bfork_join\b|ReplaySubject|rx\.merge\b"
    )
    for path in source_files():
        assert not timed.search(path.read_text()), path
