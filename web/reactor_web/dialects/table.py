"""The dialects there are, by name: a table that users add to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from reactor_web.dialects.ag_ui import AG_UI
from reactor_web.dialects.agents import AGENTS
from reactor_web.dialects.ai_sdk import AI_SDK
from reactor_web.dialects.base import Configurable, Dialect
from reactor_web.dialects.cloudevents import CLOUDEVENTS
from reactor_web.dialects.domain import DOMAIN
from reactor_web.dialects.execution import EXECUTION
from reactor_web.dialects.native import NATIVE
from reactor_web.dialects.ndjson import NDJSON
from reactor_web.dialects.steps import STEPS
from reactor_web.dialects.timeline import TIMELINE

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")

CHANGES_NUMBERS: Final = frozenset({"types", "tasks", "throttle"})
"""The stream options that decide which frames leave."""

_by_name: Final[dict[str, Dialect]] = {}

_forms: Final[dict[str, Dialect]] = {NDJSON.info.name: NDJSON}
"""Other forms of a dialect. The media type of the response chooses one, so no query and no ``register`` names it."""


class UnknownDialect(ValueError):
    """No dialect has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no dialect {str(name)[:50]!r}; there are {', '.join(known())}")
        self.name = name

    def __reduce__(self) -> tuple[type[UnknownDialect], tuple[str]]:
        return type(self), (self.name,)


def register(dialect: Dialect) -> None:
    """Adds a dialect, which a stream then has as ``?dialect=<name>`` and ``stream(..., dialect="<name>")``.

    Raises ValueError for a name that another dialect has, or that is not lower-case letters, digits and hyphens, at
    most 32 of them. The same dialect may be added again.
    """
    name = dialect.info.name
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:50]!r} is not a name of a dialect: a name is at most 32 lower-case letters, digits and hyphens"
        )
    if dialect.info.counted and not (dialect.info.folds and dialect.info.refuses >= CHANGES_NUMBERS):
        raise ValueError(f"the dialect {name} is counted, so it must fold and refuse types, tasks and throttle")
    if _by_name.setdefault(name, dialect) is not dialect:
        raise ValueError(f"there is a dialect {name!r} already")


def find(name: str, options: Iterable[tuple[str, Any]] = ()) -> Dialect:
    """The dialect of this name, with these (name, value) of its own options.

    Raises UnknownDialect, which names those there are.
    """
    dialect = _by_name.get(name) or _forms.get(name)
    if dialect is None:
        raise UnknownDialect(name)
    return _configured(dialect, tuple(options)) if options else dialect


def find_named(name: str) -> Dialect:
    """The dialect that a query or a handler names: none of the other forms. Raises UnknownDialect."""
    if name not in _by_name:
        raise UnknownDialect(name)
    return _by_name[name]


@lru_cache(maxsize=256)
def _configured(dialect: Dialect, options: tuple[tuple[str, Any], ...]) -> Dialect:
    values: Mapping[str, Any] = {name: option.default for name, option in dialect.info.options.items()} | dict(options)
    return dialect.configured(values) if isinstance(dialect, Configurable) else dialect


def known() -> tuple[str, ...]:
    """The names that a query may ask for, sorted."""
    return tuple(sorted(_by_name))


for dialect in (NATIVE, EXECUTION, AGENTS, STEPS, DOMAIN, TIMELINE, AG_UI, AI_SDK, CLOUDEVENTS):
    register(dialect)
