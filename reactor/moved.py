"""Old import paths: they still work, with a DeprecationWarning that names the new one. They will be removed in 0.3."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attributes_from(old: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module-level ``__getattr__`` for names that have moved.

    ``homes``: name -> the module it is in now, or ``module:name`` where it has a new name.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        module, _, new = homes[name].partition(":")
        new = new or name
        warnings.warn(f"{old}.{name} has moved: from {module} import {new}", DeprecationWarning, stacklevel=2)
        # imported by name at run time, because this file is on a lower floor than those modules
        return getattr(import_module(module), new)

    return get
