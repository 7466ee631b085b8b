"""The functions that Redis executes for the log: one library in Lua, named by its version and its text.

Processes of two versions load a library each, and both work on the same keys; what a key means changes with
``VERSION`` only.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

VERSION: Final = 1
"""Of the keys and what stands in them."""

_FILES: Final = (
    "keys", "inbox", "commit", "read", "beside", "index", "order", "lease", "slots", "rates", "retention", "access",
    "caps", "schedules",
)  # fmt: skip
"""In ``lua/``, in the order in which they use each other."""


class Library(NamedTuple):
    """What ``FUNCTION LOAD`` takes."""

    name: str
    code: str


@cache
def library() -> Library:
    """The library of this version."""
    folder = files("reactor.logs.redis") / "lua"
    text = "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in _FILES)
    name = f"reactor_{VERSION}_{sha256(text.encode()).hexdigest()[:12]}"
    return Library(name, f"#!lua name={name}\nlocal LIBRARY = '{name}'\n{text}")
