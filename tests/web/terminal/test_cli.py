"""The command ``reactor`` as a process: output, exit codes, signals."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.helpers import family
from tests.helpers.command import end, reactor, start_reactor, start_server
from tests.helpers.paths import ROOT
from tests.helpers.warm import Started

STORE = "memory://"

PRINTS = """
import os
from reactor import Workflow

print("printed by the file")
flow = Workflow("prints")

@flow.task(executor="process")
def in_a_process() -> int:
    print("printed by a process")
    return 1

@flow.task
def in_a_thread() -> None:
    print("printed by a thread")
    os.system("echo printed by a program")
    raise ValueError("told to fail")
"""

STUCK = """
import time
from pathlib import Path
from reactor import Workflow

flow = Workflow("stuck")

@flow.task
def stuck(folder: str) -> None:
    Path(folder, "begun").touch()
    time.sleep(60)
"""

FLOW = """
import asyncio
from pathlib import Path
from tests.helpers.paths import ROOT
from reactor import Context, Workflow

flow = Workflow("flow")

@flow.task
async def gate(folder: str, fail: bool = False) -> str:
    Path(folder, "begun").touch()
    while not Path(folder, "open").exists():
        await asyncio.sleep(0.01)
    if fail:
        raise ValueError("told to fail")
    return "opened"

@flow.task
async def after(gate: str) -> str:
    return gate.upper()
"""


@pytest.fixture(scope="module")
def flow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("flows") / "flow.py"
    file.write_text(FLOW)
    return file


@pytest.fixture(scope="module")
def server(flow_file: Path) -> Iterator[tuple[str, Started]]:
    url, process = start_server(flow_file, "--store", STORE)
    yield url, process
    end(process)


def start(url: str, **input: object) -> str:
    body = json.dumps({"input": input}).encode()
    request = Request(f"{url}/workflows/flow/runs", body, {"Content-Type": "application/json"})
    with urlopen(request) as response:
        return json.load(response)["run_id"]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_run_shows_the_run_and_prints_its_outputs() -> None:
    """If stdout is not a terminal, plain lines; the exit code is 0."""
    done = reactor("run", "examples/hello.py", "name=Ada")
    assert done.returncode == 0, done.stderr
    assert "greet completed" in done.stdout
    assert "Hello, Ada!" in done.stdout


def test_run_json_is_the_log_one_event_a_line() -> None:
    """Nothing else is on stdout, and seq is 1..N."""
    done = reactor("run", "examples/hello.py", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "run.completed"


def test_json_is_one_event_a_line_whatever_prints(tmp_path: Path) -> None:
    """What the file, a thread, a process and a program print is on stderr, as the traceback of the failure is."""
    file = tmp_path / "prints.py"
    file.write_text(PRINTS)
    done = reactor("run", file, "--json")
    assert done.returncode == 1
    types = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert (types[0], types[-1]) == ("run.started", "run.failed")
    for who in ("the file", "a process", "a thread", "a program"):
        assert f"printed by {who}\n" in done.stderr
    assert "[ERROR] task failed run_id=" in done.stderr
    assert f'File "{file}", line 17, in in_a_thread' in done.stderr
    assert "\nValueError: told to fail\n" in done.stderr
    chart = reactor("graph", file)
    assert chart.stdout.startswith("flowchart TD\n")


ASKING = """
from reactor import Context, Workflow

flow = Workflow("asking")

@flow.task
async def ask(ctx: Context) -> list[object]:
    return [await ctx.receive("one?"), await ctx.receive("two?", key="second"), await ctx.receive("three?")]
