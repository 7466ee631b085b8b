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
FILES = (CLEAN, WRONG)

Found = dict[Path, dict[int, str]]
"""The errors of each file by their line."""


def pyright(folder: Path) -> Found:
    # copies: pyright looks for files below its configuration only
    copies = {str(folder / file.name): file for file in FILES}
    for copy, file in copies.items():
        shutil.copy(file, copy)
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    command = [Path(sys.executable).parent / "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == len(FILES), done.stdout
    errors: Found = {file: {} for file in FILES}
    for one in found["generalDiagnostics"]:
        if one["severity"] == "error":
            errors[copies[one["file"]]][one["range"]["start"]["line"] + 1] = one["message"]
    return errors


def mypy(folder: Path) -> Found:
    options = ["--strict", "--no-pretty", f"--cache-dir={folder}", "--config-file="]
    command = [sys.executable, "-m", "mypy", *options, *FILES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors: Found = {
        file: {
            int(line): message
            for line, message in re.findall(rf"^{re.escape(str(file))}:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
        }
        for file in FILES
    }
    assert any(errors.values()) is bool(done.returncode), done.stdout
    return errors


@pytest.fixture(scope="module", params=[pyright, mypy], ids=lambda check: check.__name__)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What a checker says of both files: it reads the library once for both."""
    check: Callable[[Path], Found] = request.param
    return check(tmp_path_factory.mktemp(check.__name__))


@pytest.mark.slow
def test_what_is_right_has_no_error(found: Found) -> None:
    """Decorators, lambdas, operators, runs and handlers, without an ignore and without a cast."""
    assert found[CLEAN] == {}
    assert "ignore" not in CLEAN.read_text()


@pytest.mark.slow
def test_what_is_wrong_is_an_error_on_its_line(found: Found) -> None:
    """The lines with ``# error``, in both checkers, and no others."""
    lines = WRONG.read_text().splitlines()
    marked = [number for number, line in enumerate(lines, 1) if line.endswith("# error")]
    errors = found[WRONG]
    assert len(marked) > 25
    assert [line for line in marked if line not in errors] == []
    assert {line: message for line, message in errors.items() if line not in marked} == {}


@pytest.mark.parametrize("package", [reactor, reactor_web])
def test_the_packages_say_that_they_have_types(package: object) -> None:
    """Without the file ``py.typed`` a checker takes nothing of them into account (PEP 561)."""
    assert (Path(str(package.__file__)).parent / "py.typed").exists()  # type: ignore[attr-defined]
