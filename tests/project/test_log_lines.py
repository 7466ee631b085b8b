"""docs/logging.md lists every log line that the sources write, with its level and its fields."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from tests.helpers.command import run_code
from tests.helpers.paths import ROOT
from tests.project.log_calls import LogCall, log_calls

ROW = re.compile(r"^\| (?P<event>[^|]+) \| (?P<level>[A-Z]+) \| (?P<keys>[^|]*) \| [^|]+ \|$", re.MULTILINE)


def documented() -> set[LogCall]:
    page = (ROOT / "docs" / "logging.md").read_text()
    return {
        LogCall(row["event"], row["level"].lower(), frozenset(re.findall(r"`(\w+)`", row["keys"])))
        for row in ROW.finditer(page)
    }


def row_of(call: LogCall) -> str:
    return f"| {call.event} | {call.level.upper()} | {', '.join(f'`{key}`' for key in sorted(call.keys))} | … |"


def test_the_page_lists_every_line_and_no_other() -> None:
    """The event, its level, its keys. A line that is missing is printed as the row to add."""
    written, listed = set(log_calls()), documented()
    assert not written - listed, "\n".join(["missing in docs/logging.md:", *map(row_of, sorted(written - listed))])
    assert not listed - written, "\n".join(["nothing writes these any more:", *map(row_of, sorted(listed - written))])


def test_every_failed_task_and_every_end_of_a_run_has_its_line() -> None:
    """The lines that operators rely on are found in the sources: the test above is not empty."""
    calls = {call.event: call for call in log_calls()}
    assert calls["task failed"].level == "error"
    assert calls["task failed"].keys == {"run_id", "task_id", "attempt", "traceback"}
    assert {calls["run started"].level, calls["run ended"].level} == {"info"}


def test_the_sample_of_json_lines_prints_what_the_page_shows() -> None:
    """The same lines with the same fields in the same order; each has its time, and the end of the run is one."""
    section = (ROOT / "docs" / "logging.md").read_text().partition("## As JSON lines")[2].partition("\n## ")[0]
    code, shown = section.partition("```python\n")[2].split("```")[0], section.partition("```text\n")[2].split("```")[0]
    done = run_code(code)
    assert done.returncode == 0, done.stderr
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [json.loads(line) for line in shown.splitlines()]
    assert [list(line) for line in printed] == [list(line) for line in expected]
    varying = ("time", "duration_ms")
    assert [without(line, varying) for line in printed] == [without(line, varying) for line in expected]
    assert [line["event"] for line in printed] == ["run started", "run ended"]
    assert all(datetime.fromisoformat(line["time"]).tzinfo is not None for line in printed)


def without(line: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in names}


def test_the_warnings_that_are_said_once_are_listed() -> None:
    """Their sentences are found too, with a sign for what is filled in."""
    assert "… returned …, but its annotation says …" in {call.event for call in log_calls()}
