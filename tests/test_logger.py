"""The library logs through standard ``logging``; nothing of it is printed on stdout."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import pytest
import structlog

from reactor.logger import fields_of, get_logger, lift_fields
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
    get_logger().warning("run not recovered", run_id="r", reason="it is gone", parent=None)
    [record] = caplog.records
    assert record.name == "reactor"
    assert record.getMessage() == "run not recovered run_id=r reason=it is gone"
    assert record.fields["reason"] == "it is gone"  # type: ignore[attr-defined]


def test_a_line_says_where_in_the_sources_it_comes_from(caplog: pytest.LogCaptureFixture) -> None:
    """``%(funcName)s`` and ``%(filename)s`` of a format are those of the caller, not those of structlog."""
    get_logger().error("here")
    [record] = caplog.records
    assert (record.filename, record.funcName) == ("test_logger.py", sys._getframe().f_code.co_name)


def test_what_a_user_wrote_neither_ends_a_line_nor_moves_a_cursor(caplog: pytest.LogCaptureFixture) -> None:
    """Line ends and escape sequences in a value are shown, not obeyed; the fields have the value itself."""
    evil = "x\n2026-01-01 ERROR all is lost \x1b[31m"
    get_logger().error("not kept", error=evil)
    [record] = caplog.records
    assert record.getMessage() == r"not kept error=x\n2026-01-01 ERROR all is lost \x1b[31m"
    assert fields_of(record)["error"] == evil


def test_a_traceback_is_what_logging_calls_exc_info(caplog: pytest.LogCaptureFixture) -> None:
    """So any formatter shows it over several lines, and error trackers find the exception."""
    error = ValueError("wrong")
    get_logger().error("task failed", task_id="a", exc_info=error)
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert record.getMessage() == "task failed task_id=a"


def test_a_handler_that_raises_breaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Its error is shown on stderr, and the caller of the log line goes on."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("the disk of the logs is full")

    handler = Broken()
    logging.getLogger("reactor").addHandler(handler)
    try:
        get_logger().error("task failed")
    finally:
        logging.getLogger("reactor").removeHandler(handler)
    assert "the disk of the logs is full" in capsys.readouterr().err


def test_an_application_that_logs_with_structlog_gets_the_fields_as_keys() -> None:
    """``lift_fields`` is a processor for the records of others."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, lift_fields],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.getLogger("reactor").addHandler(handler)
    try:
        get_logger().warning("run not recovered", run_id="r", reason="it is gone")
    finally:
        logging.getLogger("reactor").removeHandler(handler)
    assert json.loads(written.getvalue()) == {
        "event": "run not recovered", "level": "warning", "run_id": "r", "reason": "it is gone",
    }  # fmt: skip


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
