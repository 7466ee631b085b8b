"""What a token says becomes a Principal. Each refusal names the claim, and never what stands in it."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final, cast

import orjson

from reactor.bounds import TENANT
from reactor_web.bounds import MAX_TOKEN_NAME_CHARS, MAX_TOKEN_PATTERNS
from reactor_web.guard.principal import SCOPES, Principal, Unauthenticated
from reactor_web.guard.tokens.compact import refused
from reactor_web.guard.tokens.settings import JwtSettings

_LATEST: Final = 253_402_300_799
"""The end of the year 9999 in Unix seconds: a time behind it is a mistake, such as milliseconds."""


def principal_of(payload: bytes, settings: JwtSettings, now: float) -> Principal:
    """Who a token is for, by its claims; its signature was checked before. Raises Unauthenticated.

    ``now``: Unix seconds.
    """
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise refused("the claims of the token are no JSON") from None
    if not isinstance(claims, dict):
        raise refused("the claims of the token are no JSON object")
    claims = cast(dict[str, Any], claims)
    _check_issuer(claims, settings)
    _check_audience(claims, settings)
    expires = _expiry(claims, settings, now)
    return Principal(
        id=f"jwt:{_name(claims, 'sub')}",
        scopes=_scopes(claims, settings.scope_claim),
        runs=_patterns(claims, settings.runs_claim),
        workflows=_patterns(claims, settings.workflows_claim),
        tenant="" if settings.tenant_claim is None else _tenant(claims, settings.tenant_claim),
        expires=expires,
    )


def _check_issuer(claims: dict[str, Any], settings: JwtSettings) -> None:
    if settings.issuer is not None and claims.get("iss") != settings.issuer:
        raise refused("the token is from another issuer (iss)")


def _check_audience(claims: dict[str, Any], settings: JwtSettings) -> None:
    """RFC 7519, 4.1.3: who is not named in an ``aud`` must refuse the token, also where nobody expects one."""
    said = claims.get("aud")
    if said is None and not settings.audiences:
        return
    audiences: list[Any] = cast(list[Any], said) if isinstance(said, list) else [said]
    if not any(audience in settings.audiences for audience in audiences):
        raise refused("the token is not for this server: its audience (aud) is another one")


def _expiry(claims: dict[str, Any], settings: JwtSettings, now: float) -> float:
    """The moment from which the token is refused; raises where that is over, or where its time has not come."""
    expires = _time(claims, "exp")
    if expires is None:
        raise refused("the token has no end: it needs the claim exp")
    issued = _time(claims, "iat")
    if settings.max_age is not None:
        if issued is None:
            raise refused("the token does not say when it was issued: it needs the claim iat")
        expires = min(expires, issued + settings.max_age)
    if now >= expires + settings.leeway:
        raise Unauthenticated("the token has expired", "token_expired")
    for claim, begins in (("nbf", _time(claims, "nbf")), ("iat", issued)):
        if begins is not None and now < begins - settings.leeway:
            raise refused(f"the token is not valid yet: its {claim} lies ahead")
    return expires + settings.leeway


def _time(claims: dict[str, Any], claim: str) -> float | None:
    if claim not in claims:
        return None
    time = claims[claim]
    is_number = isinstance(time, int | float) and not isinstance(time, bool) and isfinite(time)
    if not is_number or not 0 <= time <= _LATEST:
        raise refused(f"the claim {claim} of the token must be a time in Unix seconds")
    return float(time)


def _name(claims: dict[str, Any], claim: str) -> str:
    """A claim that stands in log lines and events: text of one line."""
    name = claims.get(claim)
    if not _is_name(name):
        raise refused(
            f"the claim {claim} of the token must be text of 1 to {MAX_TOKEN_NAME_CHARS} characters that can be printed"
        )
    return cast(str, name)


def _tenant(claims: dict[str, Any], claim: str) -> str:
    name = _name(claims, claim)
    if TENANT.fullmatch(name) is None:
        raise refused(f"the claim {claim} of the token is no tenant: text of 1 to 64 of A-Z a-z 0-9 . _ ~ @ : -")
    return name


def _scopes(claims: dict[str, Any], claim: str) -> frozenset[str]:
    """Those that are scopes here: a token may have others for other servers."""
    if claim == "scope" and claim not in claims:
        claim = "scp"
    said = claims.get(claim, "")
    names: list[Any] = said.split(" ") if isinstance(said, str) else said
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnnecessaryIsInstance]  # it is JSON
        raise refused(f"the claim {claim} of the token must be text or a list of text")
    return SCOPES.intersection(cast(list[str], names))


def _patterns(claims: dict[str, Any], claim: str | None) -> tuple[str, ...] | None:
    """A token without the claim is refused: one that says nothing must not see everything."""
    if claim is None:
        return None
    patterns = claims.get(claim)
    if not isinstance(patterns, list) or len(cast(list[Any], patterns)) > MAX_TOKEN_PATTERNS:
        raise refused(f"the claim {claim} of the token must be a list of at most {MAX_TOKEN_PATTERNS} patterns")
    if not all(map(_is_name, cast(list[Any], patterns))):
        raise refused(
            f"each pattern in the claim {claim} of the token must be text of 1 to {MAX_TOKEN_NAME_CHARS} characters"
        )
    return tuple(cast(list[str], patterns))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TOKEN_NAME_CHARS and value.isprintable()
