"""URL scheme -> event log: the table of the schemes there are, which users can add to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from reactor.events.values import named
from reactor.logs.memory import open_memory
from reactor.logs.sqlite.url import file_url, open_sqlite
from reactor.ports.stores import Log


class Scheme(NamedTuple):
    """One kind of event log, as URLs name it."""

    opener: Callable[[str], Log]
    """Gets the whole URL; raises ValueError, in one sentence, for a URL it cannot follow."""
    form: str
    """How its URLs are written; shown in errors."""


SCHEMES: Final[dict[str, Scheme]] = {
    "memory": Scheme(open_memory, "memory://"),
    "sqlite": Scheme(open_sqlite, "sqlite:///path"),
}
"""By the scheme of the URL."""


def register_scheme(name: str, opener: Callable[[str], Log], *, form: str = "") -> None:
    """Makes ``Engine("name://...")`` open a log of your own.

    - ``name``: in lower case.
    - ``opener``: gets the whole URL and returns the log, not yet opened; raises ValueError for a URL it cannot follow.
    - ``form``: how its URLs are written, for errors; ``name://`` if empty.

    Raises ValueError for a scheme that is registered already.

    Example: ``register_scheme("redis", RedisLog.from_url, form="redis://host/0")``
    """
    if name in SCHEMES:
        raise ValueError(f"the scheme {name!r} of event log URLs is registered already")
    SCHEMES[name] = Scheme(opener, form or f"{name}://")


def open_log(url: str | Log) -> Log:
    """The log of a URL, not yet opened, or a log as it is; raises ValueError, which names the schemes there are.

    - ``memory://`` keeps the runs of this process, within the bounds of ``reactor.bounds``.
    - ``sqlite:///runs.db`` (relative) or ``sqlite:////var/lib/runs.db`` (absolute); ``?synchronous=FULL`` survives
      power cuts; ``?keep_days=30&keep_runs=1000`` deletes ended runs beyond these when it is opened.
    - the schemes added by ``register_scheme``.
    """
    if not isinstance(url, str):
        return _check_log(url)
    scheme = SCHEMES.get(urlsplit(url).scheme)
    if scheme is None:
        forms = file_url(url) or " or ".join(scheme.form for scheme in SCHEMES.values())
        raise ValueError(f"{url!r} is not an event log URL: write {forms}")
    return scheme.opener(url)


def _check_log(log: Log) -> Log:
    if callable(getattr(log, "append", None)) and callable(getattr(log, "open", None)):
        return log
    is_workflow = hasattr(log, "tasks") or isinstance(cast("object", log), list)
    hint = "; workflows are given by name: Engine(workflows=[flow])" if is_workflow else ""
    raise TypeError(f"the log of an engine must be a URL, like sqlite:///runs.db, or a log, not {named(log)}{hint}")
