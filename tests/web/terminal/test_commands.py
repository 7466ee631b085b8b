"""The commands about runs: the same on a server, on a file beside its owner, and on a file that nobody owns."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from reactor import Engine
from reactor.logs.sqlite.lock import owner_of
from tests.helpers.command import ON_A_TERMINAL, at, end, on, reactor, refused, start_reactor, start_server
from tests.helpers.redis import RedisServer, redis_server
from tests.helpers.stored_runs import store_runs
from tests.helpers.warm import start_python

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the file and the workflow; nobody changes it."""
    folder = tmp_path_factory.mktemp("stored")
    asyncio.run(store_runs(folder))
    return folder


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def types(lines: str) -> list[str]:
    return [json.loads(line)["type"] for line in lines.splitlines()]


READS = [
    ("ls", "--json"),
    ("ls",),
    ("ls", "--status", "failed", "--json"),
    ("ls", "--workflow", "release", "--meta", "team=web", "--since", "1h", "--json"),
    ("ls", "--question", "--json"),
    ("questions",),
    ("questions", "--json"),
    ("show", "done"),
    ("show", "done", "--json"),
    ("show", "bad"),
    ("events", "done"),
    ("events", "done", "-f", "--json"),
    ("events", "bad", "--after", "3"),
    ("logs", "done"),
    ("logs", "done", "--json"),
    ("export", "done"),
    ("export", "done", "--format", "trace"),
]


@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_what_is_read_is_the_same_on_a_server_and_beside_it(owned: tuple[str, str], words: tuple[str, ...]) -> None:
    """A command is written once, for every place, and does not say where it has read."""
    url, store = owned
    shown = at(reactor(*words, "--url", url))
    assert shown
    assert at(reactor(*words, "--store", store)) == shown


def test_lists_have_what_is_asked_for(left: Path) -> None:
    """Newest first; each filter alone; one run a line, with tabs, where there is no terminal."""
    rows = [line.split("\t") for line in at(reactor("ls", *on(left))).splitlines()]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("asks", "release", "running"),
        ("bad", "release", "failed"),
        ("done", "release", "completed"),
    ]

    def ids(*words: str) -> list[str]:
        return [json.loads(line)["run_id"] for line in at(reactor("ls", "--json", *words, *on(left))).splitlines()]

    assert ids("--status", "failed") == ["bad"]
    assert ids("--meta", "team=web") == ["asks", "done"]
    assert ids("--question") == ids("--stranded") == ["asks"]
    assert ids("--since", "2000-01-01") == ["asks", "bad", "done"]
    assert ids("--since", "2999-01-01") == ids("--workflow", "other") == []
    limited = reactor("ls", "--limit", "2", *on(left))
    assert len(limited.stdout.splitlines()) == 2
    assert limited.stderr == "reactor: there are more; these are the newest 2: --limit\n"


ASKS_OFTEN = """
from reactor import Context, Workflow

often = Workflow("often")


@often.task
async def ask(ctx: Context) -> str:
    await ctx.receive("first?", key="first", timeout=3600.0)
    return await ctx.receive("then?", key="then")


@often.task
async def other(ctx: Context) -> str:
    return await ctx.receive("other?", schema=bool)
"""


def test_questions_of_several_runs_are_the_same_everywhere(tmp_path: Path) -> None:
    """The newest run first, of a run what was asked last; `--limit` counts questions, and says that there are more."""
    flow, log = tmp_path / "often.py", f"sqlite:///{tmp_path / 'often.db'}"
    flow.write_text(ASKS_OFTEN)
    url, process = start_server(flow, "--store", log)
    try:
        for number, run_id in enumerate(("one", "two"), 1):
            body = json.dumps({"workflow": "often"}).encode()
            urlopen(Request(f"{url}/runs/{run_id}", body, {"Content-Type": "application/json"}, method="PUT")).close()
            until = time.monotonic() + 60
            while len(json.load(urlopen(f"{url}/questions"))["questions"]) < 2 * number:
                assert time.monotonic() < until, "it does not ask"
        at(reactor("send", "one", "ask", "x", "--key", "first", "--url", url, "--json"))
        while "then?" not in (asked := at(reactor("questions", "--url", url))):
            assert time.monotonic() < until, "it does not ask again"
        rows = [line.split("\t")[:3] for line in asked.splitlines()]
        assert [row[0] for row in rows] == ["two", "two", "one", "one"]
        assert rows[2:] == [["one", "ask", "then"], ["one", "other", "1"]]
        for words in ((), ("--json",)):
            on_server = at(reactor("questions", *words, "--url", url))
            assert at(reactor("questions", *words, "--store", log)) == on_server
        cut = reactor("questions", "--limit", "3", "--url", url)
        assert cut.stdout.splitlines() == asked.splitlines()[:3]
        assert cut.stderr == "reactor: there are more; these are 3: --limit\n"
        in_log = reactor("questions", "--limit", "3", "--store", log)
        assert (in_log.stdout, in_log.stderr) == (cut.stdout, cut.stderr)
    finally:
        end(process)


