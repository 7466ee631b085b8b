"""One redis-server for the tests of a file; each log in it has a prefix of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from reactor.logs.redis.log import RedisLog
from reactor.logs.redis.url import open_redis
from tests.helpers.redis import RedisServer, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def log(server: RedisServer) -> AsyncIterator[RedisLog]:
    log = open_redis(server.url())
    await log.open()
    yield log
    await log.close()


@pytest.fixture
async def ends(server: RedisServer) -> AsyncIterator[tuple[RedisLog, RedisLog]]:
    """Two logs on one prefix, as two processes have them."""
    url = server.url()
    logs = (open_redis(url), open_redis(url))
    for log in logs:
        await log.open()
    yield logs
    for log in logs:
        await log.close()
