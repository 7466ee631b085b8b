"""Code of users is checked by pyright and mypy in their strict modes, against the types that Reactor ships."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import reactor
import reactor_web
from tests.helpers.paths import ROOT

CLEAN, WRONG = ROOT / "tests" / "typing" / "clean.py", ROOT / "tests" / "typing" / "wrong.py"

Check = Callable[[Path, Path], dict[int, str]]
"""The errors of a file by their line. The folder is for what the checker keeps."""


def pyright(file: Path, folder: Path) -> dict[int, str]:
    # a copy: pyright looks for files below its configuration only
    shutil.copy(file, folder)
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    command = [Path(sys.executable).parent / "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == 1, done.stdout
    errors = [one for one in found["generalDiagnostics"] if one["severity"] == "error"]
    return {one["range"]["start"]["line"] + 1: one["message"] for one in errors}


def mypy(file: Path, folder: Path) -> dict[int, str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", f"--cache-dir={folder}", "--config-file=", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    lines = re.findall(rf"^{re.escape(str(file))}:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert bool(lines) is bool(done.returncode), done.stdout
    return {int(line): message for line, message in lines}


@pytest.mark.slow
@pytest.mark.parametrize("check", [pyright, mypy])
def test_what_is_right_has_no_error(check: Check, tmp_path: Path) -> None:
    """Decorators, lambdas, operators, runs and handlers, without an ignore and without a cast."""
    assert check(CLEAN, tmp_path) == {}
    assert "ignore" not in CLEAN.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("check", [pyright, mypy])
def test_what_is_wrong_is_an_error_on_its_line(check: Check, tmp_path: Path) -> None:
    """The lines with ``# error``, in both checkers, and no others."""
    lines = WRONG.read_text().splitlines()
    marked = [number for number, line in enumerate(lines, 1) if line.endswith("# error")]
    found = check(WRONG, tmp_path)
    assert len(marked) > 25
    assert {line: found.get(line) for line in marked if line not in found} == {}
    assert {line: message for line, message in found.items() if line not in marked} == {}


@pytest.mark.parametrize("package", [reactor, reactor_web])
def test_the_packages_say_that_they_have_types(package: object) -> None:
    """Without the file ``py.typed`` a checker takes nothing of them into account (PEP 561)."""
    assert (Path(str(package.__file__)).parent / "py.typed").exists()  # type: ignore[attr-defined]
