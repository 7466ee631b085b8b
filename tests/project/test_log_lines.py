"""docs/logging.md lists every log line that the sources write, with its level and its fields."""

from __future__ import annotations

import re

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
