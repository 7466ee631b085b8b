"""The command ``reactor`` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.helpers.paths import ROOT

COMMAND = (sys.executable, "-m", "reactor_web")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def reactor(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=_environment())


def start_reactor(*arguments: object) -> subprocess.Popen[str]:
    """Starts the command; the caller ends it."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=_environment(),
    )  # fmt: skip


def start_server(*arguments: object) -> tuple[str, subprocess.Popen[str]]:
    """Starts ``reactor serve`` on a free port: the URL of its API, and the process."""
    process = start_reactor("serve", *arguments, "--port", 0)
    assert process.stdout is not None
    match = re.search(r"serving on (\S+)", process.stdout.readline())
    assert match is not None
    return f"{match[1]}/api/v1", process


def end(process: subprocess.Popen[str]) -> None:
    """Kills a process, if it still runs, and closes its pipes."""
    process.kill()
    process.communicate()