"""


@pytest.mark.parametrize(
    "sent",
    [["ask=1", "ask:second=2", "ask:3=three"], ["ask:3=three", "ask:second=2", "ask:1=1"]],
    ids=["in order", "by key"],
)
def test_values_are_sent_to_the_questions_they_name(tmp_path: Path, sent: list[str]) -> None:
    """``--send task:key=value``; without a key to the first question."""
    file = tmp_path / "asking.py"
    file.write_text(ASKING)
    done = reactor("run", str(file), "--json", *(word for value in sent for word in ("--send", value)))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["data"]["outputs"] == {"ask": [1, 2, "three"]}


def test_a_failed_run_exits_with_1(flow_file: Path, tmp_path: Path) -> None:
    """The exit code of a failed run is 1, and its error is printed."""
    (tmp_path / "open").touch()
    done = reactor("run", flow_file, f"folder={tmp_path}", "fail=true")
    assert done.returncode == 1
    assert "ValueError" in done.stdout
    assert "told to fail" in done.stdout


@pytest.mark.parametrize(("signum", "reason"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_ctrl_c_or_sigterm_cancels_the_run_and_exits_with_3(
    flow_file: Path, tmp_path: Path, signum: signal.Signals, reason: str
) -> None:
    """A signal is a cancel with its events, not a traceback; it is said at once what is waited for."""
    process = start_reactor("run", flow_file, f"folder={tmp_path}", "--json")
    wait_for(tmp_path / "begun")
    process.send_signal(signum)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 3
    last = json.loads(out.splitlines()[-1])
    assert (last["type"], last["data"]["reason"]) == ("run.cancelled", reason)
    assert err == "reactor: cancelling; gate may take up to 10 s to stop, a second Ctrl-C ends at once\n"


def test_a_second_signal_ends_the_command_although_a_thread_is_stuck(tmp_path: Path) -> None:
    """The exit code is that of the signal; nobody waits for the grace of the cancel."""
    file = tmp_path / "stuck.py"
    file.write_text(STUCK)
    process = start_reactor("run", file, f"folder={tmp_path}", "--json")
    wait_for(tmp_path / "begun")
    process.send_signal(signal.SIGTERM)
    assert "stuck may take up to 10 s" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(9) == 130
    end(process)


HOLDS = """
import time
from pathlib import Path
from reactor import Workflow

flow = Workflow("holds")


@flow.task
async def hold(folder: str):
    (Path(folder) / "begun").touch()
    while True: time.sleep(0.1)
