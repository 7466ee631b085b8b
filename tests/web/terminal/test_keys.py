"""``reactor keys``: makes keys that open what they should, shows each once, and revokes them."""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reactor_web.guard.key_file import KeyFile
from reactor_web.guard.keys import KEY, Keys, split_key
from reactor_web.guard.principal import SCOPES, Principal, Unauthenticated
from reactor_web.terminal.keys import parse_expiry, parse_scopes
from tests.helpers.command import ON_A_TERMINAL, reactor, start_reactor
from tests.helpers.warm import start_python

ON_A_FULL_DISK = """
import os, sys
from reactor_web.terminal.cli import main

os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
main()
"""

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPENS_WITHIN = 5.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def add(path: Path, *words: str, name: str = "ci", scopes: str = "read") -> str:
    done = reactor("keys", "add", name, "--scopes", scopes, "--keys", path, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def listed(path: Path) -> list[dict[str, object]]:
    done = reactor("keys", "ls", "--json", "--keys", path)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def principal(path: Path, key: str) -> Principal:
    return asyncio.run(Keys(KeyFile(path)).authenticate(key))


def refusal(*words: object) -> str:
    """The one sentence of a command that is refused."""
    done = reactor("keys", *words)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("reactor: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("reactor: ").rstrip("\n")


def scripted(path: Path, script: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Runs a command from a script, which has prepared its stdout."""
    file = path.with_name("script.py")
    file.write_text(script)
    process = start_python(file, "keys", *words, COLUMNS="200", TERM="xterm")
    out, err = process.communicate()
    return subprocess.CompletedProcess([], process.wait(60), out, err)


# --- add ---


def test_the_key_that_is_printed_opens_what_was_said(path: Path) -> None:
    """stdout has the key and nothing else, stderr says that it is shown once; by default it lasts 90 days."""
    done = reactor("keys", "add", "ci of acme", "--scopes", "read, run", "--keys", path)
    assert done.returncode == 0
    assert KEY.fullmatch(done.stdout.removesuffix("\n"))
    key = done.stdout.strip()
    id, secret = split_key(key) or ("", "")
    assert done.stderr.startswith(
        f"reactor: this key is shown once, so keep it now; its id is {id}, and it is valid until"
    )
    assert secret not in done.stderr
    given = principal(path, key)
    assert given.expires is not None
    assert given == Principal(f"key:{id}", frozenset({"read", "run"}), tenant="", expires=given.expires)
    assert abs(given.expires - (datetime.now(UTC) + timedelta(days=90)).timestamp()) < 60
    assert secret not in path.read_text()


def test_a_key_is_for_what_was_named(path: Path) -> None:
    """Patterns, a tenant, an end; or every tenant and no end."""
    narrow = add(
        path, "--runs", "acme-*", "--runs", "b?", "--workflows", "census", "--tenant", "acme", "--expires", "12h"
    )  # fmt: skip
    given = principal(path, narrow)
    assert (given.runs, given.workflows, given.tenant) == (("acme-*", "b?"), ("census",), "acme")
    assert given.expires is not None
    assert abs(given.expires - (datetime.now(UTC) + timedelta(hours=12)).timestamp()) < 60
    wide = principal(path, add(path, "--all-tenants", "--expires", "never", scopes="read,run,control,admin"))
    assert (wide.runs, wide.workflows, wide.tenant, wide.expires) == (None, None, None, None)
    assert wide.scopes == SCOPES


def test_add_as_json_has_the_key_and_what_it_is(path: Path) -> None:
    shown = json.loads(add(path, "--json", scopes="run,read"))
    key = shown.pop("key")
    assert principal(path, key).id == f"key:{shown['id']}"
    assert shown["scopes"] == ["read", "run"]
    assert [shown] == listed(path)


def test_a_key_that_cannot_be_printed_is_revoked(path: Path) -> None:
    """Nobody would have it, and it would stand in the file for ever."""
    add(path)
    done = scripted(path, ON_A_FULL_DISK, "add", "lost", "--scopes", "read", "--keys", path)
    assert done.returncode == 2
    [_, lost] = listed(path)
    assert done.stderr == (
        f"reactor: the key {lost['id']} could not be printed, so it was revoked: No space left on device\n"
    )
    assert lost["status"] == "revoked"


# --- ls ---


def test_ls_shows_every_key_and_no_secret(path: Path) -> None:
    """Also what has expired or was revoked; neither the secret part nor its digest, in any form."""
    made = [
        add(path, name="first"),
        add(path, "--all-tenants", name="second"),
        add(path, "--tenant", "t", name="third"),
    ]
    ids = [(split_key(key) or ("", ""))[0] for key in made]
    text = json.loads(path.read_text())
    text["keys"][1]["expires"] = "2020-01-01T00:00:00Z"
    path.write_text(json.dumps(text))
    assert reactor("keys", "revoke", ids[2], "--keys", path).returncode == 0
    records = listed(path)
    assert [record["id"] for record in records] == ids
    assert [record["status"] for record in records] == ["valid", "expired", "revoked"]
    assert [record["tenant"] for record in records] == ["", None, "t"]
    lines = reactor("keys", "ls", "--keys", path).stdout
    assert [line.split("\t")[:3] for line in lines.splitlines()] == [
        [ids[0], "first", "valid"], [ids[1], "second", "expired"], [ids[2], "third", "revoked"],
    ]  # fmt: skip
    shown = lines + json.dumps(records)
    for key, stored in zip(made, text["keys"], strict=True):
        assert key.rpartition("_")[2] not in shown
        assert stored["digest"] not in shown


def test_a_terminal_gets_a_table(path: Path) -> None:
    """With a title for each column in which some key says something; names are as they are, and there is no secret."""
    key = add(path, name="[red]ci[/red]")
    lines = table(path)
    assert lines[0].split() == ["ID", "NAME", "STATUS", "SCOPES", "EXPIRES", "CREATED"]
    assert lines[1].split()[1:4] == ["[red]ci[/red]", "valid", "read"]
    add(path, "--tenant", "acme", "--runs", "a-*")
    lines = table(path)
    assert lines[0].split() == ["ID", "NAME", "STATUS", "SCOPES", "TENANT", "RUNS", "EXPIRES", "CREATED"]
    shown = "".join(lines)
    assert key.rpartition("_")[2] not in shown
    assert json.loads(path.read_text())["keys"][0]["digest"] not in shown


def table(path: Path) -> list[str]:
    done = scripted(path, ON_A_TERMINAL, "ls", "--keys", path)
    assert (done.returncode, done.stderr) == (0, "")
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines()


def test_nobody_reads_the_list_any_more(path: Path) -> None:
    """``reactor keys ls | head`` ends as other commands do."""
    add(path)
    process = start_reactor("keys", "ls", "--keys", path)
    process.stdout.close()
    assert process.wait(60) in (0, 141)
    assert process.stderr.read() == ""
    process.stderr.close()


# --- revoke ---


def test_a_revoked_key_is_refused_within_seconds(path: Path) -> None:
    """By a process that has read the file before; the other keys go on to count."""
    key, other = add(path, name="leaked"), add(path)
    id, _ = split_key(key) or ("", "")

    async def main() -> None:
        keys = Keys(KeyFile(path))
        assert (await keys.authenticate(key)).id == f"key:{id}"
        done = await asyncio.to_thread(reactor, "keys", "revoke", id, "--keys", path)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == f"reactor: key {id} (leaked) is revoked\n"
        async with asyncio.timeout(OPENS_WITHIN):
            while await keys.is_valid(f"key:{id}"):
                await asyncio.sleep(0.02)
        with pytest.raises(Unauthenticated) as refused:
            await keys.authenticate(key)
        assert refused.value.code == "key_revoked"
        await keys.authenticate(other)

    asyncio.run(main())
    assert reactor("keys", "revoke", id, "--keys", path).stderr == f"reactor: key {id} (leaked) was revoked before\n"


def test_a_key_is_revoked_by_what_somebody_has_of_it(path: Path) -> None:
    """Its id as logs have it, or all of it, as it was found in a public place. It is not repeated."""
    for form in ("key:{id}", "{key}"):
        key = add(path)
        id, secret = split_key(key) or ("", "")
        done = reactor("keys", "revoke", form.format(id=id, key=key), "--keys", path)
        assert done.returncode == 0
        assert secret not in done.stderr
        assert listed(path)[-1]["status"] == "revoked"


def test_a_key_that_is_not_there_is_named(path: Path) -> None:
    """With the one that was probably meant; nothing is changed."""
    id, _ = split_key(add(path)) or ("", "")
    before = path.read_bytes()
    assert refusal("revoke", id[:-1], "--keys", path) == f"there is no key {id[:-1]!r} in {path}, did you mean {id!r}?"
    assert refusal("revoke", "--keys", path, "\x1b[2J") == f"there is no key '\\x1b[2J' in {path}"
    assert path.read_bytes() == before


# --- what is refused ---


def test_a_key_file_must_be_named_and_be_there(path: Path) -> None:
    for words in (("ls",), ("revoke", "x"), ("add", "ci", "--scopes", "read")):
        assert refusal(*words) == (
            "name the key file with --keys FILE, or with REACTOR_KEYS; of a cluster, the URL of its Redis"
        )
    for words in (("ls",), ("revoke", "x")):
        assert refusal(*words, "--keys", path) == f"there is no key file {path}; `reactor keys add` makes one"


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    add(path)
    path.chmod(0o644)
    sentence = f"the key file {path} is open to others than its owner (mode 0644): chmod 600 {path}"
    for words in (("ls",), ("revoke", "x"), ("add", "ci", "--scopes", "read")):
        assert refusal(*words, "--keys", path) == sentence


ADD: list[tuple[list[str], str]] = [
    (["ci"], "say with --scopes what the key may do: read, run, control, admin, with commas between them"),
    (["ci", "--scopes", "raed"], "--scopes: there is no scope 'raed', did you mean 'read'?"),
    (["ci", "--scopes", "read,"], "--scopes: there is no scope ''; there are read, run, control, admin"),
    (["ci", "--scopes", "all"], "--scopes: there is no scope 'all'; there are read, run, control, admin"),
    (["", "--scopes", "read"], "NAME: a name is 1 to 100 characters that can be printed, without spaces around them"),
    (
        ["a\nb", "--scopes", "read"],
        "NAME: a name is 1 to 100 characters that can be printed, without spaces around them",
    ),
    (
        ["x" * 101, "--scopes", "read"],
        "NAME: a name is 1 to 100 characters that can be printed, without spaces around them",
    ),
    ([f"rk_a_{'0' * 43}", "--scopes", "read"], "NAME: a key must not stand in a name, which is shown"),
    (
        ["ci", "--scopes", "read", "--tenant", "a", "--all-tenants"],
        "--tenant and --all-tenants are two answers to one question: give one of them",
    ),
    (
        ["ci", "--scopes", "read", "--tenant", ""],
        "--tenant: a name is 1 to 100 characters that can be printed, without spaces around them",
    ),
    (
        ["ci", "--scopes", "read", "--runs", "a,b"],
        "--runs: 'a,b' is no pattern: 1 to 100 of A-Z a-z 0-9 . _ ~ - and * ? [ ] !",
    ),
    (
        ["ci", "--scopes", "read", "--workflows", ""],
        "--workflows: '' is no pattern: 1 to 100 of A-Z a-z 0-9 . _ ~ - and * ? [ ] !",
    ),
    (
        ["ci", "--scopes", "read", "--expires", "soon"],
        "--expires 'soon' is no time from now: write 90d, 12h, 30m or 2w, or never",
    ),
    (
        ["ci", "--scopes", "read", "--expires", "0d"],
        "--expires '0d' is no time from now: write 90d, 12h, 30m or 2w, or never",
    ),
    (
        ["ci", "--scopes", "read", "--expires", "99999d"],
        "--expires 99999d is more than ten years: write never for a key that does not expire",
    ),
]


@pytest.mark.parametrize(("words", "sentence"), ADD)
def test_what_is_wrong_with_a_key_is_one_sentence(words: list[str], sentence: str, path: Path) -> None:
    """No file is made, and no key is printed."""
    assert refusal("add", *words, "--keys", path) == sentence
    assert not path.exists()


def test_the_file_may_be_named_by_the_environment(path: Path) -> None:
    """``REACTOR_KEYS``; ``--keys`` wins over it."""
    add(path, name="here")
    elsewhere = path.with_name("elsewhere.json")
    add(elsewhere, name="elsewhere")
    for words, name in (([], "here"), (["--keys", elsewhere], "elsewhere")):
        process = start_python("-m", "reactor_web", "keys", "ls", "--json", *words, REACTOR_KEYS=str(path))
        out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        assert json.loads(out)["name"] == name


# --- parsing ---


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 500), st.sampled_from("mhdw"))
def test_a_time_from_now_is_added(count: int, unit: str) -> None:
    """To the second, in UTC."""
    lasting = timedelta(**{{"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[unit]: count})
    assert datetime.fromisoformat(parse_expiry(f"{count}{unit}", NOW) or "") == NOW + lasting


@settings(max_examples=100, deadline=None)
@given(st.text() | st.from_regex(r"\A[0-9]{1,12}[a-z]?\Z"))
@example("150000000w")
def test_any_text_is_a_time_or_one_sentence(text: str) -> None:
    """Between now and ten years, never, or refused with exit code 2."""
    with may_refuse():
        end = parse_expiry(text, NOW)
        assert text == "never" if end is None else NOW < datetime.fromisoformat(end) < NOW + timedelta(days=3654)


@settings(max_examples=100, deadline=None)
@given(st.text() | st.lists(st.sampled_from([*sorted(SCOPES), "reed", ""])).map(",".join))
def test_any_text_is_scopes_or_one_sentence(text: str) -> None:
    """Scopes are those that there are, each of them named; everything else is refused."""
    with may_refuse():
        scopes = parse_scopes(text)
        assert scopes
        assert scopes <= SCOPES
        assert scopes == {scope.strip() for scope in text.split(",")}


@contextmanager
def may_refuse() -> Iterator[None]:
    """What is inside goes well, or is refused with exit code 2 and one line on stderr."""
    said, code = io.StringIO(), 0
    try:
        with redirect_stderr(said):
            yield
    except typer.Exit as left:
        code = left.exit_code
    assert (code, said.getvalue().count("\n")) in ((0, 0), (2, 1))
