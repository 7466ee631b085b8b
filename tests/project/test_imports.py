"""What ``import reactor`` gives and needs, the old import paths, and ``python -m reactor``."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import reactor
import reactor.testing
from tests.helpers.paths import ROOT


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, timeout=60)


def test_the_library_needs_neither_a_terminal_nor_a_server() -> None:
    """``import reactor`` works where rich, typer and aiohttp cannot be imported, and loads nothing of reactor_web.

    Where rich is installed it is loaded all the same: structlog looks for it when it is imported.
    """
    code = """
import sys
sys.modules.update({"rich": None, "typer": None, "aiohttp": None})
import reactor
loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
print(sorted(loaded & {"rich", "typer", "click", "aiohttp", "reactor_web"}))
"""
    done = python("-c", code)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_version_is_the_one_of_the_distribution() -> None:
    """``reactor.__version__``."""
    assert reactor.__version__ == version("reactor-dag")


def test_a_source_tree_that_nobody_installed_has_a_version(tmp_path: Path) -> None:
    """Without the distribution's metadata the package still imports and says that it does not know."""
    code = """
import importlib.metadata as metadata

def missing(name):
    raise metadata.PackageNotFoundError(name)

metadata.version = missing
import reactor
print(reactor.__version__)
"""
    assert python("-c", code).stdout == "0+unknown\n"


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("reactor.spec", "load_plan", "reactor"),
        ("reactor.spec", "parse_plan", "reactor.plans.document"),
        ("reactor.spec", "Tools", "reactor.plans.load"),
        ("reactor.tools", "tool", "reactor"),
        ("reactor.tools", "Tool", "reactor"),
        ("reactor.operators", "merge_tasks", "reactor.stream.merge_tasks"),
    ],
)
def test_an_old_import_works_and_says_what_to_write_now(old: str, name: str, new: str) -> None:
    """A DeprecationWarning that is the new import statement."""
    with pytest.warns(DeprecationWarning, match=f"{old}.{name} has moved: from {new} import {name}$"):
        found = getattr(importlib.import_module(old), name)
    assert found is getattr(importlib.import_module(new), name)


def test_an_old_name_leads_to_the_new_one() -> None:
    """``reactor.Control`` is ``reactor.Notice``, ``reactor.testing.LAWS`` is ``LOG_LAWS``."""
    with pytest.warns(DeprecationWarning, match="reactor.Control has moved: from reactor import Notice$"):
        assert reactor.Control is reactor.Notice
    with pytest.warns(DeprecationWarning, match="LAWS has moved: from reactor.testing import LOG_LAWS$"):
        assert reactor.testing.LAWS is reactor.testing.LOG_LAWS


@pytest.mark.parametrize("old", ["reactor.spec", "reactor.tools", "reactor.operators", "reactor.testing"])
def test_an_old_path_has_nothing_but_what_has_moved(old: str) -> None:
    """Any other name is an ImportError, as for every module."""
    done = python("-c", f"from {old} import nonsense")
    assert done.returncode == 1
    assert f"ImportError: cannot import name 'nonsense' from '{old}'" in done.stderr


def test_python_m_reactor_is_the_command(tmp_path: Path) -> None:
    """It runs the workflow of a file and ends with its exit code, also where a body has a process of its own."""
    (tmp_path / "flow.py").write_text("""
from reactor import Workflow

flow = Workflow("answers")


@flow.task(executor="process")
def answer() -> int:
    return 42
""")
    done = python("-m", "reactor", "run", "flow.py", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"type":"run.completed"' in done.stdout.splitlines()[-1]


def test_python_m_reactor_says_what_is_missing(tmp_path: Path) -> None:
    """Without reactor_web it is one sentence and exit code 1."""
    code = """
import importlib.util as util, runpy
found = util.find_spec
util.find_spec = lambda name, *rest: None if name == "reactor_web" else found(name, *rest)
runpy.run_module("reactor", run_name="__main__")
"""
    done = python("-c", code)
    assert done.returncode == 1
    assert done.stderr == ("reactor: the command line needs the package reactor_web, which is not installed here\n")
