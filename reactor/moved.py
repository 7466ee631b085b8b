"""Import paths of the version before this one: they work, and say where to import from now. Gone in 0.3."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attributes_from(old: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module whose names have moved. ``homes``: name -> the module to import it from now."""

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        warnings.warn(f"{old}.{name} has moved: from {homes[name]} import {name}", DeprecationWarning, stacklevel=2)
        # by name, because this file stands below the modules it leads to
        return getattr(import_module(homes[name]), name)

    return get
