"""Reads ``reactor.toml``: settings by the names of their flags."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

from reactor_web.terminal.settings.table import check_settings

NAME: Final = "reactor.toml"
"""The file that is read from the working directory where no other is given."""
MOST_BYTES: Final = 65_536


class SettingsFile(NamedTuple):
    """``path``: None if there is no file. ``values``: the settings in it, by name."""

    path: Path | None
    values: dict[str, Any]


class SettingsError(Exception):
    """A file of settings that cannot be used. The text is one sentence with the file and what is wrong."""


def read_settings(given: str | None) -> SettingsFile:
    """The settings of the file that was given, else of ``reactor.toml``, if there is one. Raises SettingsError."""
    path = Path(NAME if given is None else given)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        if given is None:
            return SettingsFile(None, {})
        raise SettingsError(f"there is no file {path}: --config (REACTOR_CONFIG) names it") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > MOST_BYTES:
        raise SettingsError(f"{path} has more than {MOST_BYTES:,} bytes: that is no file of settings")
    try:
        return SettingsFile(path, check_settings(tomllib.loads(text.decode())))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8: byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error
