"""The key under which an engine makes digests of what must not stand in its log."""

from __future__ import annotations

from reactor.errors import LogUnavailable
from reactor.logger import get_logger
from reactor.logs.embedded import MemoryDigestKey
from reactor.ports.stores import DigestKey

logger = get_logger()


async def load_digest_key(store: DigestKey) -> bytes:
    """The key of a log; a log that cannot be written gets one for the life of this engine."""
    try:
        return await store.digest_key()
    except LogUnavailable as error:
        logger.warning("the key of the log's digests cannot be read", error=str(error))
        return await MemoryDigestKey().digest_key()