def test_an_export_is_the_log_byte_for_byte(left: Path, tmp_path: Path) -> None:
    """Each line is the JSON that the log has; a file that is there is not written over."""

    async def logged() -> list[bytes]:
        async with Engine(f"sqlite:///{left}") as engine:
            return [event.json async for event in await engine.get("done")]

    out = tmp_path / "done.ndjson"
    at(reactor("export", "done", "-o", out, *on(left)))
    assert out.read_bytes() == b"".join(line + b"\n" for line in asyncio.run(logged()))
    assert refused(reactor("export", "done", "-o", out, *on(left))) == f"{out} is there already: name another file"


def test_a_trace_has_a_span_for_each_attempt(left: Path) -> None:
    """And one for the run and for each wait; what has not ended lasts to the last event."""
    trace = json.loads(at(reactor("export", "asks", "--format", "trace", *on(left))))
    spans = {span["name"]: span for span in trace["traceEvents"] if span["ph"] == "X"}
    assert spans.keys() == {"release asks", "build", "deploy", "waits: deploy when?"}
    assert spans["build"]["args"] == {"attempt": 1, "end": "completed"}
    assert spans["deploy"]["args"]["end"] == "open"
    assert spans["waits: deploy when?"]["tid"] == spans["deploy"]["tid"]
    assert all(span["dur"] >= 0 for span in spans.values())


# --- without an owner ---


def test_an_answer_waits_in_the_file_for_who_goes_on(left: Path, stored: Path) -> None:
    """It is checked as a server checks it; `resume RUN FILE` executes the run here, to its end."""
    assert "'soon' is not one of ['now', 'later']" in refused(reactor("send", "asks", "deploy", "soon", *on(left)))
    assert "did you mean 'deploy'?" in refused(reactor("send", "asks", "deplo", "now", *on(left)))
    assert "is completed already" in refused(reactor("send", "done", "deploy", "now", *on(left)))
    sent = reactor("send", "asks", "deploy", "now", *on(left))
    assert (sent.returncode, sent.stdout) == (0, "")
    assert sent.stderr == "reactor: sent 'now' to task deploy of run asks\n"
    assert "is already answered" in refused(reactor("send", "asks", "deploy", "later", *on(left)))
    assert at(reactor("questions", *on(left))) == ""
    assert "name the file of the workflow" in refused(reactor("resume", "asks", *on(left)))
    gone_on = reactor("resume", "asks", stored / "release.py", "--json", *on(left))
    assert (gone_on.returncode, gone_on.stderr) == (0, "")
    assert json.loads(gone_on.stdout.splitlines()[-1])["data"]["outputs"] == {"deploy": "v2 now"}


def test_a_run_is_paused_and_cancelled_in_the_file(left: Path) -> None:
    """What a command has written is answered as JSON; a run that has ended is no more cancelled."""
    paused = json.loads(at(reactor("pause", "asks", "--json", *on(left))))
    assert paused == {"run_id": "asks", "status": "paused", "seq": paused["seq"]}
    assert json.loads(at(reactor("pause", "asks", "--json", *on(left)))) == paused
    cancelled = reactor("cancel", "asks", "--reason", "enough", *on(left))
    assert (cancelled.returncode, cancelled.stderr) == (0, "reactor: run asks is cancelled\n")
    assert json.loads(at(reactor("show", "asks", "--json", *on(left))))["reason"] == "enough"
    assert "is cancelled already" in refused(reactor("cancel", "asks", *on(left)))


def test_runs_are_deleted_one_by_one_and_by_number(left: Path) -> None:
    """Open runs stay."""
    assert "only a run that has ended" in refused(reactor("rm", "asks", *on(left)))
    assert json.loads(at(reactor("rm", "bad", "--json", *on(left)))) == {"run_id": "bad", "deleted": True}
    assert refused(reactor("show", "bad", *on(left))) == "there is no run 'bad'"
    assert json.loads(at(reactor("prune", "--keep-days", "1", "--json", *on(left)))) == {"deleted": 0}
    assert json.loads(at(reactor("prune", "--keep-runs", "0", "--json", *on(left)))) == {"deleted": 1}
    assert [line.split("\t")[0] for line in at(reactor("ls", *on(left))).splitlines()] == ["asks"]


