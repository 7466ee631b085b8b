"""What facts mean, and where the line is between well and not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reactor_web.terminal.doctor import findings as module
from reactor_web.terminal.doctor.facts import Facts, Question, RedisFacts, take_facts
from reactor_web.terminal.doctor.findings import findings
from tests.helpers.paths import ROOT

GOOD_REDIS = {"policy": "noeviction", "appends": True, "fsync": "always", "max_bytes": 100, "used_bytes": 90}
WELL: dict[str, Any] = {
    "is_accepting": True, "open_runs": 7, "stranded_runs": 0, "stuck_threads": 0, "append_pending_seconds": 1.0,
    "loop_lag_seconds": 0.1, "is_durable": True, "keeps_all": False, "is_open_to_all": False, "allows_any_host": False,
    "is_forwarded_by_stranger": False, "clock_skew_seconds": -5.0, "questions": (Question("r", 86_400.0),),
    "schema": 6, "newest_schema": 6, "ownerless_runs": 0, "free_bytes": 5, "disk_bytes": 100,
    "redis": RedisFacts(**GOOD_REDIS),
}  # fmt: skip

ILL: list[tuple[str, dict[str, Any]]] = [
    ("log-unavailable", {"log_problem": "it is gone", "is_accepting": False}),
    ("log-slow", {"append_pending_seconds": 1.1}),
    ("disk-full", {"free_bytes": 4}),
    ("retention-off", {"keeps_all": True}),
    ("old-schema", {"schema": 5}),
    ("no-owner", {"ownerless_runs": 1}),
    ("stranded-runs", {"stranded_runs": 2}),
    ("stuck-threads", {"stuck_threads": 1}),
    ("old-questions", {"questions": (Question("r", 86_401.0), Question("s", 1.0))}),
    ("open-to-all", {"is_open_to_all": True}),
    ("proxy-not-trusted", {"is_forwarded_by_stranger": True}),
    ("any-host", {"allows_any_host": True}),
    ("key-file", {"key_file_problem": "others may read it"}),
    ("draining", {"is_accepting": False}),
    ("loop-lag", {"loop_lag_seconds": 0.11}),
    ("clock-skew", {"clock_skew_seconds": 5.1}),
    ("redis-evicts", {"redis": RedisFacts(**{**GOOD_REDIS, "policy": "allkeys-lru"})}),
    ("redis-not-durable", {"redis": RedisFacts(**{**GOOD_REDIS, "appends": False, "fsync": "no"})}),
    ("redis-fsync", {"redis": RedisFacts(**{**GOOD_REDIS, "fsync": "no"})}),
    ("redis-no-limit", {"redis": RedisFacts(**{**GOOD_REDIS, "max_bytes": 0})}),
    ("redis-full", {"redis": RedisFacts(**{**GOOD_REDIS, "used_bytes": 91})}),
]


def test_where_nothing_is_wrong_nothing_is_said() -> None:
    """At each line, on this side of it; and where nobody has looked."""
    assert findings(Facts(**WELL)) == []
    assert findings(Facts()) == []
    assert findings(Facts(keeps_all=True, is_durable=False)) == []  # what is in memory does not grow without end


@pytest.mark.parametrize(("name", "ill"), ILL, ids=[name for name, _ in ILL])
def test_one_trouble_is_one_finding(name: str, ill: dict[str, Any]) -> None:
    """Just beyond the line, with all else well."""
    (found,) = findings(Facts(**{**WELL, **ill}))
    assert found.name == name
    assert found.remedy.endswith(".")
    assert not found.wrong.endswith(".")


def test_the_page_names_every_finding() -> None:
    """And there is no finding without a row here."""
    written = set(re.findall(r'Finding\(\s*"([a-z-]+)"', (ROOT / str(module.__file__)).read_text()))
    assert written == {name for name, _ in ILL}
    page = (ROOT / "docs" / "doctor.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == written


def test_what_a_later_server_says_as_well_is_left_out() -> None:
    """A doctor understands servers that know more than it does."""
    assert take_facts({"stuck_threads": 1, "time": "2026-12-01T00:00:00Z", "of_later": True}) == {"stuck_threads": 1}
