"""Which settings there are. A flag of this name is also read from the environment and from ``reactor.toml``.

A name is that of the flag without its dashes. It has one meaning, whichever command has the flag.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qs, urlsplit

from reactor.definition.names import did_you_mean
from reactor_web.terminal.log_lines import Format, Level

PREFIX: Final = "REACTOR_"
SECRETS: Final = {"jwt-secret": "REACTOR_JWT_SECRET", "token": "REACTOR_TOKEN"}
"""What is in the environment only: files are copied and committed, command lines are seen by everybody."""


class Kind(StrEnum):
    """What a value is, as the sentence of a refusal says it."""

    TEXT = "a text"
    INTEGER = "a whole number"
    NUMBER = "a number"
    SWITCH = "true or false"
    TEXTS = "a list of texts"


class Setting(NamedTuple):
    """One setting. ``least``, ``most``: bounds that are allowed themselves. ``is_url``: it may hold a password."""

    name: str
    kind: Kind = Kind.TEXT
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    is_url: bool = False

    @property
    def env(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.replace("-", "_").upper()

    @property
    def allowed(self) -> str:
        """What its value may be."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.least is None:
            return self.kind
        return f"{self.kind} {'of at least' if self.most is None else 'from'} {self.least:g}" + (
            "" if self.most is None else f" to {self.most:g}"
        )


SETTINGS: Final = {
    setting.name: setting
    for setting in (
        Setting("host"),
        Setting("port", Kind.INTEGER, 0, 65_535),
        Setting("admin-port", Kind.INTEGER, 0, 65_535),
        Setting("admin-host"),
        Setting("store", is_url=True),
        Setting("url", is_url=True),
        Setting("grace", Kind.NUMBER, 0, 3600),
        Setting("keys", is_url=True),
        Setting("jwks", is_url=True),
        Setting("jwt-audience"),
        Setting("jwt-issuer"),
        Setting("jwt-tenant-claim"),
        Setting("allow-host", Kind.TEXTS),
        Setting("cors", Kind.TEXTS),
        Setting("trusted-proxy", Kind.TEXTS),
        Setting("max-streams", Kind.INTEGER, 1),
        Setting("max-stream-age", Kind.NUMBER, 1),
        Setting("insecure", Kind.SWITCH),
        Setting("reload", Kind.SWITCH),
        Setting("log-level", choices=tuple(Level)),
        Setting("log-format", choices=tuple(Format)),
    )
}


def check_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Settings of a file, by their names. Raises ValueError with a sentence that names the first one that is wrong."""
    for name, value in given.items():
        if name in SECRETS:
            raise ValueError(f"{name} is a secret, which does not belong into a file: set {SECRETS[name]}")
        if name not in SETTINGS:
            hint = did_you_mean(name, SETTINGS) or f"; there are {', '.join(SETTINGS)}"
            raise ValueError(f"there is no setting {name!r}{hint}")
        setting = SETTINGS[name]
        if not _is_allowed(setting, value):
            raise ValueError(f"{name} must be {setting.allowed}, not {_short(value)}")
        if setting.is_url and has_password(value):
            raise ValueError(f"{name} has a password, which does not belong into a file: set {setting.env}")
    return given


def has_password(url: str) -> bool:
    """Whether a URL says a password, before its host or in its query."""
    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:  # no URL: what uses the value says so
        return False


def _is_allowed(setting: Setting, value: Any) -> bool:
    match setting.kind:
        case Kind.TEXT:
            return isinstance(value, str) and (not setting.choices or value in setting.choices)
        case Kind.TEXTS:
            return isinstance(value, list) and all(isinstance(text, str) for text in cast("list[Any]", value))
        case Kind.SWITCH:
            return isinstance(value, bool)
        case Kind.INTEGER:
            return type(value) is int and _is_within(setting, value)
        case Kind.NUMBER:
            return type(value) in (int, float) and math.isfinite(value) and _is_within(setting, value)


def _is_within(setting: Setting, value: float) -> bool:
    return (setting.least is None or value >= setting.least) and (setting.most is None or value <= setting.most)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