def test_a_retry_runs_here_with_the_file_of_the_workflow(left: Path, stored: Path) -> None:
    """It takes over what completed; the exit code is the result of the run. No other open run goes on meanwhile."""
    again = reactor("retry", "done", stored / "release.py", "--run-id", "again", "--lines", *on(left))
    assert again.returncode == 0
    assert "build completed in 0.0 ms (cached)" in again.stdout
    assert again.stdout.endswith("v1 now\n")
    anew = reactor("retry", "done", stored / "release.py", "--from", "deploy", "--lines", *on(left))
    assert "build completed in 0.0 ms (cached)" in anew.stdout
    assert "deploy started" in anew.stdout
    assert "deploy completed in 0.0 ms (cached)" not in anew.stdout
    odd = refused(reactor("retry", "done", stored / "release.py", "--from", "deplo", *on(left)))
    assert odd == "there is no task 'deplo' in run done to begin from, did you mean 'deploy'?"
    failed = reactor("retry", "bad", stored / "release.py", "--json", *on(left))
    assert failed.returncode == 1
    assert types(failed.stdout)[-1] == "run.failed"
    assert "run.resumed" not in types(at(reactor("events", "asks", "--json", *on(left))))


def test_a_command_keeps_the_news_of_a_crash(left: Path) -> None:
    """The next engine is told that the one before it was killed, though a command had the file in between."""

    with sqlite3.connect(left) as connection:
        connection.execute("UPDATE meta SET value = 'open' WHERE name = 'stop'")
    connection.close()
    at(reactor("pause", "asks", "--json", *on(left)))
    with sqlite3.connect(left) as connection:
        (mark,) = connection.execute("SELECT value FROM meta WHERE name = 'stop'").fetchone()
    connection.close()
    assert mark == "open"


# --- with an owner ---


