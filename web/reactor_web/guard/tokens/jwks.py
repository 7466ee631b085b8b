"""A set of public keys (JWK Set, RFC 7517), and which of them a token means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import orjson

from reactor.bounds import MIB
from reactor_web.bounds import MAX_JWKS_BYTES, MAX_JWKS_KEYS
from reactor_web.guard.tokens.signing import VerifyKey, load_jwk


class KeySet:
    """Keys by their names."""

    def __init__(self, keys: Sequence[VerifyKey] = ()) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str | None, algorithm: str) -> VerifyKey | None:
        """The key that a token names. One key alone needs no name: then either side may leave it out."""
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if kid is not None and (named := [key for key in fitting if key.kid == kid]):
            return named[0]
        if len(self._keys) != 1 or not fitting:
            return None
        [only] = fitting
        return only if kid is None or only.kid is None else None


def parse_jwks(document: bytes, algorithms: Sequence[str]) -> KeySet:
    """The keys of a document that fit these algorithms; others are left out. Raises ValueError for what is no JWKS."""
    if len(document) > MAX_JWKS_BYTES:
        raise ValueError(f"it is larger than {MAX_JWKS_BYTES // MIB} MiB")
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise ValueError("it is no JSON") from None
    entries = cast(dict[str, Any], parsed).get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list):
        raise ValueError('it is no JWK Set: {"keys": [...]}')
    listed = cast(list[Any], entries)
    if len(listed) > MAX_JWKS_KEYS:
        raise ValueError(f"it has {len(listed)} keys; at most {MAX_JWKS_KEYS} are read")
    loaded = (load_jwk(cast(dict[str, Any], entry), algorithms) for entry in listed if isinstance(entry, dict))
    return KeySet([key for key in loaded if key is not None])
