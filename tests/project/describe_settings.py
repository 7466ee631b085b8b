"""Writes ``docs/settings.md``: ``python -m tests.project.describe_settings``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from reactor_web.terminal.cli import app
from reactor_web.terminal.settings.group import is_setting
from reactor_web.terminal.settings.table import SETTINGS, Setting
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs" / "settings.md"

INTRODUCTION = """\
# Settings

What a command needs to know is taken from its **flag**, else from the **environment**, else from the file
**`reactor.toml`**, else it has its default. All three have the same names: `--log-level`, `REACTOR_LOG_LEVEL`,
`log-level`.

```toml
# reactor.toml
store = "sqlite:////var/lib/flows/runs.db"
keys = "/var/lib/flows/keys.json"
allow-host = ["flows.example.com"]
trusted-proxy = ["127.0.0.1"]
grace = 20
log-format = "json"
```

- **The file** is `reactor.toml` of the working directory, or the one that `--config FILE` (`REACTOR_CONFIG`) names.
  It is for all commands; each takes the settings that it has a flag for. Paths in it are relative to the working
  directory, as those of flags are.
- **A mistake in it**, whichever command reads it, is one sentence with the file, the name and what is allowed, and
  exit code 2: `reactor: reactor.toml: port must be a whole number from 0 to 65535, not '8080'`. So is a name that is
  no setting.
- **In the environment** a list is written with spaces between its texts, `REACTOR_ALLOW_HOST="a.example b.example"`,
  and a switch as `1` or `0`. What is empty is not set. A flag that is given takes the place of the whole list.
- **Secrets** are in the environment only: `REACTOR_JWT_SECRET` ([deploy.md](deploy.md#the-flags)), and
  `REACTOR_TOKEN`, the key with which commands ask a server. A URL with a password is refused in the file as well; its
  own name in the environment takes it.
- **`--show-settings`**, of any command, says what each setting is and where it comes from, and ends. What it prints
  is a `reactor.toml`; passwords are left out.

This page is made of the commands and of `web/reactor_web/terminal/settings/table.py`. Do not edit it: run `python -m
tests.project.describe_settings`.
"""


def page() -> str:
    """The whole page."""
    rows = "".join(_row(setting) for setting in SETTINGS.values())
    return f"{INTRODUCTION}\n| setting | environment | may be | default | |\n|---|---|---|---|---|\n{rows}"


def commands() -> dict[str, Any]:
    """All commands by what is typed for them: ``serve``, ``keys add``."""
    return dict(_below("", get_command(app)))


def options_of(setting: Setting) -> dict[str, Any]:
    """The options for a setting, by command."""
    found = {
        name: _option(command, setting.name) for name, command in commands().items() if is_setting(name, setting.name)
    }
    return {name: option for name, option in found.items() if option is not None}


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, below in command.commands.items():
        yield from _below(f"{name} {word}".strip(), below)


def _option(command: Any, name: str) -> Any:
    return next((option for option in command.params if f"--{name}" in option.opts), None)


def _row(setting: Setting) -> str:
    options = options_of(setting)
    first = options.get("serve") or next(iter(options.values()))
    text = str(first.help).replace("|", "\\|")
    allowed = setting.allowed.replace("|", "\\|")
    return f"| `{setting.name}` | `{setting.env}` | {allowed} | {_default(options)} | {text} |\n"


def _default(options: dict[str, Any]) -> str:
    """What it is if nobody says: of all commands, or of each."""
    by_value: dict[str, list[str]] = {}
    for name, option in options.items():
        by_value.setdefault(_text(option.default), []).append(name)
    if len(by_value) == 1:
        return next(iter(by_value))
    usual = max(by_value, key=lambda value: len(by_value[value]))
    others = [f"{', '.join(f'`{name}`' for name in names)}: {value}" for value, names in by_value.items()
              if value != usual]  # fmt: skip
    return f"{usual}; {'; '.join(others)}"


def _text(default: Any) -> str:
    if default is None or default == []:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
