"""Looks at a log itself. It is only read: a file beside its owner, a Redis by what it says of its settings."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from reactor.logs.schemes import has_keys, open_log
from reactor.logs.sqlite.lock import owner_of
from reactor.logs.sqlite.log import SqliteLog
from reactor.logs.sqlite.schema import VERSION
from reactor_web.terminal.doctor.facts import RedisFacts
from reactor_web.terminal.doctor.server import CannotLook
from reactor_web.terminal.key_place import shown


async def facts_of_store(url: str) -> dict[str, Any]:
    """Members of ``Facts``. Raises CannotLook."""
    try:
        if has_keys(url):
            return {"redis": await _redis(url)}
        log = open_log(url)
    except ValueError as error:
        raise CannotLook(f"--store: {error}") from error
    if not isinstance(log, SqliteLog):
        raise CannotLook(f"--store: {shown(url)} is in the memory of its process: give --url of the server")
    keeps_all = log.retention.seconds is None and log.retention.runs is None
    return {"is_durable": True, "keeps_all": keeps_all, **await asyncio.to_thread(_file, log.path)}


def _file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CannotLook(f"--store: there is no file {path}")
    disk = os.statvfs(path)
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            ((unfinished,),) = connection.execute(
                "SELECT count(*) FROM runs WHERE status NOT IN ('completed', 'failed', 'cancelled')"
            )
        finally:
            connection.close()
        owner = owner_of(path)
    except (sqlite3.Error, OSError) as error:
        raise CannotLook(f"--store: {path} cannot be read as a log: {error}") from error
    return {
        "schema": schema,
        "newest_schema": VERSION,
        "ownerless_runs": unfinished if owner is None else 0,
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "disk_bytes": disk.f_blocks * disk.f_frsize,
    }


async def _redis(url: str) -> RedisFacts:
    from redis.asyncio import Redis  # needs an extra
    from redis.exceptions import RedisError

    plain = url.partition("?")[0]
    client: Any = Redis.from_url(plain, socket_timeout=5, socket_connect_timeout=5)  # pyright: ignore[reportUnknownMemberType]  # not typed
    try:
        info: dict[str, Any] = await client.info()
        try:
            fsync = (await client.config_get("appendfsync")).get("appendfsync")
        except RedisError:  # the user of a log need not be allowed to ask this
            fsync = None
    except (RedisError, OSError) as error:
        raise CannotLook(f"--store: {shown(urlsplit(url).geturl())} does not answer: {error}") from error
    finally:
        await client.aclose()
    return RedisFacts(
        policy=str(info.get("maxmemory_policy", "noeviction")),
        appends=str(info.get("aof_enabled")) == "1",
        fsync=fsync,
        max_bytes=int(info.get("maxmemory", 0)),
        used_bytes=int(info.get("used_memory", 0)),
    )
