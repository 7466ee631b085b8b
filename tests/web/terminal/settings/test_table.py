"""The table of settings, the options of the commands and the page say the same."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from reactor_web.terminal.cli import app
from reactor_web.terminal.settings.table import PREFIX, SECRETS, SETTINGS, Kind, Setting, check_settings
from tests.project.describe_settings import PAGE, commands, options_of, page


def test_every_option_of_serve_is_a_setting() -> None:
    """Nothing of a server can be said by a flag alone."""
    flags = {option.opts[0] for option in commands()["serve"].params if option.opts[0].startswith("--")}
    assert {flag.removeprefix("--") for flag in flags} - set(SETTINGS) <= {"help", "config", "show-settings"}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_a_flag_takes_what_the_file_takes(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At every command that has it: the bounds, nothing beyond them, nothing of another kind."""
    monkeypatch.chdir(tmp_path)
    taken, refused = texts_for(setting)
    commands = options_of(setting)
    assert commands, "no command has this flag"
    for command in commands:
        for text in taken:
            value = shown(command, setting, text, capsys)
            assert check_settings({setting.name: value}) == {setting.name: value}
        for text in refused:
            with pytest.raises(Exception) as told:  # of typer; its class has moved between versions
                shown(command, setting, text, capsys)
            assert getattr(told.value, "exit_code", None) == 2, (command, text)


def shown(command: str, setting: Setting, text: str | None, capsys: pytest.CaptureFixture[str]) -> object:
    """What the command would use, if it is given this flag with this text; None: the flag has no text."""
    words = command.split()
    found: Any = get_command(app)
    for word in words:
        found = found.get_command(None, word)
    given = [f"--{setting.name}"] if text is None else [f"--{setting.name}", text]
    with pytest.raises(typer.Exit):
        found.make_context(words[-1], [*given, "--show-settings"])
    return tomllib.loads(capsys.readouterr().out)[setting.name]


def texts_for(setting: Setting) -> tuple[list[str | None], list[str]]:
    """What the flag must take, and what it must refuse."""
    if setting.kind is Kind.SWITCH:
        return [None], []
    if setting.choices:
        return list(setting.choices), ["loud"]
    if setting.kind in (Kind.TEXT, Kind.TEXTS):
        return ["a"], []
    assert setting.least is not None
    bounds = [setting.least] if setting.most is None else [setting.least, setting.most]
    beyond = [setting.least - 1] if setting.most is None else [setting.least - 1, setting.most + 1]
    return [f"{bound:g}" for bound in bounds], ["x", *(f"{bound:g}" for bound in beyond)]


def test_the_page_is_made_of_the_table() -> None:
    """``python -m tests.project.describe_settings`` changes nothing."""
    assert PAGE.read_text() == page()
    assert all(f"| `{name}` | `{setting.env}` |" in page() for name, setting in SETTINGS.items())


def test_names_in_the_environment_are_those_of_the_flags() -> None:
    """One rule, also for secrets."""
    assert SETTINGS["trusted-proxy"].env == "REACTOR_TRUSTED_PROXY"
    assert all(env == PREFIX + name.upper().replace("-", "_") for name, env in SECRETS.items())
    assert not SECRETS.keys() & SETTINGS.keys()


GOOD = [("port", 0), ("port", 65_535), ("grace", 2), ("grace", 0.5), ("insecure", False), ("cors", []),
        ("allow-host", ["a"]), ("log-level", "debug"), ("store", "redis://user@h/0"), ("max-streams", 1)]  # fmt: skip

BAD = [
    ("port", "8080", "port must be a whole number from 0 to 65535, not '8080'"),
    ("port", 65_536, "port must be a whole number from 0 to 65535, not 65536"),
    ("port", -1, "port must be a whole number from 0 to 65535, not -1"),
    ("port", 80.0, "port must be a whole number from 0 to 65535, not 80.0"),
    ("port", True, "port must be a whole number from 0 to 65535, not True"),
    ("max-streams", 0, "max-streams must be a whole number of at least 1, not 0"),
    ("grace", float("nan"), "grace must be a number from 0 to 3600, not nan"),
    ("max-stream-age", float("inf"), "max-stream-age must be a number of at least 1, not inf"),
    ("insecure", 1, "insecure must be true or false, not 1"),
    ("insecure", "yes", "insecure must be true or false, not 'yes'"),
    ("cors", "https://a.b", "cors must be a list of texts, not 'https://a.b'"),
    ("cors", [1], "cors must be a list of texts, not [1]"),
    ("store", 5, "store must be a text, not 5"),
    ("log-level", "loud", "log-level must be one of debug, info, warning, error, not 'loud'"),
    ("prot", 1, "there is no setting 'prot', did you mean 'port'?"),
    ("max_streams", 1, "did you mean 'max-streams'?"),
    ("serve", {"port": 1}, "there is no setting 'serve'"),
    ("zzzzzz", 1, "there is no setting 'zzzzzz'; there are host, port,"),
    ("jwt-secret", "x", "jwt-secret is a secret, which does not belong into a file: set REACTOR_JWT_SECRET"),
    ("token", "x", "token is a secret, which does not belong into a file: set REACTOR_TOKEN"),
    ("store", "redis://u:pw@h/0", "store has a password, which does not belong into a file: set REACTOR_STORE"),
    ("keys", "redis://h/0?password=pw", "keys has a password, which does not belong into a file: set REACTOR_KEYS"),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_what_is_allowed_is_taken_as_it_is(name: str, value: object) -> None:
    """Nothing is converted."""
    assert check_settings({name: value}) == {name: value}


@pytest.mark.parametrize(("name", "value", "sentence"), BAD)
def test_what_is_not_allowed_is_told_by_name(name: str, value: object, sentence: str) -> None:
    """The sentence says what is allowed. No password is in it."""
    with pytest.raises(ValueError) as told:
        check_settings({name: value})
    assert sentence in str(told.value)
    assert "pw" not in str(told.value)
