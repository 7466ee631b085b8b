"""Real trouble in a real server has the values that the alerts look at, and they are gone when it is."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import orjson
import pytest

from tests.helpers.command import end, start_server
from tests.helpers.paths import ROOT
from tests.helpers.promtool import value
from tests.helpers.runs import PATIENCE

pytestmark = pytest.mark.slow

FLOW = ROOT / "tests/helpers/troubles.py"
OTHER_FLOW = ROOT / "tests/helpers/tokens.py"


def read(url: str) -> str:
    with urlopen(f"{url}/metrics", timeout=PATIENCE) as answer:
        return answer.read().decode()


def ask(url: str, method: str, path: str, body: object) -> None:
    request = Request(f"{url}{path}", orjson.dumps(body), {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=PATIENCE):
        pass


def wait_until(url: str, holds: Callable[[str], bool]) -> str:
    """The first page of which it is true: asked again and again, as Prometheus does."""
    until = time.monotonic() + PATIENCE
    while not holds(page := read(url)):
        assert time.monotonic() < until, page
        time.sleep(0.05)
    return page


def test_a_log_that_hangs_is_seen_to_wait(tmp_path: Path) -> None:
    """Another process has the lock on the file: what is appended waits, and its time grows until the lock is gone."""
    file = tmp_path / "runs.db"
    url, process = start_server(FLOW, "--store", f"sqlite:///{file}")
    try:
        ask(url, "PUT", "/runs/r1", {"workflow": "asking"})
        assert value(read(url), "reactor_append_pending_seconds") == 0
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            pause = Request(f"{url}/runs/r1/pause", b"{}", {"Content-Type": "application/json"}, method="POST")
            with pytest.raises(TimeoutError):
                urlopen(pause, timeout=0.5)
            page = wait_until(url, lambda page: value(page, "reactor_append_pending_seconds") > 1)
            assert value(page, "reactor_runs_open") == 1
            # the log gives up after ten seconds: then its run is lost, and waits for the log
            page = wait_until(url, lambda page: value(page, "reactor_runs_lost") == 1)
            assert value(page, "reactor_stalls_total", kind="log") == 1
        finally:
            holder.execute("ROLLBACK")
            holder.close()
        page = wait_until(url, lambda page: value(page, "reactor_runs_open") == 1)
        assert (value(page, "reactor_append_pending_seconds"), value(page, "reactor_runs_lost")) == (0, 0)
    finally:
        end(process)


def test_a_thread_that_does_not_stop_is_stuck_until_it_ends(tmp_path: Path) -> None:
    """Its run was cancelled and has ended; the thread goes on, and is no use to anybody."""
    file = tmp_path / "go"
    url, process = start_server(FLOW, "--store", "memory://")
    try:
        ask(url, "PUT", "/runs/r1", {"workflow": "stuck", "input": {"file": str(file)}})
        wait_until(url, lambda page: value(page, "reactor_threads", state="busy") == 1)
        ask(url, "POST", "/runs/r1/cancel", {"grace": 0})
        page = wait_until(url, lambda page: value(page, "reactor_threads", state="stuck") == 1)
        assert value(page, "reactor_threads", state="busy") == 0
        wait_until(url, lambda page: value(page, "reactor_runs_total", workflow="stuck", status="cancelled") == 1)
        file.touch()
        page = wait_until(url, lambda page: value(page, "reactor_threads", state="stuck") == 0)
        assert value(page, "reactor_threads", state="idle") == 1
    finally:
        end(process)


def test_runs_whose_workflow_is_gone_are_stranded_until_somebody_ends_them(tmp_path: Path) -> None:
    """A restart without their workflow leaves them. That nothing is ever deleted from this log is seen, too."""
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    url, process = start_server(FLOW, "--store", store)
    try:
        for id in ("r1", "r2"):
            ask(url, "PUT", f"/runs/{id}", {"workflow": "asking"})
        wait_until(url, lambda page: value(page, "reactor_questions_open") == 2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        url, process = start_server(OTHER_FLOW, "--store", store)
        page = read(url)
        assert (value(page, "reactor_runs_stranded"), value(page, "reactor_runs_open")) == (2, 0)
        assert value(page, "reactor_log_retention_seconds") == value(page, "reactor_log_retention_runs") == 0
        ask(url, "POST", "/runs/r1/cancel", {})
        page = wait_until(url, lambda page: value(page, "reactor_runs_stranded") == 1)
        assert value(page, "reactor_runs_total", workflow="other", status="cancelled") == 1
    finally:
        end(process)


@pytest.mark.parametrize(("query", "kept"), [("?keep_days=2", (172_800, 0)), ("?keep_runs=5", (0, 5))])
def test_retention_is_shown_as_it_is_set(tmp_path: Path, query: str, kept: tuple[int, int]) -> None:
    """One of the two is enough for the alert to be silent."""
    url, process = start_server(FLOW, "--store", f"sqlite:///{tmp_path / 'runs.db'}{query}")
    try:
        page = read(url)
    finally:
        end(process)
    assert (value(page, "reactor_log_retention_seconds"), value(page, "reactor_log_retention_runs")) == kept
