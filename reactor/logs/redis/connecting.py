"""Makes connections to the Redis of a log: checked, and with the functions of the log loaded."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError, TimeoutError

from reactor.errors import LogUnavailable
from reactor.logs.redis.functions import library
from reactor.logs.redis.server import check_info, check_room, info_of, refused
from reactor.logs.redis.wire import Part, reader_of

CONNECT_SECONDS: Final = 5.0
"""What Redis has to take a connection."""


class Address(NamedTuple):
    """Where a Redis is: how connections are made, and what errors call it."""

    place: str
    """A URL without a password."""
    kind: type[AbstractConnection]
    options: Mapping[str, Any]

    def connection(self) -> AbstractConnection:
        """A connection that is not made yet."""
        return self.kind(
            socket_timeout=None, socket_connect_timeout=CONNECT_SECONDS, protocol=2, client_name="reactor",
            driver_info=None, **self.options,
        )  # fmt: skip

    @property
    def database(self) -> int:
        return int(self.options.get("db", 0))


async def connect(address: Address, *, starting: bool = False, seconds: float = CONNECT_SECONDS) -> AbstractConnection:
    """A connection to a Redis that can keep a log, with its functions. Raises LogUnavailable.

    - ``starting``: also where it has no room. Later it must be read then, and what is deleted makes room.
    - ``seconds``: what Redis has to take the connection and to answer.
    """
    connection = address.connection()
    try:
        async with asyncio.timeout(seconds):
            await connection.connect()
            info = info_of(address.place, await say(connection, "INFO"))
            check_info(address.place, info)
            if starting:
                check_room(address.place, info)
            await _load_functions(connection)
    except builtins.TimeoutError as error:
        await connection.disconnect(nowait=True)
        raise refused(address.place, TimeoutError(f"no answer within {seconds:g} seconds")) from error
    except (RedisError, OSError, LogUnavailable) as error:
        await connection.disconnect(nowait=True)
        raise refused(address.place, error) from error
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


async def say(connection: AbstractConnection, *parts: Part) -> Any:
    """One command on a connection that nobody else uses, and its answer."""
    await connection.send_command(*parts, check_health=False)
    return await reader_of(connection)(disconnect_on_error=False)


async def _load_functions(connection: AbstractConnection) -> None:
    name, code = library()
    if await say(connection, "FUNCTION", "LIST", "LIBRARYNAME", name):
        return  # to load it again is refused where there is no room
    try:
        await say(connection, "FUNCTION", "LOAD", code)
    except ResponseError as error:
        if f"'{name}' already exists" not in str(error):  # somebody else was faster
            raise
