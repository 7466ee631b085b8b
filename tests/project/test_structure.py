"""The house: who may import whom, what is public, and that each operator has its test file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import reactor_web

import reactor
from reactor.events.state import RUN_STATUS, TASK_STATUS
from reactor.events.vocabulary import CONTROL, TERMINAL, VOCABULARY
from tests.helpers.paths import ROOT


def test_imports_go_one_way() -> None:
    """reactor never imports web; what defines and folds imports no loop, no server and no Rx (see pyproject.toml)."""
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stdout


def test_the_public_surface_is_what_all_says() -> None:
    """__all__ is sorted, importable and complete."""
    assert reactor.__all__ == sorted(reactor.__all__)
    assert all(hasattr(reactor, name) for name in reactor.__all__)
    assert set(reactor_web.__all__) == {"create_app", "mount", "problems", "stream"}
    assert {"Workflow", "Context", "Engine", "Run", "Event", "off_loop"} <= set(reactor.__all__)


def test_each_operator_has_one_file_and_one_test_file() -> None:
    """reactor/operators/x.py and tests/operators/test_x.py."""
    operators = {path.stem for path in (ROOT / "reactor/operators").glob("*.py")} - {"__init__"}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests/operators").glob("test_*.py")}
    assert operators == tests


def test_every_status_comes_from_the_vocabulary() -> None:
    """One table of types; whatever changes a status is in it, control types are not."""
    assert RUN_STATUS.keys() | TASK_STATUS.keys() | TERMINAL <= VOCABULARY.keys()
    assert not CONTROL.keys() & VOCABULARY.keys()


def test_no_time_operator_of_the_library_is_used() -> None:
    """Each would start an operating system thread per timer where a scheduler is forgotten; ours require one."""
    timed = re.compile(
        r"\bops\.(debounce|delay|timeout|throttle_first|sample|timestamp|time_interval|(window|buffer)_with_time)|"
        r"\brx\.(timer|interval)|\bfork_join\b|ReplaySubject|rx\.merge\b"
    )
    for package in ("reactor", "web/reactor_web"):
        for path in (ROOT / package).rglob("*.py"):
            assert not timed.search(path.read_text()), path
