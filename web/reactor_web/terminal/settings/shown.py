"""Says what a command would use, and where each value comes from: TOML that can be a ``reactor.toml``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from reactor_web.terminal.key_place import shown as without_password
from reactor_web.terminal.settings.table import SECRETS, Setting, has_password

_COLUMN = 50
"""Where the sources stand, if the values leave room."""


class Used(NamedTuple):
    """A setting and what it is. ``source``: where the value comes from; ``value``: None where it is not set."""

    setting: Setting
    value: Any
    source: str


def show_settings(used: Iterable[Used], file: Path | None) -> str:
    """One line a setting. A password of a URL is left out, and of a secret it is only said whether it is set."""
    lines = [f"# {file} was read" if file is not None else "# no reactor.toml was read"]
    lines += [_line(one) for one in used]
    lines += [f"# {env} is {'set' if os.environ.get(env) else 'not set'}" for env in SECRETS.values()]
    return "\n".join(lines)


def _line(one: Used) -> str:
    name, value = one.setting.name, one.value
    if value is None:
        return f"# {name} is not set"
    if one.setting.is_url and has_password(str(value)):
        return f"{f'# {name} = {json.dumps(without_password(str(value)))}':<{_COLUMN}} # {one.source}, with a password"
    return f"{f'{name} = {_toml(value)}':<{_COLUMN}} # {one.source}"


def _toml(value: Any) -> str:
    """A value in TOML, which writes numbers, texts, lists and switches as JSON does."""
    return json.dumps(value)
