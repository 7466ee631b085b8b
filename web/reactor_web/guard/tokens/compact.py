"""The form of a token: header, claims and signature in base64url with dots between them (RFC 7515, 3.1)."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from reactor_web.bounds import MAX_TOKEN_NAME_CHARS
from reactor_web.guard.principal import Unauthenticated

_FORM: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
"""The signature may be empty in a token without one, which is then refused by its algorithm."""


@dataclass(frozen=True, slots=True)
class Compact:
    """A token in its parts. Nothing of it is true yet."""

    algorithm: str
    kid: str | None
    payload: bytes
    signed: bytes
    """What the signature is about."""
    signature: bytes


def refused(sentence: str) -> Unauthenticated:
    """A token that will never be accepted."""
    return Unauthenticated(sentence, "token_invalid")


def has_form(token: str) -> bool:
    """Whether a text is three parts in base64url."""
    return _FORM.fullmatch(token) is not None


def parse(token: str) -> Compact:
    """The parts of a token. Raises Unauthenticated for what is none, or demands what is not known here."""
    if not has_form(token):
        raise refused("the token is no JWT: that has three parts in base64url")
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    try:
        parsed = orjson.loads(_decoded(header))
        parts = _decoded(payload), signed.encode(), _decoded(signature)
    except ValueError:
        raise refused("the token is no JWT: its header is no JSON, or a part is no base64url") from None
    return Compact(*_names(parsed), *parts)


def _names(header: Any) -> tuple[str, str | None]:
    """The algorithm and the key that a header names."""
    if not isinstance(header, dict):
        raise refused("the header of the token is no JSON object")
    header = cast(dict[str, Any], header)
    if "crit" in header or "b64" in header:
        raise refused("the token demands an extension (crit) that is not known here")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise refused("the token names no algorithm (alg)")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_TOKEN_NAME_CHARS):
        raise refused(f"the token's kid must be text of at most {MAX_TOKEN_NAME_CHARS} characters")
    return algorithm, kid


def _decoded(part: str) -> bytes:
    """Base64url without padding. Raises ValueError, also for a text that is not the one that its bytes have."""
    data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise ValueError("bits behind the last byte are not 0")
    return data
