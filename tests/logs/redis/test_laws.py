"""The law suites of all ports of a log, over a real redis-server."""

from __future__ import annotations

import pytest

from reactor.logs.redis.log import RedisLog
from reactor.testing import (
    CHECKPOINT_LAWS,
    DIGEST_KEY_LAWS,
    IDEMPOTENCY_LAWS,
    INDEX_LAWS,
    LOG_LAWS,
    ORDER_LAWS,
    OUTPUT_LAWS,
    RUNS_LAWS,
    SCHEDULE_LAWS,
    STOP_LAWS,
    WHOLE_LAWS,
)

LAWS = (
    *LOG_LAWS, *INDEX_LAWS, *OUTPUT_LAWS, *CHECKPOINT_LAWS, *IDEMPOTENCY_LAWS, *WHOLE_LAWS, *RUNS_LAWS, *ORDER_LAWS,
    *STOP_LAWS, *DIGEST_KEY_LAWS, *SCHEDULE_LAWS,
)  # fmt: skip


def name_of(law: object) -> str:
    return law.__name__  # type: ignore[attr-defined]


@pytest.mark.parametrize("law", LAWS, ids=name_of)
async def test_laws(law: object, log: RedisLog) -> None:
    """A log in Redis keeps the laws of every port of a log."""
    await law(log)  # type: ignore[operator]
