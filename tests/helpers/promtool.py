"""Prometheus's own judge, and reading a page as Prometheus does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def promtool(*arguments: object, input: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs it; skips the test where it is not installed (Debian: prometheus)."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("judged by promtool, which is not here (Debian: prometheus)")
    return subprocess.run([found, *map(str, arguments)], input=input, capture_output=True, text=True, check=False)


def check_rules(path: Path) -> None:
    """Raises AssertionError, with what promtool says, for a file of rules that it does not take."""
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def samples(page: str) -> list[Sample]:
    """All samples of a page."""
    return [sample for family in text_string_to_metric_families(page) for sample in family.samples]


def value(page: str, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels; 0 where there is none."""
    return sum(
        sample.value for sample in samples(page) if sample.name == name and labels.items() <= sample.labels.items()
    )
