"""``Jwts``: a token becomes a Principal."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from reactor.events.timing import unix_seconds
from reactor.ports.clock import Clock
from reactor_web.bounds import KNOWN_TOKEN_SECONDS, KNOWN_TOKENS, MAX_TOKEN_BYTES
from reactor_web.guard.principal import Principal
from reactor_web.guard.tokens.claims import principal_of
from reactor_web.guard.tokens.compact import has_form, parse, refused
from reactor_web.guard.tokens.fetching import JwksUrl
from reactor_web.guard.tokens.settings import JwtSettings
from reactor_web.guard.tokens.signing import is_signed
from reactor_web.guard.tokens.sources import JwksFile, KeySource, OneKey


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was checked."""

    principal: Principal
    version: int
    """Of the keys it was checked with."""
    until: float
    """By the monotonic clock."""


class Jwts:
    """Tokens of one issuer. ``start`` before, ``close`` after."""

    def __init__(self, settings: JwtSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = _source(settings, clock)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        """By the digest of the token, the one that was used last at the end."""

    async def start(self) -> None:
        """Loads the keys. Raises ValueError for a file that is no JWKS; a URL that is dead is asked again later."""
        await self._keys.start()

    async def close(self) -> None:
        """Closes the connections and forgets the tokens."""
        self._known.clear()
        await self._keys.close()

    def claims(self, token: str) -> bool:
        """Whether a token has the form of a JWT: three parts in base64url."""
        return has_form(token)

    async def authenticate(self, token: str) -> Principal:
        """Who has this token.

        Raises Unauthenticated: ``token_expired``; ``token_invalid`` for everything else that is wrong with it;
        ``token_keys_unavailable`` where it cannot be checked now. The sentences have nothing of the token.
        """
        if len(token) > MAX_TOKEN_BYTES:  # before anything is done with it
            raise refused(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
        self._keys.look()
        digest = sha256(token.encode()).digest()
        if (known := self._recall(digest)) is not None:
            return known
        parts = parse(token)
        if parts.algorithm not in self._settings.algorithms:
            raise refused("the algorithm of the token (alg) is not one that is accepted here")
        key = await self._keys.find(parts.kid, parts.algorithm)
        if key is None:
            raise refused("the token is signed with a key that is not known here")
        version = self._keys.version
        if not is_signed(parts.signed, parts.signature, key, parts.algorithm):
            raise refused("the signature of the token is wrong")
        principal = principal_of(parts.payload, self._settings, self._now())
        self._remember(digest, principal, version)
        return principal

    def _now(self) -> float:
        return unix_seconds(self._clock.now().decode())

    def _recall(self, digest: bytes) -> Principal | None:
        known = self._known.get(digest)
        if known is None:
            return None
        principal = known.principal
        is_over = principal.expires is not None and self._now() >= principal.expires
        if is_over or known.version != self._keys.version or self._clock.monotonic() >= known.until:
            del self._known[digest]
            return None
        self._known.move_to_end(digest)
        return principal

    def _remember(self, digest: bytes, principal: Principal, version: int) -> None:
        until = self._clock.monotonic() + KNOWN_TOKEN_SECONDS
        self._known[digest] = _Known(principal, version, until)
        self._known.move_to_end(digest)
        if len(self._known) > KNOWN_TOKENS:
            self._known.popitem(last=False)


def _source(settings: JwtSettings, clock: Clock) -> KeySource:
    if settings.jwks_url is not None:
        return JwksUrl(settings.jwks_url, settings.algorithms, clock)
    if settings.jwks_file is not None:
        return JwksFile(Path(settings.jwks_file), settings.algorithms, clock)
    key = settings.loaded_key()
    assert key is not None, "JwtSettings has exactly one of the three"
    return OneKey(key)
