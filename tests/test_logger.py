"""The library logs through standard ``logging``; nothing of it is printed on stdout."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from reactor.logger import get_logger
from tests.helpers.paths import ROOT

FAILING = """
import asyncio
import time
from reactor import Engine, Workflow

flow = Workflow("held")

@flow.task
async def holds_the_loop() -> None:
    time.sleep(0.15)

async def main():
    async with Engine() as engine:
        await (await engine.start(flow))

asyncio.run(main())
"""


def test_a_line_is_a_sentence_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    """As one text for any handler, and as values for one that wants them."""
    get_logger().warning("run not recovered", run_id="r", reason="it is gone", traceback="Traceback ...")
    [record] = caplog.records
    assert record.name == "reactor"
    assert record.getMessage() == "run not recovered run_id=r reason=it is gone\nTraceback ..."
    assert record.fields["reason"] == "it is gone"  # type: ignore[attr-defined]


def test_percent_signs_in_a_line_are_text(caplog: pytest.LogCaptureFixture) -> None:
    get_logger().error("100 % of it", value="%s %d")
    assert caplog.records[0].getMessage() == "100 % of it value=%s %d"


def test_a_level_that_is_switched_off_costs_nothing_and_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="reactor"):
        get_logger().warning("quiet")
    assert caplog.records == []


def test_without_configuration_warnings_go_to_stderr_and_stdout_stays_empty() -> None:
    """A program that uses the library owns its stdout."""
    done = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    assert "a body held the event loop" in done.stderr
