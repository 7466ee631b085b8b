"""What a command line names is found as Python finds it, and an error in it is told with its place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor_web.terminal.load import LoadError, load_workflow, load_workflows, workflows_beside

FLOW = """
from reactor import Workflow
flow = Workflow({name!r})
flow.task(lambda: {value}, name="one")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder; what is imported in it is forgotten."""
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    """Writes ``name.py``; ``__`` in a name stands for a folder."""
    for name, text in files.items():
        file = folder / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def problem(target: str) -> str:
    with pytest.raises(LoadError) as caught:
        load_workflows(target)
    return str(caught.value)


def test_a_name_without_py_is_a_module_of_this_folder(folder: Path) -> None:
    """``reactor run boom`` finds ./boom.py, as ``python -m boom`` would."""
    write(folder, boom_flow=FLOW.format(name="boom", value=1))
    assert load_workflow("boom_flow").name == "boom"


def test_a_file_of_a_package_may_import_with_dots(folder: Path) -> None:
    """By its path or by its name: it is one module, and both ways give the same workflow."""
    (folder / "shop_pkg" / "deep").mkdir(parents=True)
    for package in ("shop_pkg", "shop_pkg/deep"):
        (folder / package / "__init__.py").touch()
    write(folder, shop_pkg__prices="PRICE = 7\n")
    write(folder, shop_pkg__deep__flow="from ..prices import PRICE\n" + FLOW.format(name="shop", value="PRICE"))
    by_path = load_workflow("shop_pkg/deep/flow.py")
    assert by_path.name == "shop"
    assert load_workflow("shop_pkg.deep.flow") is by_path


def test_a_package_may_define_workflows(folder: Path) -> None:
    """The name of a folder with an __init__.py is the name of a module."""
    (folder / "flows_pkg").mkdir()
    (folder / "flows_pkg" / "__init__.py").write_text(FLOW.format(name="inside", value=1))
    assert load_workflow("flows_pkg").name == "inside"


def test_a_dot_without_a_package_is_told_what_is_missing(folder: Path) -> None:
    """The sentence says what to add."""
    write(folder, dotted_flow="from .prices import PRICE\n")
    said = problem("dotted_flow.py")
    assert "(dotted_flow.py, line 1); a file that imports with a dot needs an __init__.py beside it" in said


def test_a_folder_is_told_to_name_a_file(folder: Path) -> None:
    """A folder that is no package defines nothing."""
    (folder / "plain").mkdir()
    assert problem("plain") == "plain is a folder: name a file in it, or a module"


def test_an_error_at_import_has_the_line_of_the_users_file(folder: Path) -> None:
    """Not of the library below it; of a file that the target imports, if it is there."""
    write(folder, raises_in_json="import json\n\n\ndef read():\n    json.loads('{')\n\n\nread()\n")
    write(folder, raises_beside="import broken_helper\n", broken_helper="x = 1\nx.nothing\n")
    assert problem("raises_in_json.py").endswith("(raises_in_json.py, line 5)")
    said = problem("raises_beside.py")
    assert said.startswith("raises_beside.py cannot be imported: AttributeError: ")
    assert said.endswith("(broken_helper.py, line 2)")


def test_a_module_that_is_missing_is_told_with_the_line_that_wants_it(folder: Path) -> None:
    """Where the target itself is missing there is no such line."""
    write(folder, wants="\nimport no_such_module\n")
    assert problem("wants.py") == "wants.py: there is no module 'no_such_module' (wants.py, line 2)"
    assert problem("no_such_target") == "no_such_target: there is no module 'no_such_target'"


def test_a_syntax_error_names_the_file_it_is_in(folder: Path) -> None:
    """Which may be one that the target imports."""
    write(folder, imports_bad="import bad_syntax\n", bad_syntax="x = 1\ndef (:\n")
    assert problem("imports_bad.py").startswith("bad_syntax.py, line 2: ")


def test_a_file_that_exits_while_it_is_imported_is_told_so(folder: Path) -> None:
    """The command does not end silently with the exit code of the file."""
    write(folder, exits_early="import sys\n\nsys.exit(0)\n")
    said = problem("exits_early.py")
    assert said == (
        "exits_early.py ends the process while it is imported (exits_early.py, line 3); "
        'put that under if __name__ == "__main__":'
    )


LAZY = """
import sys

class Lazy:
    @property
    def __class__(self):
        raise RuntimeError("settings are not configured")

settings = Lazy()
sys.modules["lazy_module"] = settings
"""


def test_a_lazy_object_that_raises_is_no_workflow(folder: Path) -> None:
    """Settings that nobody has configured, at module level or in the place of a module, are passed over."""
    write(folder, lazy_flow=LAZY + FLOW.format(name="lazy", value=1))
    workflow = load_workflow("lazy_flow.py")
    assert workflow.name == "lazy"
    assert workflows_beside(workflow) == []
    write(folder, lazy_alone=LAZY)
    assert problem("lazy_alone.py") == "lazy_alone.py defines no workflow at module level"
