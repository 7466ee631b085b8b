"""Where the keys of a command are: in a key file, or in a log that several processes share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from reactor.logs.schemes import has_keys, open_keys
from reactor.ports.access import KeyStore
from reactor_web.guard.key_file import KeyFile


def is_url(keys: str) -> bool:
    return "://" in keys


@asynccontextmanager
async def opened_keys(keys: str) -> AsyncGenerator[KeyStore]:
    """The keys of a file or a URL. Raises LogUnavailable, and ValueError for a URL that has none."""
    if not is_url(keys):
        yield KeyFile(keys)
        return
    store = open_keys(keys)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def any_keys(log: str) -> bool:
    """Whether there are keys in the log of this URL itself. Raises what ``opened_keys`` does."""
    if not has_keys(log):
        return False
    async with opened_keys(log) as keys:
        return bool(await keys.all())


def shown(keys: str) -> str:
    """A file or URL for a sentence: without the password and the options of a URL."""
    if not is_url(keys):
        return keys
    kind, _, rest = keys.partition("?")[0].partition("://")
    return f"{kind}://{rest.rpartition('@')[2]}"
