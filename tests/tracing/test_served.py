"""What ``reactor serve`` exports: one tree below the request that started the run, whatever happens to the server."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.helpers.command import end
from tests.helpers.crash import in_log
from tests.helpers.paths import ROOT
from tests.helpers.traces import PARENT_ID, TRACE_ID, TRACEPARENT, Seen, check_tree, seen_in, told, told_by
from tests.helpers.warm import Started, start_python

FLOW = ROOT / "tests/helpers/traced_flow.py"
SECONDS = 60
STATE = "vendor=a,other@b=c"


def ask(url: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json", **headers})) as response:
        return json.loads(response.read())


def start(url: str, traceparent: str = TRACEPARENT) -> None:
    """Starts the run ``r``, as a client does that is traced."""
    headers = {"Content-Type": "application/json", "traceparent": traceparent, "tracestate": STATE}
    body = json.dumps({"workflow": "traced"}).encode()
    with urlopen(Request(f"{url}/runs/r", body, headers, method="PUT")) as response:
        assert response.status == 201


def wait(url: str, attempt: int) -> dict[str, Any]:
    """The state once both bodies ask, in this attempt, and all others have ended."""
    until = time.monotonic() + SECONDS
    asking = {"r": "asks_somebody", "r.has_a_child.1": "asks_below"}
    while time.monotonic() < until:
        states = {run_id: ask(f"{url}/runs/{run_id}")["tasks"] for run_id in asking if _is_there(url, run_id)}
        if len(states) == 2 and all(_asks(states[id], task, attempt) for id, task in asking.items()):
            return states["r"]
        time.sleep(0.02)
    raise AssertionError("they do not ask")


def _is_there(url: str, run_id: str) -> bool:
    return run_id in {run["run_id"] for run in ask(f"{url}/runs")["runs"]}


def _asks(tasks: dict[str, Any], task: str, attempt: int) -> bool:
    others = [found["status"] for id, found in tasks.items() if id not in (task, "has_a_child")]
    found = tasks.get(task, {})
    return set(others) <= {"completed"} and (found.get("status"), found.get("attempt")) == ("waiting", attempt)


def answer(url: str) -> dict[str, Any]:
    """Answers both questions: the outputs of the run."""
    ask(f"{url}/runs/r/input", {"task": "asks_somebody", "value": 1})
    ask(f"{url}/runs/r.has_a_child.1/input", {"task": "asks_below", "value": 2})
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found = ask(f"{url}/runs/r")
        if found["status"] == "completed":
            return found["outputs"]
        time.sleep(0.02)
    raise AssertionError("the run does not end")


def serve(store: Path, **environment: str) -> tuple[str, Started]:
    """Starts a server on this file, which writes its spans beside it: the URL of its API, and the process."""
    environment = environment or {"SPANS_FILE": str(store.with_suffix(".spans"))}
    words = ["-m", "reactor_web", "serve", FLOW, "--store", f"sqlite:///{store}", "--port", 0]
    process = start_python(*words, COLUMNS="200", **environment)
    match = re.search(r"serving on (\S+)", process.stdout.readline())
    assert match is not None
    return f"{match[1]}/api/v1", process


def leave(process: Started, how: signal.Signals = signal.SIGTERM) -> str:
    """Ends the server: what it has written to stdout since it is ready."""
    process.send_signal(how)
    return process.communicate(timeout=SECONDS)[0]


def spans_beside(store: Path) -> list[Seen]:
    """Those that the server and its workers have written so far."""
    return seen_in(store.with_suffix(".spans").read_text())


def check(spans: list[Seen], store: Path) -> None:
    """One tree below the request; of ours exactly those that the logs of both runs say."""
    check_tree(spans, PARENT_ID)
    assert {span.trace_id for span in spans} == {TRACE_ID}
    assert told(spans) == told_by(in_log(store, "r")) + told_by(in_log(store, "r.has_a_child.1"))


def above(spans: list[Seen], name: str) -> list[tuple[str, Any]]:
    """(name, attempt) of what the spans of this name are in."""
    by_id = {span.span_id: span for span in spans}
    found = [by_id[span.parent_id or ""] for span in spans if span.name == name]
    return [(span.name, span.attributes.get("reactor.attempt")) for span in found]


@pytest.mark.slow
def test_a_run_is_one_tree_below_the_request(tmp_path: Path) -> None:
    """With threads, processes, a child run, a retry and calls; spans of users are in what they were made in."""
    store = tmp_path / "runs.db"
    url, process = serve(store)
    try:
        start(url)
        wait(url, 1)
        outputs = answer(url)
        leave(process)
    finally:
        end(process)
    spans = spans_beside(store)
    check(spans, store)
    assert above(spans, "work in a thread") == [("task in_a_thread", 1)]
    assert above(spans, "work in a process") == [("task in_a_process", 1)]
    assert above(spans, "request in a process") == [("chat gpt-process", 1)]
    assert above(spans, "async work in a process") == [("task async_in_a_process", 1)]
    assert above(spans, "request") == [("chat gpt-x", 1), ("chat gpt-x", 2)]
    assert above(spans, "run child") == [("task has_a_child", 1)]
    assert above(spans, "work in the child") == [("task leaf", 1)]
    [attempt] = [span for span in spans if span.name == "task in_a_process"]
    place = f"00-{TRACE_ID}-{attempt.span_id}-01"
    traceparent, environment, pid = outputs["in_a_process"]
    assert (traceparent, environment) == (place, [place, STATE])
    assert pid != process.pid


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_leaves_one_tree(tmp_path: Path) -> None:
    """``kill -9``, and a new process on the same file: no span is there twice, and none is missing."""
    store = tmp_path / "runs.db"
    url, process = serve(store)
    try:
        start(url)
        wait(url, 1)
        leave(process, signal.SIGKILL)
    finally:
        end(process)
    before = spans_beside(store)
    url, process = serve(store)
    try:
        wait(url, 2)
        answer(url)
        leave(process)
    finally:
        end(process)
    spans = spans_beside(store)
    check(spans, store)
    after = spans[len(before) :]
    assert {"task asks_a_model", "task in_a_process", "chat gpt-x", "task leaf"} <= {span.name for span in before}
    lost = [(span.name, span.attributes["error.type"], span.status) for span in after if _is_lost(span)]
    assert sorted(lost) == [
        ("chat gpt-open", "worker_lost", "ERROR"),
        ("task asks_below", "worker_lost", "ERROR"),
        ("task asks_somebody", "worker_lost", "ERROR"),
        ("task has_a_child", "worker_lost", "ERROR"),
    ]
    assert above(spans, "run child") == [("task has_a_child", 1)]


def _is_lost(span: Seen) -> bool:
    return span.attributes.get("reactor.status") == "lost"


@pytest.mark.slow
def test_the_environment_sets_up_a_server_and_its_workers(tmp_path: Path) -> None:
    """``OTEL_TRACES_EXPORTER=console`` and nothing else; what is waiting to be sent at the end is sent."""
    store = tmp_path / "runs.db"
    url, process = serve(store, OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="shop")
    try:
        start(url)
        wait(url, 1)
        answer(url)
        out = leave(process)
    finally:
        end(process)
    spans = seen_in(_one_a_line(out))
    check(spans, store)
    assert above(spans, "work in a process") == [("task in_a_process", 1)]
    assert '"service.name": "shop"' in out


def _one_a_line(out: str) -> str:
    """The exporter of the SDK writes a span over many lines."""
    found, decoder = list[str](), json.JSONDecoder()
    at = out.find("{\n")
    while at >= 0:
        span, at = decoder.raw_decode(out, at)
        found.append(json.dumps(span))
        at = out.find("{\n", at)
    return "\n".join(found)


@pytest.mark.slow
def test_a_request_that_is_not_sampled_leaves_nothing(tmp_path: Path) -> None:
    """Its flag says so: no span of ours, and none of the users' in any body; what is sent on says so, too."""
    store = tmp_path / "runs.db"
    url, process = serve(store)
    try:
        start(url, TRACEPARENT[:-1] + "0")
        wait(url, 1)
        outputs = answer(url)
        leave(process)
    finally:
        end(process)
    assert spans_beside(store) == []
    assert outputs["in_a_process"][0].endswith("-00")
