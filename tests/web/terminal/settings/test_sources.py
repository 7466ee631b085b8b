"""A flag, else the environment, else the file, else the default: with the command itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.helpers.command import end, reactor
from tests.helpers.warm import start_python

FLOW = """
from reactor import Workflow

flow = Workflow("flow")
flow.task(lambda: 1, name="one")
"""


def shown(folder: Path, *arguments: str, **environment: str) -> dict[str, tuple[object, str]]:
    """Each setting of ``reactor serve``: (value, where it comes from)."""
    done = reactor("serve", "--show-settings", *arguments, cwd=folder, **environment)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    sources = {line.partition(" = ")[0]: line.rpartition("# ")[2] for line in lines}
    return {name: (value, sources[name]) for name, value in tomllib.loads(done.stdout).items()}


def test_the_order_is_flag_environment_file_default(tmp_path: Path) -> None:
    """Of a value and of a list; one place hides the next, and says its name."""
    assert shown(tmp_path)["port"] == (8080, "default")
    assert "allow-host" not in shown(tmp_path)
    (tmp_path / "reactor.toml").write_text('port = 1\nallow-host = ["a", "b"]\ninsecure = true\ngrace = 7\n')
    found = shown(tmp_path)
    assert found["port"] == (1, "reactor.toml")
    assert found["allow-host"] == (["a", "b"], "reactor.toml")
    assert found["insecure"] == (True, "reactor.toml")
    assert found["grace"] == (7, "reactor.toml")
    environment = {"REACTOR_PORT": "2", "REACTOR_ALLOW_HOST": "c d", "REACTOR_INSECURE": "0", "REACTOR_GRACE": ""}
    found = shown(tmp_path, **environment)
    assert found["port"] == (2, "REACTOR_PORT")
    assert found["allow-host"] == (["c", "d"], "REACTOR_ALLOW_HOST")
    assert found["insecure"] == (False, "REACTOR_INSECURE")
    assert found["grace"] == (7, "reactor.toml")  # what is empty is not set
    found = shown(tmp_path, "--port", "3", "--allow-host", "e", **environment)
    assert found["port"] == (3, "--port")
    assert found["allow-host"] == (["e"], "--allow-host")


def test_another_file_is_named_by_flag_or_environment(tmp_path: Path) -> None:
    """Then ``reactor.toml`` is not read, and the flag goes before the environment, wherever it stands."""
    (tmp_path / "reactor.toml").write_text("this is no TOML")
    (tmp_path / "one.toml").write_text("port = 1")
    (tmp_path / "two.toml").write_text("port = 2")
    assert shown(tmp_path, REACTOR_CONFIG="one.toml")["port"] == (1, "one.toml")
    assert shown(tmp_path, "--config", "two.toml", REACTOR_CONFIG="one.toml")["port"] == (2, "two.toml")


def test_what_is_shown_is_a_file_that_says_the_same(tmp_path: Path) -> None:
    """Only the sources differ."""
    before = shown(tmp_path, "--port", "3", "--cors", 'https://"a', "--insecure", "--max-stream-age", "5")
    done = reactor("serve", "--show-settings", "--port", "3", "--cors", 'https://"a', "--insecure",
                   "--max-stream-age", "5", cwd=tmp_path)  # fmt: skip
    (tmp_path / "reactor.toml").write_text(done.stdout)
    after = shown(tmp_path)
    assert {name: value for name, (value, _) in after.items()} == {name: value for name, (value, _) in before.items()}
    assert {source for _, source in after.values()} == {"reactor.toml"}


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Only that there is one."""
    done = reactor("serve", "--show-settings", cwd=tmp_path, REACTOR_JWT_SECRET="swordfish",
                   REACTOR_STORE="redis://me:swordfish@h/0", REACTOR_JWKS="https://h/?password=swordfish")  # fmt: skip
    assert done.returncode == 0
    assert "swordfish" not in done.stdout + done.stderr
    assert "# REACTOR_JWT_SECRET is set\n" in done.stdout
    assert re.search(r'^# store = "redis://h/0" +# REACTOR_STORE, with a password$', done.stdout, re.MULTILINE)
    assert re.search(r'^# jwks = "https://h/" +# REACTOR_JWKS, with a password$', done.stdout, re.MULTILINE)


def test_other_commands_take_what_they_have_a_flag_for(tmp_path: Path) -> None:
    """``reactor keys`` finds the key file that the file of settings names; ``port`` is nothing to it."""
    (tmp_path / "reactor.toml").write_text('port = 1\nkeys = "made.json"\n')
    done = reactor("keys", "add", "me", "--scopes", "read", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made.json").exists()
    assert reactor("keys", "ls", "--keys", "other.json", cwd=tmp_path).returncode == 2
    assert "made.json" in reactor("keys", "ls", "--show-settings", cwd=tmp_path).stdout


BAD = [
    ("port = '8080'", "reactor.toml: port must be a whole number from 0 to 65535, not '8080'"),
    ("prot = 1", "reactor.toml: there is no setting 'prot', did you mean 'port'?"),
    ("port = ", "reactor.toml is not TOML: Invalid value (at end of document)"),
    ("port = 1\nport = 2", "reactor.toml is not TOML: "),
    ("x" * 70_000, "reactor.toml has more than 65,536 bytes"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD, ids=[text[:12] for text, _ in BAD])
@pytest.mark.parametrize("command", ["run", "serve", "keys ls", "watch"])
def test_a_file_that_is_wrong_is_one_sentence_and_exit_code_2(
    tmp_path: Path, command: str, text: str, sentence: str
) -> None:
    """Whichever command reads it, and before it does anything."""
    (tmp_path / "reactor.toml").write_text(text)
    argument = {"run": ["flow.py"], "serve": ["flow.py"], "watch": ["http://127.0.0.1:1/api/v1/runs/x"]}
    done = reactor(*command.split(), *argument.get(command, []), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"reactor: {sentence}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """One that was named and is not there; a folder; what is not UTF-8."""
    (tmp_path / "latin.toml").write_bytes(b'store = "\xe9"')
    for named, sentence in (
        ("gone.toml", "there is no file gone.toml: --config (REACTOR_CONFIG) names it"),
        (".", ". cannot be read: Is a directory"),
        ("latin.toml", "latin.toml is not UTF-8: byte 9"),
    ):
        done = reactor("serve", "flow.py", "--config", named, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, f"reactor: {sentence}\n")


def test_a_value_of_the_environment_that_is_wrong_names_its_variable(tmp_path: Path) -> None:
    """With the exit code of a flag that is wrong."""
    done = reactor("serve", "flow.py", cwd=tmp_path, REACTOR_PORT="eighty")
    assert done.returncode == 2
    assert "REACTOR_PORT" in done.stderr
    assert done.stdout == ""


def test_a_server_is_started_by_its_file_alone(tmp_path: Path) -> None:
    """It listens where the file says, with the file's log and log lines."""
    (tmp_path / "flow.py").write_text(FLOW)
    store = tmp_path / "kept.db"
    (tmp_path / "reactor.toml").write_text(
        f'port = 0\nhost = "::1"\nstore = "sqlite:///{store}"\nlog-format = "json"\n'
    )
    process = start_python("-m", "reactor_web", "serve", "flow.py", cwd=tmp_path)
    try:
        assert re.search(r"serving on http://\[::1\]:\d+", process.stdout.readline())
        assert store.exists()
        process.send_signal(2)
        assert process.stderr.readline().startswith('{"event": "the server stops')
    finally:
        end(process)
