"""``redis://host/0``, ``rediss://host/0``, ``unix:///path``: the URL of a log in Redis."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

from reactor.logs.redis.access.api_keys import RedisKeyStore
from reactor.logs.redis.connecting import Address
from reactor.logs.redis.lease import LEASE_SECONDS
from reactor.logs.redis.log import PREFIX, RedisLog
from reactor.logs.redis.names import PREFIX as PREFIX_FORM

FORM: Final = "redis://user:password@host:6379/0"
OPTIONS: Final = ("prefix", "lease", "keep_days", "keep_runs", "db")
TLS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})
"""Options of ``rediss``, which are given to the connection as they are."""
LEASE_RANGE: Final = (1.0, 3600.0)
"""Seconds."""


def open_redis(url: str) -> RedisLog:
    """The log of a URL, not opened; raises ValueError, in one sentence that shows no password."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix, lease = options.pop("prefix", PREFIX), options.pop("lease", None)
    keep = {name: _whole_number(name, options.pop(name)) for name in ("keep_days", "keep_runs") if name in options}
    if not PREFIX_FORM.fullmatch(prefix):
        raise ValueError(f"prefix={prefix!r} of a Redis URL must be 1 to 64 of A-Z a-z 0-9 . _ ~ -")
    address = _address(url, options)
    if options:
        known = ", ".join([*OPTIONS, *(sorted(TLS) if parts.scheme == "rediss" else ())])
        raise ValueError(f"{address.place}: there is no option {next(iter(options))!r}; there are {known}")
    seconds = LEASE_SECONDS if lease is None else _seconds(address.place, lease)
    days, runs = keep.get("keep_days"), keep.get("keep_runs")
    return RedisLog(address, prefix=prefix, lease=seconds, keep_days=days, keep_runs=runs)


def open_redis_keys(url: str) -> RedisKeyStore:
    """The keys in the log of a URL, not opened; raises ValueError as ``open_redis`` does."""
    log = open_redis(url)
    return RedisKeyStore(log.address, log.prefix)


def refuse_cluster(url: str) -> RedisLog:
    """For URLs of a Redis Cluster."""
    raise ValueError(f"a log cannot be kept in a Redis Cluster, where its keys would be on several nodes: write {FORM}")


def refuse_sentinel(url: str) -> RedisLog:
    """For URLs of Sentinels."""
    raise ValueError(f"a log is not found through Sentinels: write the URL of the Redis that they watch, {FORM}")


def _address(url: str, options: dict[str, str]) -> Address:
    """Takes the options that it knows."""
    parts = urlsplit(url)
    taken: dict[str, Any] = {}
    for name, value in (("username", parts.username), ("password", parts.password)):
        if value:
            taken[name] = unquote(value)
    database = options.pop("db", None)
    if parts.scheme == "unix":
        if parts.netloc.rpartition("@")[2] or len(parts.path) <= 1:
            raise ValueError("a unix: URL must name a socket: write unix:///run/redis/redis.sock")
        taken.update(path=unquote(parts.path), db=_database(database or "0"))
        return Address(f"unix://{parts.path}", UnixDomainSocketConnection, taken)
    host, port = _host(parts.netloc.rpartition("@")[2], parts.scheme)
    if database is None:
        database = parts.path.strip("/") or "0"
    taken.update(host=host, port=port, db=_database(database))
    if parts.scheme == "rediss":
        taken |= {name: options.pop(name) for name in TLS & options.keys()}
    kind = SSLConnection if parts.scheme == "rediss" else Connection
    shown = f"[{host}]" if ":" in host else host
    return Address(f"{parts.scheme}://{shown}:{port}/{taken['db']}", kind, taken)


def _host(netloc: str, scheme: str) -> tuple[str, int]:
    if "," in netloc:
        raise ValueError(f"a Redis URL must name one host, not {netloc!r}: a Redis Cluster cannot keep a log")
    parts = urlsplit(f"//{netloc}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"{netloc!r} is not a host and a port: write {FORM}") from None
    return parts.hostname or "localhost", port or 6379


def _database(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ValueError(f"the database of a Redis URL must be a whole number from 0, not {text!r}: write {FORM}")
    return int(text)


def _whole_number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"{name} of a Redis URL must be a whole number from 0, not {text!r}")
    return int(text)


def _seconds(place: str, text: str) -> float:
    low, high = LEASE_RANGE
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not low <= seconds <= high:
        raise ValueError(f"{place}: lease must be {low:g} to {high:g} seconds, not {text!r}")
    return seconds
