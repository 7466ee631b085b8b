"""``RedisKeys``: the API keys of all processes that share a log. Each look-up asks Redis: a revoked key is refused at
once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any, Final

import orjson

from reactor.bounds import APPEND_TIMEOUT_SECONDS, KEYS
from reactor.logs.redis.access.asking import look
from reactor.logs.redis.calls import Calls
from reactor.logs.redis.connecting import Address
from reactor.ports.access import KeyRecord

_ID: Final = re.compile(r"[0-9A-Za-z]{1,32}")
_NONCE_CHARS: Final = 32
PAGE: Final = 500
"""Keys that are read in one call."""


class RedisKeys:
    """Implements ``KeyStore``. ``calls``: gives the calls of a log that is open, or raises LogUnavailable."""

    def __init__(self, calls: Callable[[], Calls]) -> None:
        self._calls = calls

    async def find(self, id: str) -> KeyRecord | None:
        if not _ID.fullmatch(id):  # strangers choose the text
            return None
        found = await look(self._calls(), "key_find", id)
        return None if found is None else _record(*found)

    async def add(self, record: KeyRecord) -> None:
        """Raises ValueError also for an id that is none, and where there are ``bounds.KEYS``."""
        if not _ID.fullmatch(record.id):
            raise ValueError(f"the id of a key is 1 to 32 of A-Z a-z 0-9, not {record.id[:50]!r}")
        calls = self._calls()
        said = await calls.write("key_add", record.id, secrets.token_hex(_NONCE_CHARS // 2), _json(record), KEYS)
        if said == b"THERE":
            raise ValueError(f"there is a key {record.id!r} already in {calls.place}")
        if said == b"FULL":
            raise ValueError(f"{calls.place} has {KEYS:,} keys, which is the most a log can have")
        if record.revoked:
            await self.revoke(record.id)

    async def revoke(self, id: str) -> bool:
        return bool(_ID.fullmatch(id)) and await self._calls().write("key_revoke", id) == 1

    async def all(self) -> list[KeyRecord]:
        calls, records = self._calls(), list[KeyRecord]()
        while page := await look(calls, "key_page", len(records), PAGE):
            records += [_record(*found) for found in page]
        return records


class RedisKeyStore(RedisKeys):
    """The same for who has no log open: it has connections of its own, from ``open`` to ``close``."""

    def __init__(self, address: Address, prefix: str) -> None:
        self.place = address.place
        self._own = Calls(address, prefix, APPEND_TIMEOUT_SECONDS, lambda trouble: None)
        super().__init__(lambda: self._own)

    def __repr__(self) -> str:
        return f"RedisKeyStore({self.place!r})"

    async def open(self) -> None:
        """Raises LogUnavailable."""
        await self._own.open()

    async def close(self) -> None:
        await self._own.close()


def _json(record: KeyRecord) -> bytes:
    members: dict[str, Any] = {
        "id": record.id,
        "digest": record.digest.hex(),
        "name": record.name,
        "scopes": sorted(record.scopes),
        "tenant": record.tenant,
        "expires": record.expires,
        "runs": record.runs,
        "workflows": record.workflows,
        "created": record.created,
    }
    return orjson.dumps(members)


def _record(found: bytes, revoked: int) -> KeyRecord:
    """A member that this version does not know is an error: ``run`` in place of ``runs`` would open all runs."""
    members: dict[str, Any] = orjson.loads(found[_NONCE_CHARS:])
    for name in ("runs", "workflows"):
        members[name] = None if members[name] is None else tuple(members[name])
    members |= {"digest": bytes.fromhex(members["digest"]), "scopes": frozenset(members["scopes"])}
    return KeyRecord(**members, revoked=revoked == 1)
