"""What ``mount`` sets for the streams of its routes. A query still wins."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from reactivex import Observable

from reactor.definition.names import did_you_mean, known_names
from reactor.events.values import named
from reactor.requests import number_problem
from reactor_web.bounds import DEFAULT_HEARTBEAT_SECONDS, HEARTBEAT_RANGE, THROTTLE_RANGE
from reactor_web.dialects import DialectInfo, find_named

View: TypeAlias = Callable[[Observable[Any]], Observable[Any]]
"""A pipeline of operators over the events of a run. ``streaming.pipeline.items`` says what it may give."""

_VIEW_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Serving:
    """The defaults of one mount, checked. Raises TypeError and ValueError, one sentence that names the option."""

    heartbeat: float | None = None
    """Seconds; None: those of the dialect."""
    throttle: float | None = None
    """Milliseconds; None: those of the dialect."""
    dialect: str = "native"
    compress: bool = False
    views: Mapping[str, View] = field(default_factory=dict[str, View])
    """By the name that ``?view=`` asks for."""

    def __post_init__(self) -> None:
        for name, limits in (("heartbeat", HEARTBEAT_RANGE), ("throttle", THROTTLE_RANGE)):
            value = getattr(self, name)
            if value is not None and (problem := number_problem(value, *limits)) is not None:
                raise ValueError(f"mount: {name}= {problem}")
        if not isinstance(self.compress, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise TypeError(f"mount: compress= must be True or False, not {self.compress!r}")
        find_named(str(self.dialect))  # raises UnknownDialect, a ValueError that names those there are
        if not isinstance(self.views, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise TypeError(f"mount: views= must be a dict of functions by name, not {named(self.views)}")
        for name, view in self.views.items():
            if not isinstance(name, str) or not _VIEW_NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
                raise ValueError(f"mount: views= has {name!r}, but a name is letters, digits and _ . -, at most 64")
            check_view(view)

    def paces(self, dialect: DialectInfo) -> dict[str, Any]:
        """``heartbeat`` and ``throttle`` of a dialect. One that has a pace of its own keeps it: its clients need it."""
        heartbeat, throttle = dialect.heartbeat, dialect.throttle
        if self.heartbeat is not None and heartbeat == DEFAULT_HEARTBEAT_SECONDS:
            heartbeat = self.heartbeat
        if self.throttle is not None and throttle is None and "throttle" not in dialect.refuses:
            throttle = self.throttle
        return {"heartbeat": heartbeat, "throttle": throttle}

    def view(self, name: str) -> View:
        """The view of this name; raises KeyError with a sentence that names those there are."""
        if name not in self.views:
            there_are = f"; there are {known_names(self.views)}" if self.views else ""
            raise KeyError(f"there is no view {name[:50]!r}{did_you_mean(name, self.views) or there_are}")
        return self.views[name]


DEFAULTS: Final = Serving()


def check_view(view: object) -> None:
    """Raises TypeError unless ``view`` is a function that can be a key: clients with equal views share one."""
    if view is None:
        return
    try:
        hash(view)
        is_key = callable(view)
    except TypeError:
        is_key = False
    if not is_key:
        raise TypeError(
            f"a view is a function with a hash, not {named(view)}: view=function, which gets an Observable of events"
        )