@pytest.mark.parametrize(
    "words",
    [
        ("cancel", "asks"), ("pause", "asks"), ("resume", "asks"), ("send", "asks", "deploy", "now"), ("retry", "done"),
        ("rm", "done"), ("prune", "--keep-runs", "1"), ("ls", "--stranded"),
        ("resume", "asks", "release.py"), ("retry", "done", "release.py"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_owner_of_a_file_is_named_with_its_url(
    owned: tuple[str, str], stored: Path, words: tuple[str, ...]
) -> None:
    """What only the owner may do, or knows, is asked there: one sentence, exit code 2."""
    url, store = owned
    path = store.removeprefix("sqlite:///")
    owner = owner_of(Path(path))
    assert owner is not None
    assert owner.url == url
    said = refused(reactor(*words, "--store", store, cwd=stored))
    assert said == f"{path} is in use by {owner.name}, which serves {url}: give --url {url}"


def test_a_server_carries_out_every_command(stored: Path, tmp_path: Path) -> None:
    """Answers, ends, retries, deletes; and a stranded run is none, because it goes on there."""
    log = shutil.copy(stored / "runs.db", tmp_path)
    url, process = start_server(stored / "release.py", "--store", f"sqlite:///{log}")
    try:
        to = ("--url", url, "--json")
        assert at(reactor("ls", "--stranded", *to)) == ""
        assert json.loads(at(reactor("pause", "asks", *to)))["status"] == "paused"
        assert json.loads(at(reactor("resume", "asks", *to)))["status"] == "running"
        assert json.loads(at(reactor("send", "asks", "deploy", "later", *to)))["run_id"] == "asks"
        assert types(at(reactor("events", f"{url}/runs/asks", "-f", "--json")))[-1] == "run.completed"
        assert "did you mean 'build'?" in refused(reactor("retry", "bad", "--from", "buil", "--url", url))
        retried = json.loads(at(reactor("retry", "bad", "--from", "build", "--run-id", "again", *to)))
        assert retried["run_id"] == "again"
        assert types(at(reactor("events", "again", "-f", *to)))[-1] == "run.failed"
        assert "is failed already" in refused(reactor("cancel", "again", *to))
        assert json.loads(at(reactor("rm", "again", *to))) == {"run_id": "again", "deleted": True}
        assert json.loads(at(reactor("prune", "--keep-runs", "1", *to))) == {"deleted": 2}
        assert "leave out FILE" in refused(reactor("retry", "asks", stored / "release.py", "--url", url))
    finally:
        end(process)


def test_events_are_followed_across_a_restart(stored: Path, tmp_path: Path) -> None:
    """On the file: the server stops, an answer is put into the file, another server goes on; each event comes once."""
    log = f"sqlite:///{shutil.copy(stored / 'runs.db', tmp_path)}"
    _, first = start_server(stored / "release.py", "--store", log, "--grace", "0")
    following = start_reactor("events", "asks", "-f", "--json", "--store", log)
    seen = [json.loads(following.stdout.readline())]
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
    at(reactor("send", "asks", "deploy", "now", "--json", "--store", log))
    _, second = start_server(stored / "release.py", "--store", log)
    try:
        seen += [json.loads(line) for line in following.stdout]
        assert (following.wait(60), following.stderr.read()) == (0, "")
        assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
        assert seen[-1]["type"] == "run.completed"
    finally:
        end(following)
        end(second)


# --- which place ---


def test_the_environment_says_where_unless_a_flag_does(left: Path, tmp_path: Path) -> None:
    """Then `reactor.db` in this folder; two places at once are refused."""
    store = f"sqlite:///{left}"
    assert at(reactor("ls", REACTOR_STORE=store)) == at(
        reactor("ls", "--store", store, REACTOR_URL="http://127.0.0.1:1")
    )
    shutil.copy(left, tmp_path / "reactor.db")
    assert at(reactor("ls", cwd=tmp_path)) == at(reactor("ls", "--store", store))
    two = refused(reactor("ls", "--url", "http://127.0.0.1:1", "--store", store))
    assert two == "--url and --store are two places: give one of them"
    assert refused(reactor("ls", REACTOR_URL="http://127.0.0.1:1", REACTOR_STORE=store)).startswith("REACTOR_URL and")


def test_the_file_says_where_unless_the_environment_does(left: Path, tmp_path: Path) -> None:
    """And nothing that is no flag counts for a run that is given by its URL."""
    store, nobody = f"sqlite:///{left}", "http://127.0.0.1:1"
    settings = tmp_path / "reactor.toml"
    settings.write_text(f'store = "{store}"\n')
    there = at(reactor("ls", "--store", store))
    assert at(reactor("ls", cwd=tmp_path)) == there
    assert refused(reactor("ls", cwd=tmp_path, REACTOR_URL=nobody)).startswith(f"cannot ask {nobody}/")
    assert refused(reactor("show", f"{nobody}/api/v1/runs/r", cwd=tmp_path)).startswith(f"cannot ask {nobody}/")
    settings.write_text(f'url = "{nobody}"\n')
    assert at(reactor("ls", cwd=tmp_path, REACTOR_STORE=store)) == there
    settings.write_text(f'url = "{nobody}"\nstore = "{store}"\n')
    assert refused(reactor("ls", cwd=tmp_path)) == "url and store in reactor.toml are two places: give one of them"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("ls", "--status", "odd"), "--status 'odd' is none that a run has"),
        (("ls", "--since", "soon"), "--since 'soon' is no time"),
        (("ls", "--meta", "team"), "--meta 'team' has no value: write KEY=VALUE"),
        (("ls", "--store", "memory://"), "a log in memory is seen by its own process only"),
        (("ls", "--store", "nowhere.db"), "--store: 'nowhere.db' is not an event log URL: write sqlite:///nowhere.db"),
        (("ls", "--store", "sqlite:///nowhere.db"), "--store: nowhere.db is not there"),
        (("ls", "--url", "http://127.0.0.1:1"), "cannot ask http://127.0.0.1:1/api/v1/runs"),
        (("ls", "--url", "localhost"), "--url: 'localhost' is not the URL of a server"),
        (("show", "http://127.0.0.1:1/nowhere"), "http://127.0.0.1:1/nowhere is not the URL of a run"),
        (("prune", "--url", "http://127.0.0.1:1"), "say what to keep"),
        (("send", "r", "t", "1", "--key="), "--key is empty: name the key of the question, or leave it out"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_bad_input_is_one_sentence(words: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    """And exit code 2, without a traceback."""
    assert sentence in refused(reactor(*words, cwd=tmp_path))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    """It is not changed either."""
    (tmp_path / "text.db").write_text("not a log" * 100)
    said = refused(reactor("ls", "--store", "sqlite:///text.db", cwd=tmp_path))
    assert said.startswith("--store: text.db cannot be used as an event log: file is not a database")


# --- check ---


def test_check_says_what_is_wrong_without_running_anything(stored: Path, tmp_path: Path) -> None:
    """0: nothing is wrong; 1: something is; 2: it could not be looked at."""
    assert at(reactor("check", stored / "release.py")) == "release: 2 tasks, nothing is wrong\n"
    right = json.loads(at(reactor("check", stored / "release.py", "--json")))
    assert right["workflows"] == [{"name": "release", "version": "1", "tasks": ["build", "deploy"]}]
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from reactor import Workflow\nflow = Workflow('flow')\nother = Workflow('other')\n"
        "@flow.task\ndef a(b: int) -> int: return 1\n@flow.task\ndef b(a: int) -> int: return 1\n"
        "@other.task\ndef c() -> int: return 1\n"
    )
    done = reactor("check", wrong, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert [one["name"] for one in document["workflows"]] == ["other"]
    assert [one["workflow"] for one in document["problems"]] == ["flow"]
    assert "cycle" in document["problems"][0]["problem"]
    (tmp_path / "broken.py").write_text("def a(:\n")
    broken = reactor("check", tmp_path / "broken.py")
    assert (broken.returncode, broken.stderr) == (1, "reactor: 1 problem\n")
    assert "line 1" in broken.stdout
    assert refused(reactor("check", tmp_path / "nowhere.py")).startswith("there is no file")
    plan = reactor("check", "examples/plan.json", "--tools", "examples/tools.py")
    assert (plan.returncode, plan.stderr) == (0, ""), plan
    assert "say with --tools" in refused(reactor("check", "examples/plan.json"))


# --- a shared log, a terminal ---


def test_a_shared_log_is_read_and_its_nodes_carry_commands_out(stored: Path, redis: RedisServer) -> None:
    """The node that executes a run answers; a run that is held is not stranded."""
    log = redis.url()
    url, process = start_server(stored / "release.py", "--store", log)
    try:
        start(url, "asks", version="v2")
        to = ("--store", log, "--json")
        for words in (("ls", "--json"), ("show", "asks", "--json"), ("questions", "--json")):
            assert at(reactor(*words, "--store", log)) == at(reactor(*words, "--url", url))
        assert at(reactor("ls", "--stranded", *to)) == ""
        assert json.loads(at(reactor("pause", "asks", *to)))["status"] == "paused"
        assert json.loads(at(reactor("resume", "asks", *to)))["status"] == "running"
        assert "'soon' is not one of" in refused(reactor("send", "asks", "deploy", "soon", "--store", log))
        assert json.loads(at(reactor("send", "asks", "deploy", "now", *to)))["run_id"] == "asks"
        assert types(at(reactor("events", "asks", "-f", *to)))[-1] == "run.completed"
        assert json.loads(at(reactor("rm", "asks", *to))) == {"run_id": "asks", "deleted": True}
        assert "?keep_days=" in refused(reactor("prune", "--keep-runs", "1", "--store", log))
    finally:
        end(process)


def start(url: str, run_id: str, **input: object) -> None:
    """Starts a run on a server, and waits until it asks."""
    body = json.dumps({"workflow": "release", "input": input}).encode()
    with urlopen(Request(f"{url}/runs/{run_id}", body, {"Content-Type": "application/json"}, method="PUT")):
        pass
    until = time.monotonic() + 60
    while not json.load(urlopen(f"{url}/runs?question=1"))["runs"]:
        assert time.monotonic() < until, "it does not ask"


def test_on_a_terminal_lists_have_titles_and_colours(left: Path, tmp_path: Path) -> None:
    """And columns; what is shown is the same."""
    script = tmp_path / "on_a_terminal.py"
    script.write_text(ON_A_TERMINAL)
    with start_python(script, "ls", *on(left), COLUMNS="120", TERM="xterm") as process:
        shown = process.stdout.read()
        assert (process.wait(60), process.stderr.read()) == (0, "")
    lines = shown.splitlines()
    assert re.sub(r"\x1b\[[0-9;]*m", "", lines[0]).split() == [
        "RUN",
        "WORKFLOW",
        "STATUS",
        "STARTED",
        "EVENTS",
        "PARENT",
    ]
    assert "\x1b[31mfailed" in lines[2]


def test_the_key_of_a_server_is_in_the_environment(stored: Path, tmp_path: Path) -> None:
    """Without it the sentence says what the server wants; with one that may only read, what it lacks."""
    keys = tmp_path / "keys.json"
    key = reactor("keys", "add", "me", "--scopes", "read", "--keys", keys).stdout.strip()
    log = shutil.copy(stored / "runs.db", tmp_path)
    url, process = start_server(stored / "release.py", "--store", f"sqlite:///{log}", "--keys", keys)
    try:
        assert "answers 401" in refused(reactor("ls", "--url", url))
        assert [line.split("\t")[0] for line in at(reactor("ls", "--url", url, REACTOR_TOKEN=key)).splitlines()] == [
            "asks",
            "bad",
            "done",
        ]
        assert "control" in refused(reactor("cancel", "asks", "--url", url, REACTOR_TOKEN=key))
    finally:
        end(process)
