"""API keys: ``rk_<id>_<secret>``. The id finds the key, and the SHA-256 of the secret proves it.

The secret has 256 random bits, so a fast hash is enough: there is nothing to guess. A slow one would let anybody stop
the server with made-up keys.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from reactor.clock import SystemClock
from reactor.ports.access import KeyRecord, KeyStore
from reactor.ports.clock import Clock
from reactor_web.guard.principal import Principal, Unauthenticated

PREFIX: Final = "rk_"
KEY: Final = re.compile(r"rk_([0-9A-Za-z]{1,32})_([0-9A-Za-z]{43})")
"""Base 62, so that no part has the sign between the parts."""
PRINCIPAL: Final = "key:"
"""The beginning of the id of a principal that has a key; the id of the key follows."""

_DIGITS: Final = string.digits + string.ascii_letters
_ID_DIGITS: Final = 12
_SECRET_DIGITS: Final = 43
"""As many as 256 bits may need."""
_NOBODY: Final = secrets.token_bytes(32)
"""The digest that a secret is compared with where no key has the id: unknown and wrong take the same path."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. ``token`` is the only place that has its secret."""

    id: str
    digest: bytes = field(repr=False)
    token: str = field(repr=False)


def make_key() -> NewKey:
    """A new random key."""
    id = "".join(secrets.choice(_DIGITS) for _ in range(_ID_DIGITS))
    secret = _in_digits(secrets.randbits(256))
    return NewKey(id, _digest(secret), f"{PREFIX}{id}_{secret}")


def split_key(token: str) -> tuple[str, str] | None:
    """The id and the secret of a key; None for what has another form."""
    match = KEY.fullmatch(token)
    return None if match is None else (match[1], match[2])


def expires_at(record: KeyRecord) -> float | None:
    """When a key ends, in Unix seconds; None: never."""
    return None if record.expires is None else _unix_seconds(record.expires)


class MemoryKeys:
    """Implements ``KeyStore`` in memory, for tests and for keys that an application has somewhere else."""

    def __init__(self, records: Iterable[KeyRecord] = ()) -> None:
        self._records: dict[str, KeyRecord] = {}
        for record in records:
            self._add(record)

    async def find(self, id: str) -> KeyRecord | None:
        return self._records.get(id)

    async def add(self, record: KeyRecord) -> None:
        self._add(record)

    async def revoke(self, id: str) -> bool:
        record = self._records.get(id)
        if record is not None:
            self._records[id] = replace(record, revoked=True)
        return record is not None

    async def all(self) -> list[KeyRecord]:
        return list(self._records.values())

    def _add(self, record: KeyRecord) -> None:
        if record.id in self._records:
            raise ValueError(f"there is a key {record.id!r} already")
        self._records[record.id] = record


class Keys:
    """The ``Authenticator`` of API keys."""

    def __init__(self, store: KeyStore, clock: Clock | None = None) -> None:
        self.store = store
        self._clock = clock or SystemClock()

    def claims(self, token: str) -> bool:
        return token.startswith(PREFIX)

    async def authenticate(self, token: str) -> Principal:
        """Who has this key; raises Unauthenticated.

        That it has expired or was revoked is told only to who has the whole key.
        """
        id, secret = split_key(token) or ("", "")
        record = await self.store.find(id)
        digest = _NOBODY if record is None else record.digest
        if not hmac.compare_digest(_digest(secret), digest) or record is None:
            raise Unauthenticated("this key is not known here")
        if record.revoked:
            raise Unauthenticated(f"the key {record.id} was revoked", "key_revoked")
        if self._has_expired(record):
            raise Unauthenticated(f"the key {record.id} has expired: {record.expires}", "key_expired")
        return _principal_of(record)

    async def is_valid(self, principal_id: str) -> bool:
        """Whether the key of a principal still counts: it is there, was not revoked, has not expired.

        False for a principal that has no key.
        """
        return await self._counting(principal_id) is not None

    async def covers(self, principal: Principal) -> bool:
        """Whether the key of a principal still counts, and still gives all that the principal has."""
        record = await self._counting(principal.id)
        return record is not None and principal.is_within(_principal_of(record))

    async def _counting(self, principal_id: str) -> KeyRecord | None:
        if not principal_id.startswith(PRINCIPAL):
            return None
        record = await self.store.find(principal_id.removeprefix(PRINCIPAL))
        return None if record is None or record.revoked or self._has_expired(record) else record

    def _has_expired(self, record: KeyRecord) -> bool:
        end = expires_at(record)
        return end is not None and end <= _unix_seconds(self._clock.now().decode())


def _principal_of(record: KeyRecord) -> Principal:
    return Principal(
        id=PRINCIPAL + record.id,
        scopes=record.scopes,
        runs=record.runs,
        workflows=record.workflows,
        tenant=record.tenant,
        expires=expires_at(record),
    )


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _in_digits(number: int) -> str:
    digits = ""
    for _ in range(_SECRET_DIGITS):
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    return digits


def _unix_seconds(time: str) -> float:
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
