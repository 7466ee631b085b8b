"""Log lines of the command: text for people, JSON for programs, colours only on a terminal."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reactor.logger import get_logger
from reactor_web.terminal.log_lines import Format, Level, log_others_to_stderr, log_to_stderr
from tests.helpers.command import COMMAND, reactor
from tests.helpers.paths import ROOT


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has the set-up of ``logging`` for itself, and a terminal that has colours."""
    ours, root = logging.getLogger("reactor"), logging.getLogger()
    before = ours.handlers, ours.level, ours.propagate, list(root.handlers)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield
    ours.handlers, _, ours.propagate, root.handlers = before
    ours.setLevel(before[1])
    logging.captureWarnings(False)


def written(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO | None = None) -> io.StringIO:
    stderr = stderr or io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    return stderr


def failing() -> ValueError:
    try:
        raise ValueError("wrong \x1b[31mred")
    except ValueError as error:
        return error


def test_a_line_for_people_has_its_traceback_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several lines, and what a terminal would obey in it is shown."""
    stderr = written(monkeypatch)
    log_to_stderr(Level.WARNING, Format.TEXT)
    get_logger().error("task failed", task_id="a", exc_info=failing())
    first, *below = stderr.getvalue().splitlines()
    assert first.endswith(" [ERROR] task failed task_id=a")
    assert below[0] == "Traceback (most recent call last):"
    assert below[-1] == r"ValueError: wrong \u001b[31mred"


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file has no ANSI codes, and neither has a terminal whose user said NO_COLOR."""
    log_to_stderr(Level.INFO, Format.TEXT)
    stderr = written(monkeypatch)
    get_logger().error("task failed")
    assert "\x1b" not in stderr.getvalue()
    stderr = written(monkeypatch, Terminal())
    get_logger().error("task failed")
    assert "\x1b[31m[ERROR]\x1b[0m task failed" in stderr.getvalue()
    stderr = written(monkeypatch, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    get_logger().error("task failed")
    assert "\x1b" not in stderr.getvalue()


def test_a_json_line_is_one_object_with_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is in it: line ends, lone surrogates, an object that is not JSON; the traceback is a string."""
    stderr = written(monkeypatch)
    log_to_stderr(Level.INFO, Format.JSON)
    get_logger("reactor.web").error("stream broke off", path="/a\n\udc80", what=object, exc_info=failing())
    [text] = stderr.getvalue().splitlines()
    line = json.loads(text)
    assert (line["level"], line["logger"], line["event"]) == ("error", "reactor.web", "stream broke off")
    assert line["path"] == "/a\n\udc80"
    assert line["time"].endswith("Z")
    assert line["traceback"].startswith("Traceback (most recent call last):\n")


def test_only_lines_from_the_level_on_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--log-level``."""
    stderr = written(monkeypatch)
    log_to_stderr(Level.ERROR, Format.TEXT)
    get_logger().warning("quiet")
    get_logger().error("loud")
    assert [line.split("] ")[1] for line in stderr.getvalue().splitlines()] == ["loud"]


def test_other_libraries_are_shown_alike_unless_the_user_has_set_up_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """So all of stderr is JSON; a root logger that has a handler stays as it is. No line is there twice."""
    stderr = written(monkeypatch)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest has its own
    log_to_stderr(Level.INFO, Format.JSON)
    log_others_to_stderr(Format.JSON)
    logging.getLogger("other").warning("beware of %s", "dogs")
    get_logger().info("run started")
    lines = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert [(line["logger"], line["event"]) for line in lines] == [
        ("other", "beware of dogs"),
        ("reactor", "run started"),
    ]
    own = logging.NullHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [own])
    log_others_to_stderr(Format.JSON)
    assert logging.getLogger().handlers == [own]


BODIES = """
import sys
from reactor import Workflow

print("printed by the file")
flow = Workflow("flow")


@flow.task
def good() -> int:
    print("printed by a thread")
    return 1


@flow.task
async def bad(good: int) -> None:
    print("printed by a coroutine")
    raise ValueError("told to fail")
"""


def test_a_run_has_a_line_for_its_start_its_failed_task_and_its_end(tmp_path: Path) -> None:
    """On stderr, one JSON object each: the failed task at ERROR with run, task, attempt and traceback."""
    (tmp_path / "flow.py").write_text(BODIES)
    done = reactor("run", "flow.py", "--json", "--log-level", "info", "--log-format", "json", cwd=tmp_path)
    assert done.returncode == 1
    run_id = json.loads(done.stdout.splitlines()[0])["run_id"]
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "run started"),
        ("error", "task failed"),
        ("info", "run ended"),
    ]
    assert all(line["run_id"] == run_id for line in lines)
    failed = lines[1]
    assert (failed["task_id"], failed["attempt"]) == ("bad", 1)
    assert failed["traceback"].startswith("Traceback (most recent call last):\n")
    assert failed["traceback"].endswith("\nValueError: told to fail")
    others = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert sorted(others) == ["printed by a coroutine", "printed by a thread", "printed by the file"]


@pytest.mark.parametrize(("level", "events"), [("error", ["task failed"]), ("warning", ["task failed"])])
def test_the_level_says_which_lines_are_shown(tmp_path: Path, level: str, events: list[str]) -> None:
    """Also from the environment; what a terminal would show in colour has none in a pipe."""
    (tmp_path / "flow.py").write_text(BODIES)
    done = reactor("run", "flow.py", "--json", cwd=tmp_path, REACTOR_LOG_LEVEL=level)
    assert [event for event in ("run started", "task failed", "run ended") if event in done.stderr] == events
    assert "\x1b" not in done.stderr


def test_a_terminal_has_colours_and_no_color_takes_them_away(tmp_path: Path) -> None:
    """With a real terminal at stderr."""
    (tmp_path / "flow.py").write_text(BODIES)
    for environment, is_coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, "run", "flow.py", "--json"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/web", "TERM": "xterm", **environment},
            stdout=subprocess.DEVNULL,
            stderr=its,
        )
        os.close(its)
        written = read_all(ours)
        assert process.wait() == 1
        assert ("[\x1b[31mERROR\x1b[0m]" in written or "\x1b[31m[ERROR]\x1b[0m" in written) == is_coloured
        assert ("\x1b" in written) == is_coloured


def read_all(descriptor: int) -> str:
    """All that is written to a terminal until nobody has it any more."""
    read = b""
    while True:
        try:
            text = os.read(descriptor, 65_536)
        except OSError:  # EIO: that is how a terminal ends
            text = b""
        if not text:
            os.close(descriptor)
            return read.decode()
        read += text
