"""Sockets that tests have left open, by the tests that made them.

Nobody closes such a socket before the garbage collector finds it, and the warning then fails whatever test is running.
Most are left by a test that failed while it served: the innocent one is told which.
"""

from __future__ import annotations

import os
import re
import socket
from collections import deque
from typing import Any, Final

import pytest

_UNCLOSED: Final = re.compile(r"(?:unclosed|ignored in:) (?:transport )?<\S*[sS]ocket\S* fd=(\d+)")
_KEPT: Final = 3
"""Tests that are named: the descriptor of a socket that is closed goes to the next one."""

_made: Final[dict[int, deque[str]]] = {}
"""By descriptor: in which tests a socket with it was made, the latest last."""


def install() -> None:
    """From now on it is noted which test makes a socket."""
    make = socket.socket.__init__

    def init(self: socket.socket, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        _made.setdefault(self.fileno(), deque(maxlen=_KEPT)).append(os.environ.get("PYTEST_CURRENT_TEST", "no test"))

    socket.socket.__init__ = init  # type: ignore[method-assign]


def name_who_left_it(report: pytest.TestReport) -> None:
    """Adds to the report of an unclosed socket in which tests one with its descriptor was made."""
    if report.failed:
        for fd in dict.fromkeys(_UNCLOSED.findall(report.longreprtext)):
            tests = "\n".join(_made.get(int(fd), ["not in this process"]))
            report.sections.append((f"sockets with fd={fd} were made in these tests, the latest last", tests))
