"""Connections to SQLite, changed on their way to whoever opens them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest


def on_connect(monkeypatch: pytest.MonkeyPatch, change: Callable[[sqlite3.Connection], Any]) -> None:
    """From now on ``sqlite3.connect`` returns what ``change`` makes of the new connection."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: change(connect(*args, **options)))
