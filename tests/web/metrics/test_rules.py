"""The alerts fire on what they are for; the dashboard and the docs name metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from reactor_web.metrics.names import METRICS
from tests.helpers.paths import ROOT
from tests.helpers.promtool import check_rules, promtool

ALERTS = ROOT / "docs/alerts.yml"
BOARD = ROOT / "docs/grafana.json"
PAGE = ROOT / "docs/metrics.md"
NAME = re.compile(r"\b(?:reactor|process)_[a-z_]+\b")
OF_THE_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
"""Of the library, which are on the page, too."""


def known(name: str) -> bool:
    return name in OF_THE_PROCESS or name in METRICS or re.sub("_(bucket|sum|count)$", "", name) in METRICS


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def test_prometheus_takes_the_alerts() -> None:
    """As they are shipped."""
    check_rules(ALERTS)


def test_each_alert_fires_on_its_trouble_and_is_silent_without() -> None:
    """In simulated time; every alert that is shipped is among those that fire."""
    cases = Path(__file__).with_name("alerts_test.yml")
    done = promtool("test", "rules", cases)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {rule["alert"] for rule in rules()} == set(re.findall(r'alertname="(\w+)"', cases.read_text()))


def test_each_alert_says_what_to_do_and_names_what_there_is() -> None:
    """A summary in sentences, a severity, and the section of the runbook."""
    for rule in rules():
        assert {name for name in NAME.findall(rule["expr"]) if not known(name)} == set()
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].count(".") >= 2
        assert re.fullmatch(r"docs/operate\.md#[a-z-]+", rule["annotations"]["runbook"])


def panels() -> list[dict[str, Any]]:
    return json.loads(BOARD.read_text())["panels"]


def expressions() -> Iterator[str]:
    """Of all panels, with what Grafana puts in place of its variables."""
    for panel in panels():
        for target in panel.get("targets", ()):
            found = target["expr"].replace("$__rate_interval", "1m")
            yield re.sub(r"\$(job|instance)\b", ".*", found)


def test_prometheus_takes_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    """Each as a rule of its own."""
    found = [{"record": f"of:dashboard:{n}", "expr": expr} for n, expr in enumerate(expressions())]
    assert len(found) > 30
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": found}]}))
    check_rules(file)


def test_the_dashboard_shows_what_there_is() -> None:
    """Every metric, under its row, and none that there is not."""
    assert [panel["title"] for panel in panels() if panel["type"] == "row"] == [
        "Runs", "Tasks", "Streams", "Log", "Process",
    ]  # fmt: skip
    named = {name for expr in expressions() for name in NAME.findall(expr)}
    assert {name for name in named if not known(name)} == set()
    shown = {re.sub("_bucket$", "", name) for name in named}
    assert set(METRICS) - shown == set()
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)


def test_the_page_has_every_metric_as_it_is() -> None:
    """Name, type, labels and what it says."""
    rows = re.findall(r"^\| `(reactor_\w+)` \| (\w+) \| (.*?) \| (.*?) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    found = {name: (type, labels, says) for name, type, labels, says, _ in rows}
    assert found == {
        name: (metric.type, " ".join(f"`{label}`" for label in metric.labels) or "-", metric.help)
        for name, metric in METRICS.items()
    }
