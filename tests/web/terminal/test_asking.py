"""`reactor run` asks on the terminal what a task asks; without one it says how to answer."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from pathlib import Path

import pytest

from reactor_web.terminal.asking import answer_of
from tests.helpers.command import end, start_reactor
from tests.helpers.stored_runs import FLOW
from tests.helpers.warm import start_python

PATIENCE = 60.0

ON_A_TERMINAL = """
import os, sys
from reactor_web.terminal.cli import main

os.login_tty(os.open(sys.argv.pop(1), os.O_RDWR))
sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
main()
"""


class Terminal:
    """A pseudo-terminal with the command at its other end: what it shows is read, what is typed is written."""

    def __init__(self, folder: Path, *words: object) -> None:
        self.ours, theirs = pty.openpty()
        script = folder / "on_a_terminal.py"
        script.write_text(ON_A_TERMINAL)
        self.process = start_python(script, os.ttyname(theirs), *words, COLUMNS="100", TERM="xterm")
        self._theirs = theirs  # open until the command has it
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Reads until the text is shown, after what was waited for before."""
        until = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < until, self.shown
            if select.select([self.ours], [], [], 1.0)[0]:
                self.shown += os.read(self.ours, 65_536).decode(errors="replace")
        self.shown = self.shown.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def close(self) -> None:
        end(self.process)
        os.close(self.ours)
        os.close(self._theirs)


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    file = tmp_path / "release.py"
    file.write_text(FLOW)
    return file


def test_a_question_is_asked_with_its_choices_until_the_answer_fits(flow: Path, tmp_path: Path) -> None:
    """A choice is named by its text or its number; the run goes on with it, and its output is printed."""
    terminal = Terminal(tmp_path, "run", flow, "version=v1")
    try:
        terminal.wait_for("deploy when?")
        terminal.wait_for('1) "now"')
        terminal.wait_for('2) "later"')
        terminal.wait_for("> ")
        terminal.type("soon\n")
        terminal.wait_for("'soon' is not one of ['now', 'later']")
        terminal.type("2\n")
        terminal.wait_for("v1 later")
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()


def test_ctrl_c_at_a_question_cancels_the_run(flow: Path, tmp_path: Path) -> None:
    """As at any other time: its events say so, exit code 3."""
    terminal = Terminal(tmp_path, "run", flow, "version=v1")
    try:
        terminal.wait_for("> ")
        terminal.type("\x03")
        terminal.wait_for("cancelling")
        assert terminal.process.wait(PATIENCE) == 3
    finally:
        terminal.close()


def test_without_a_terminal_it_is_said_how_to_answer(flow: Path) -> None:
    """Once for each question, on stderr; the run waits."""
    process = start_reactor("run", flow, "version=v1")
    try:
        said = process.stderr.readline()
        assert re.fullmatch(
            r"reactor: task deploy asks \[1\] deploy when\?; there is no terminal to ask on: start with"
            r" --send deploy:1=VALUE, or serve the workflow and `reactor send \S+ deploy VALUE`\n",
            said,
        )
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
        assert err.startswith("reactor: cancelling")
    finally:
        end(process)


@pytest.mark.parametrize(
    ("line", "schema", "values", "answer"),
    [
        ("now", {"enum": ["now", "later"]}, ["now", "later"], "now"),
        ('"now"', {"enum": ["now", "later"]}, ["now", "later"], "now"),
        ("2", {"enum": ["now", "later"]}, ["now", "later"], "later"),
        ("3", {"enum": ["now", "later"]}, ["now", "later"], 3),
        ("2", {"enum": [3, 2]}, [3, 2], 2),
        ("yes", {"type": "boolean"}, [True, False], True),
        ("false", {"type": "boolean"}, [True, False], False),
        ("5", {"type": "string"}, [], "5"),
        ("5", {"type": "integer"}, [], 5),
        ('{"a": 1}', None, [], {"a": 1}),
        ("some words", None, [], "some words"),
    ],
)
def test_a_line_means_what_the_question_wants(line: str, schema: object, values: list[object], answer: object) -> None:
    """A choice by its text comes before one by its number; text is text, where text is wanted."""
    assert answer_of(line, schema, values) == answer  # type: ignore[arg-type]
