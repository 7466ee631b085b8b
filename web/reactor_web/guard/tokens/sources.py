"""Where the keys for tokens come from: the settings, or a file that may change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from reactor.logger import get_logger
from reactor.ports.clock import Clock
from reactor_web.bounds import JWKS_LAST_GOOD_SECONDS, JWKS_LOOK_SECONDS, MAX_JWKS_BYTES
from reactor_web.guard.principal import Unauthenticated
from reactor_web.guard.tokens.jwks import KeySet, parse_jwks
from reactor_web.guard.tokens.signing import VerifyKey

logger = get_logger("reactor.web")


class KeySource(Protocol):
    """Where keys come from."""

    @property
    def version(self) -> int:
        """Another number means: other keys, so nothing that the old ones have verified counts any more."""
        ...

    async def start(self) -> None:
        """Loads the keys. Raises ValueError where they can never be loaded as they are."""
        ...

    async def close(self) -> None:
        """Lets go of everything."""
        ...

    def look(self) -> None:
        """Notices what has changed, or begins to. Called for every request, so it never waits."""
        ...

    async def find(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        """The key that a token names; None where there is none. Raises Unauthenticated where no keys can be had."""
        ...


def unavailable() -> Unauthenticated:
    """No fault of the token's: it may be accepted later."""
    return Unauthenticated("the keys that tokens are checked with cannot be had now", "token_keys_unavailable")


class OneKey:
    """The key of the settings: the tokens that it signs need not name it."""

    version = 0

    def __init__(self, key: VerifyKey) -> None:
        self._key = key

    async def start(self) -> None:
        """It is here."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    def look(self) -> None:
        """It never changes."""

    async def find(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        return self._key if algorithm in self._key.algorithms else None


class Installed:
    """The last good keys: what a file and a URL have in common."""

    def __init__(self, where: str, algorithms: Sequence[str], clock: Clock) -> None:
        self.version = 0
        self._where = where
        self._algorithms = algorithms
        self._clock = clock
        self._document: bytes | None = None
        self._keys = KeySet()
        self._confirmed = 0.0
        """When the source was last found to say this, by the monotonic clock."""
        self._is_failing = False

    @property
    def keys(self) -> KeySet | None:
        """The keys; None before there are any, and when they are too old to be trusted."""
        if self._document is None or self.age >= JWKS_LAST_GOOD_SECONDS:
            return None
        return self._keys

    @property
    def age(self) -> float:
        """Seconds since the source last said this."""
        return self._clock.monotonic() - self._confirmed

    def install(self, document: bytes) -> None:
        """Takes over what the source says now. Raises ValueError, and keeps what it has, for what is no JWKS."""
        if document != self._document:
            keys = parse_jwks(document, self._algorithms)
            self._document, self._keys, self.version = document, keys, self.version + 1
            if not keys:
                logger.warning("no key for JWTs fits the algorithms", source=self._where)
        self.confirm()

    def confirm(self) -> None:
        """The source still says what it said."""
        self._confirmed = self._clock.monotonic()
        if self._is_failing:
            self._is_failing = False
            logger.info("keys for JWTs are loaded again", source=self._where)

    def say_failure(self, error: str) -> None:
        """One line for as long as the source fails."""
        if not self._is_failing:
            self._is_failing = True
            logger.warning("keys for JWTs cannot be loaded", source=self._where, error=error)


class JwksFile:
    """A JWK Set in a file. Its change counts a second later; one that cannot be read leaves the last good keys."""

    def __init__(self, path: Path, algorithms: Sequence[str], clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._installed = Installed(str(path), algorithms, clock)
        self._seen: tuple[int, int, int] | None = None
        """Of the file that was read: its inode, size and time."""
        self._looked: float | None = None

    @property
    def version(self) -> int:
        return self._installed.version

    async def start(self) -> None:
        """Raises ValueError for a file that is no JWKS: somebody has just named it."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise ValueError(f"the JWKS {self._path} cannot be loaded: {error}") from error

    async def close(self) -> None:
        """No file is open."""

    def look(self) -> None:
        now = self._clock.monotonic()
        if self._looked is not None and now < self._looked + JWKS_LOOK_SECONDS:
            return
        self._looked = now
        try:
            self._read()
        except (OSError, ValueError) as error:
            self._installed.say_failure(str(error))

    async def find(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        if (keys := self._installed.keys) is None:
            raise unavailable()
        return keys.find(kid, algorithm)

    def _read(self) -> None:
        found = self._path.stat()
        if self._seen == (found.st_ino, found.st_size, found.st_mtime_ns):
            self._installed.confirm()
            return
        with self._path.open("rb") as file:
            found = os.fstat(file.fileno())  # of what is read now, whatever the path means by then
            self._installed.install(file.read(MAX_JWKS_BYTES + 1))
        self._seen = (found.st_ino, found.st_size, found.st_mtime_ns)
