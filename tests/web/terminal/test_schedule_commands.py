"""`reactor schedule`: on a server, in a file beside its owner, in a file that nobody owns, in Redis."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from reactor.logs.sqlite.lock import owner_of
from tests.helpers.command import at, end, on, reactor, refused, start_server
from tests.helpers.redis import redis_server
from tests.helpers.stored_runs import store_runs, store_schedule

SELDOM = "0 0 1 1 *"
"""No test is as long as to see it come."""
OFTEN = "* * * * *"
SAID = f'\nrelease.schedule("{SELDOM}", name="said", input={{"version": "v9"}})\n'


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the file and the workflow; nobody changes it."""
    folder = tmp_path_factory.mktemp("stored")
    log = asyncio.run(store_runs(folder))
    asyncio.run(store_schedule(log, "yearly", SELDOM))
    return folder


def listed(*where: object) -> dict[str, dict[str, object]]:
    lines = at(reactor("schedule", "ls", "--json", *where)).splitlines()
    return {one["name"]: one for one in map(json.loads, lines)}


def runs(*where: object) -> set[str]:
    return {json.loads(line)["run_id"] for line in at(reactor("ls", "--json", *where)).splitlines()}


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["lines", "json"])
def test_a_list_is_the_same_on_a_server_and_beside_it(owned: tuple[str, str], words: tuple[str, ...]) -> None:
    """Its name, its rule, its next time, and who made it."""
    url, store = owned
    shown = at(reactor("schedule", "ls", *words, "--url", url))
    assert "yearly" in shown
    assert "Europe/Berlin" in shown
    assert at(reactor("schedule", "ls", *words, "--store", store)) == shown


@pytest.mark.parametrize(
    "words", [("pause", "yearly"), ("resume", "yearly"), ("trigger", "yearly"),
              ("resume", "yearly", "release.py"), ("trigger", "yearly", "release.py")], ids=" ".join,
)  # fmt: skip
def test_the_owner_of_a_file_is_named_with_its_url(
    owned: tuple[str, str], stored: Path, words: tuple[str, ...]
) -> None:
    """Who changes something asks it."""
    url, store = owned
    path = store.removeprefix("sqlite:///")
    owner = owner_of(Path(path))
    assert owner is not None
    said = refused(reactor("schedule", *words, "--store", store, cwd=stored))
    assert said == f"{path} is in use by {owner.name}, which serves {url}: give --url {url}"


def test_a_server_pauses_resumes_and_triggers(stored: Path, tmp_path: Path) -> None:
    """What it answers is what it lists from then on; a triggered run is there at once."""
    log = shutil.copy(stored / "runs.db", tmp_path)
    url, process = start_server(stored / "release.py", "--store", f"sqlite:///{log}")
    try:
        to = ("--url", url)
        paused = json.loads(at(reactor("schedule", "pause", "yearly", "--json", *to)))
        assert (paused["paused"], paused["next"]) == ("127.0.0.1", None)
        assert listed(*to)["yearly"] == paused
        resumed = json.loads(at(reactor("schedule", "resume", "yearly", "--json", *to)))
        assert listed(*to)["yearly"] == resumed
        assert resumed["paused"] is None
        run_id = json.loads(at(reactor("schedule", "trigger", "yearly", "--json", *to)))["run_id"]
        assert run_id.startswith("yearly~")
        assert run_id in runs(*to)
        assert "leave out FILE" in refused(reactor("schedule", "trigger", "yearly", stored / "release.py", *to))
        assert "leave out FILE" in refused(reactor("schedule", "resume", "yearly", stored / "release.py", *to))
        assert "there is no schedule 'odd'" in refused(reactor("schedule", "pause", "odd", *to))
    finally:
        end(process)


def test_a_file_without_an_owner_is_paused_and_resumed_with_the_workflow(left: Path, stored: Path) -> None:
    """A pause needs nobody; what is to go on must be able to start."""
    paused = json.loads(at(reactor("schedule", "pause", "yearly", "--json", *on(left))))
    assert paused["paused"] == "command line"
    assert listed(*on(left))["yearly"] == paused
    assert "name its file, `reactor schedule resume NAME FILE`" in refused(
        reactor("schedule", "resume", "yearly", *on(left))
    )
    other = left.with_name("other.py")
    other.write_text((stored / "release.py").read_text().replace('Workflow("release")', 'Workflow("other")'))
    assert "starts workflow 'release', which is not in this file" in refused(
        reactor("schedule", "resume", "yearly", other, *on(left))
    )
    other.write_text((stored / "release.py").read_text().replace("version: str", "version: int"))
    assert "version" in refused(reactor("schedule", "resume", "yearly", other, *on(left)))
    assert listed(*on(left))["yearly"] == paused
    gone_on = reactor("schedule", "resume", "yearly", stored / "release.py", *on(left))
    assert (gone_on.returncode, gone_on.stdout) == (0, "")
    assert gone_on.stderr.startswith("reactor: schedule yearly goes on, next at ")
    assert listed(*on(left))["yearly"]["paused"] is None
    assert "there is no schedule 'odd'" in refused(reactor("schedule", "pause", "odd", *on(left)))
    assert "must be 1 to 40 of" in refused(reactor("schedule", "pause", "a~b", *on(left)))


def test_a_trigger_executes_its_run_here_and_nothing_else(left: Path, stored: Path) -> None:
    """Not the times of this schedule, nor those of others, which have come; what is stored of them stays."""
    asyncio.run(store_schedule(left, "often", OFTEN))
    before, schedules = runs(*on(left)), listed(*on(left))
    assert "name its file" in refused(reactor("schedule", "trigger", "often", *on(left)))
    done = reactor("schedule", "trigger", "often", stored / "release.py", "--json", *on(left))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["data"]["outputs"] == {"deploy": "v3 now"}
    assert runs(*on(left)) - before == {lines[0]["run_id"]}
    assert {name: one["last"] for name, one in listed(*on(left)).items()} == {
        name: one["last"] for name, one in schedules.items()
    }


def test_a_retry_with_its_file_starts_no_schedule(left: Path, stored: Path) -> None:
    """Neither one that is stored and whose time has come, nor one that the file says, which is not stored either."""
    asyncio.run(store_schedule(left, "often", OFTEN))
    said = left.with_name("said.py")
    said.write_text(
        (stored / "release.py").read_text() + '\nrelease.schedule("* * * * *", name="said", input={"version": "v9"})\n'
    )
    before = runs(*on(left))
    at(reactor("retry", "done", said, "--run-id", "again", "--json", *on(left)))
    assert runs(*on(left)) - before == {"again"}
    assert listed(*on(left)).keys() == {"often", "yearly"}


def test_a_shared_log_is_read_and_paused(stored: Path, tmp_path: Path) -> None:
    """Beside its node, which sees the pause."""
    with redis_server(tmp_path) as redis:
        store = redis.url()
        said = tmp_path / "said.py"
        said.write_text((stored / "release.py").read_text() + SAID)
        url, process = start_server(said, "--store", store)
        try:
            assert listed("--store", store) == listed("--url", url)
            paused = json.loads(at(reactor("schedule", "pause", "said", "--json", "--store", store)))
            assert listed("--url", url)["said"] == paused
            resumed = json.loads(at(reactor("schedule", "resume", "said", said, "--json", "--store", store)))
            assert listed("--url", url)["said"] == resumed
            assert resumed["paused"] is None
        finally:
            end(process)
