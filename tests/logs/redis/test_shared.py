"""The laws of a log that several processes share: who writes, who may execute, who is told."""

from __future__ import annotations

import pytest

from reactor.logs.redis.log import RedisLog
from reactor.testing import LEASE_LAWS, LIVE_LAWS, SHARED_LAWS
from tests.logs.redis.test_laws import name_of


@pytest.mark.parametrize("law", [*SHARED_LAWS, *LEASE_LAWS, *LIVE_LAWS], ids=name_of)
async def test_laws(law: object, ends: tuple[RedisLog, RedisLog]) -> None:
    """Two connections to one Redis keep them."""
    await law(*ends)  # type: ignore[operator]