"""


def test_a_second_signal_ends_the_command_although_a_body_holds_the_loop(tmp_path: Path) -> None:
    """Nobody could be told of the first one; the second one says where the loop is held."""
    file = tmp_path / "holds.py"
    file.write_text(HOLDS)
    process = start_reactor("run", file, f"folder={tmp_path}", "--json")
    wait_for(tmp_path / "begun")
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=9)
    assert process.returncode == 130
    assert err == f"reactor: ended at once; the event loop was held by hold ({file}, line 12)\n"


def test_watch_follows_a_served_run_and_exits_with_its_result(server: tuple[str, Started], tmp_path: Path) -> None:
    """Live over HTTP, from the first event; a run that failed is exit code 1; a run that was seen is seen again."""
    url, _ = server
    for fail, code in ((False, 0), (True, 1)):
        run_id = start(url, folder=str(tmp_path), fail=fail)
        wait_for(tmp_path / "begun")
        (tmp_path / "open").touch()
        done = reactor("watch", f"{url}/runs/{run_id}", "--json")
        assert done.returncode == code, done.stderr
        seqs = [json.loads(line)["seq"] for line in done.stdout.splitlines()]
        assert seqs == list(range(1, len(seqs) + 1))
        assert reactor("watch", f"{url}/runs/{run_id}/events").returncode == code


def test_a_tree_of_runs_is_watched_and_its_questions_are_answered_on_the_command_line() -> None:
    """`watch` shows the runs below with what they ask, `send --run` answers; a mistake is one sentence."""
    url, process = start_server(ROOT / "tests/helpers/family.py", "--store", STORE)
    try:
        body = json.dumps({"run_id": "r"}).encode()
        urlopen(Request(f"{url}/workflows/top/runs", body, {"Content-Type": "application/json"})).close()
        watching = start_reactor("watch", f"{url}/runs/r")
        assert watching.stdout is not None
        shown: list[str] = []
        for place, (run, key) in enumerate(family.QUESTIONS):
            while not any(key in line and line.startswith(below_of(run)) for line in shown if "waiting: " in line):
                shown.append(watching.stdout.readline())
            if place < 2:
                arguments = ["--key", key, *([] if run == "r" else ["--run", run])]
                done = reactor("send", f"{url}/runs/r", "ask", str(place), *arguments)
                sent = f"reactor: sent {place} to task ask, key {key}, of run {run}\n"
                assert (done.returncode, done.stdout, done.stderr) == (0, "", sent)
            else:
                body = json.dumps({"run": run, "task": "ask", "key": key, "value": place}).encode()
                urlopen(Request(f"{url}/runs/r/input", body, {"Content-Type": "application/json"})).close()
        out, errors = watching.communicate(timeout=60)
        assert watching.returncode == 0, errors
        assert "run completed" in out.splitlines()[-1]
        late = reactor("send", f"{url}/runs/r", "ask", "1", "--run", "r.ask.1")
        assert (late.returncode, late.stderr) == (2, "reactor: run r.ask.1 is completed already\n")
    finally:
        end(process)


def below_of(run: str) -> str:
    """How the plain lines of a run begin, in the stream of the run ``r``."""
    return "" if run == "r" else f"{run.removeprefix('r.')}: "


def test_sigterm_ends_the_server_although_a_run_is_open(flow_file: Path, tmp_path: Path) -> None:
    """Streams get stream.closing, bodies get their grace, and the process exits with 0.

    The log lines on stderr tell of the run and the stream, and say what the end waits for. A body that ends when it is
    asked is not called abandoned.
    """
    url, process = start_server(flow_file, "--store", STORE)
    run_id = start(url, folder=str(tmp_path))
    wait_for(tmp_path / "begun")
    with urlopen(f"{url}/runs/{run_id}/events") as stream:
        assert stream.readline().startswith((b"retry", b":"))
        process.send_signal(signal.SIGTERM)
        rest = stream.read().decode()
    assert "stream.closing" in rest
    assert process.wait(10) == 0
    lines = [line.split("] ", 1)[1] for line in process.stderr.read().splitlines()]
    for said in (
        f"run started run_id={run_id} workflow=flow",
        f"stream opened path=/api/v1/runs/{run_id}/events run_id={run_id}",
        "the server stops; a second signal ends it at once signal=SIGTERM streams=1 open_runs=1",
        f"waiting for open runs to end runs={run_id}",
    ):
        assert any(line.startswith(said) for line in lines), lines
    assert any(line.startswith("stream closed") and "reason=shutdown" in line for line in lines), lines
    assert not any("abandoned" in line for line in lines)
    end(process)


def test_graph_prints_mermaid() -> None:
    """The output is a Mermaid flowchart."""
    done = reactor("graph", "examples/census.py")
    assert done.returncode == 0
    assert done.stdout.startswith("flowchart TD\n")


BAD = [
    (["run", "nowhere.py"], "there is no file nowhere.py"),
    (["run", "no.such.module"], "no.such.module: there is no module 'no'"),
    (["run", "README.md"], "README.md is not a Python file"),
    (["run", "examples/hello.py:nope"], "examples/hello.py has no workflow 'nope'"),
    (["run", "examples/hello.py", "name"], "'name' is not an input: write KEY=VALUE"),
    (["run", "examples/hello.py", "name=a", "name=b"], "the input 'name' is given twice"),
    (["run", "examples/hello.py", "nome=Ada"], "did you mean 'name'?"),
    (["run", "examples/hello.py", "--store", "mongo://x"], "--store: 'mongo://x' is not an event log"),
    (["run", "examples/hello.py", "--json", "--lines"], "--json and --lines are two ways to show a run"),
    (["run", "examples/hello.py", "--log-level", "loud"], "Invalid value for '--log-level'"),
    (["run", "examples/hello.py", "--store", "runs.db"], "write sqlite:///runs.db"),
    (["run", "examples/hello.py", "--send", "greet:=1"], "--send 'greet:=1' has an empty key"),
    (["send", "http://127.0.0.1:1/api/v1/runs/x", "ask", "1", "--run", ""], "--run is empty: name the run that asks"),
    (["send", "http://127.0.0.1:1/api/v1/runs/x", "ask", "1", "--key", ""], "--key is empty: name the key of the"),
    (["send", "http://127.0.0.1:1/api/v1/runs/x", "ask", "1"], "no server answers at 127.0.0.1:1"),
    (["serve", "examples/hello.py", "--host", "0.0.0.0"], "--host 0.0.0.0 is reachable from other machines"),
    (
        ["serve", "examples/hello.py", "--host", "256.1.1.1", "--insecure", "--store", "memory://"],
        "choose another --host",
    ),
    (
        ["watch", "localhost:8080"],
        "localhost:8080 is not an http:// or https:// URL of a run; write http://localhost:8080",
    ),
    (["watch", "http://127.0.0.1:1/api/v1/runs/x"], "no server answers at 127.0.0.1:1"),
    (
        ["graph", "web/reactor_web/terminal/cli.py"],
        "web/reactor_web/terminal/cli.py defines no workflow at module level",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "sentence"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_bad_command_line_is_one_sentence_and_exit_code_2(arguments: list[str], sentence: str) -> None:
    """The sentence names what and where; there is no traceback, and nothing on stdout."""
    done = reactor(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_with_a_cycle_or_a_syntax_error_is_told_with_its_place(tmp_path: Path) -> None:
    """Exit code 2 for what is wrong with the file, before anything runs."""
    broken = tmp_path / "broken.py"
    broken.write_text("def (:\n")
    cycle = tmp_path / "cycle.py"
    cycle.write_text(
        "from reactor import Workflow\nflow = Workflow('f')\n"
        "flow.task(lambda b: b, name='a')\nflow.task(lambda a: a, name='b')\n"
    )
    raises = tmp_path / "raises.py"
    raises.write_text("1 / 0\n")
    for file, sentence in (
        (broken, "broken.py, line 1: "),
        (cycle, "workflow 'f' has a cycle: a -> b -> a"),
        (raises, "cannot be imported: ZeroDivisionError: division by zero"),
    ):
        for command in ("run", "graph", "serve"):
            done = reactor(command, file)
            assert done.returncode == 2
            assert sentence in done.stderr
            assert "Traceback" not in done.stderr


def test_watching_nothing_is_exit_code_2(server: tuple[str, Started]) -> None:
    """An unknown run is exit code 2 with the sentence of the server."""
    done = reactor("watch", f"{server[0]}/runs/nope")
    assert done.returncode == 2
    assert "there is no run 'nope'" in done.stderr


def test_a_port_that_is_taken_is_told(server: tuple[str, Started], flow_file: Path) -> None:
    """A port in use is exit code 2 with a sentence that names the address."""
    port = server[0].split(":")[2].split("/")[0]
    done = reactor("serve", flow_file, "--port", port, "--store", STORE)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "choose another --port" in done.stderr


def test_a_served_run_survives_a_kill_and_is_watched_to_its_end(flow_file: Path, tmp_path: Path) -> None:
    """kill -9, start again on the same file: the run goes on and its client has every event once."""
    store = f"sqlite:///{tmp_path}/runs.db"
    seen: list[dict[str, object]] = []
    run_id = ""
    for attempt in range(2):
        url, process = start_server(flow_file, "--store", store)
        if attempt == 0:
            run_id = start(url, folder=str(tmp_path))
            wait_for(tmp_path / "begun")
            process.kill()
        else:
            (tmp_path / "open").touch()
            done = reactor("watch", f"{url}/runs/{run_id}", "--json")
            seen = [json.loads(line) for line in done.stdout.splitlines()]
            assert done.returncode == 0, done.stderr
            process.send_signal(signal.SIGTERM)
        process.wait(20)
        end(process)
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert [event["type"] for event in seen].count("run.resumed") == 1
    assert [event["attempt"] for event in seen if event["type"] == "task.started" and event["task"] == "gate"] == [1, 2]
    assert seen[-1]["type"] == "run.completed"


def test_a_store_that_is_in_use_or_no_log_is_told(server: tuple[str, Started], flow_file: Path, tmp_path: Path) -> None:
    """A store that is not a log is exit code 2 with one sentence that names it."""
    text = tmp_path / "text.db"
    text.write_text("this is no database " * 100)
    for command in ("run", "serve"):
        done = reactor(command, flow_file, *(["folder=x"] if command == "run" else []), "--store", f"sqlite:///{text}")
        assert done.returncode == 2
        assert done.stderr.startswith("reactor: --store: ")
        assert str(text) in done.stderr
        assert "Traceback" not in done.stderr


def test_version_is_told() -> None:
    """--version prints the name of the command and the version of the distribution."""
    done = reactor("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"reactor {version('reactor-dag')}\n"


def test_a_mistake_is_told_under_the_name_of_the_command() -> None:
    """The usage line says reactor, not the name of a module."""
    done = reactor("walk")
    assert done.returncode == 2
    assert "reactor [OPTIONS] COMMAND" in done.stderr
