"""URL scheme -> event log: the table of the schemes there are, which users can add to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

from reactor.events.values import named
from reactor.logs.memory import open_memory
from reactor.logs.sqlite.url import file_url, open_sqlite
from reactor.ports.access import KeyStore
from reactor.ports.stores import Log


class Scheme(NamedTuple):
    """One kind of event log, as URLs name it."""

    opener: Callable[[str], Log]
    """Gets the whole URL; raises ValueError, in one sentence, for a URL it cannot follow."""
    form: str
    """How its URLs are written; shown in errors."""


def _open_redis(url: str) -> Log:
    redis_urls, kind = _redis_urls(), urlsplit(url).scheme
    if "cluster" in kind:
        return redis_urls.refuse_cluster(url)
    return redis_urls.refuse_sentinel(url) if "sentinel" in kind else redis_urls.open_redis(url)


def _redis_urls() -> Any:
    try:
        from reactor.logs.redis import url as redis_urls  # needs an extra, and takes a tenth of a second
    except ModuleNotFoundError as error:
        missing = (error.name or "redis").partition(".")[0]
        raise ValueError(f"a log in Redis needs {missing}: pip install 'reactor-dag[redis]'") from error
    return redis_urls


SCHEMES: Final[dict[str, Scheme]] = {
    "memory": Scheme(open_memory, "memory://"),
    "sqlite": Scheme(open_sqlite, "sqlite:///path"),
    "redis": Scheme(_open_redis, "redis://host:6379/0"),
    "rediss": Scheme(_open_redis, "rediss://host:6379/0"),
    "unix": Scheme(_open_redis, "unix:///redis.sock"),
}
"""By the scheme of the URL."""


class OpenedKeys(KeyStore, Protocol):
    """Keys that are opened before they are used, and closed afterwards."""

    async def open(self) -> None:
        """Raises LogUnavailable."""
        ...

    async def close(self) -> None: ...


def has_keys(url: str) -> bool:
    """Whether this is the URL of a log that keeps keys too: one that several processes share."""
    kind = urlsplit(url).scheme
    scheme = SCHEMES.get("redis" if kind.startswith("redis") and kind != "rediss" else kind)
    return scheme is not None and scheme.opener is _open_redis


def open_keys(url: str) -> OpenedKeys:
    """The API keys that the processes of a shared log have, by the URL of the log; not yet opened.

    Raises ValueError for the URL of a log that processes do not share: its keys are in a file.
    """
    if not has_keys(url):
        kind = urlsplit(url).scheme
        raise ValueError(f"a {kind}: log has no keys: name a file, or the log of a cluster, redis://host:6379/0")
    return _redis_urls().open_redis_keys(url)


def register_scheme(name: str, opener: Callable[[str], Log], *, form: str = "") -> None:
    """Makes ``Engine("name://...")`` open a log of your own.

    - ``name``: in lower case.
    - ``opener``: gets the whole URL and returns the log, not yet opened; raises ValueError for a URL it cannot follow.
    - ``form``: how its URLs are written, for errors; ``name://`` if empty.

    Raises ValueError for a scheme that is registered already.

    Example: ``register_scheme("postgres", PostgresLog.from_url, form="postgres://host/name")``
    """
    if name in SCHEMES:
        raise ValueError(f"the scheme {name!r} of event log URLs is registered already")
    SCHEMES[name] = Scheme(opener, form or f"{name}://")


def open_log(url: str | Log) -> Log:
    """The log of a URL, not yet opened, or a log as it is; raises ValueError, which names the schemes there are.

    - ``memory://`` keeps the runs of this process, within the bounds of ``reactor.bounds``.
    - ``sqlite:///runs.db`` (relative) or ``sqlite:////var/lib/runs.db`` (absolute); ``?synchronous=FULL`` survives
      power cuts; ``?keep_days=30&keep_runs=1000`` deletes ended runs beyond these when it is opened.
    - ``redis://host:6379/0``, ``rediss://`` with TLS, ``unix:///run/redis.sock``; ``?prefix=`` tells several logs in
      one Redis apart; after ``?lease=15`` seconds others take over the runs of a process that is silent.
    - the schemes added by ``register_scheme``.
    """
    if not isinstance(url, str):
        return _check_log(url)
    kind = urlsplit(url).scheme
    scheme = SCHEMES.get("redis" if kind.startswith("redis") and kind != "rediss" else kind)
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
