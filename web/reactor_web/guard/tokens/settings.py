"""``JwtSettings``: who issues tokens for this server and what they say, checked when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Final

from yarl import URL

from reactor_web.bounds import MAX_LEEWAY_SECONDS
from reactor_web.guard.hosts import is_loopback
from reactor_web.guard.tokens.signing import HMAC, VerifyKey, check_algorithms, load_key

_JWKS_ALGORITHM: Final = "RS256"


@dataclass(frozen=True, kw_only=True)
class JwtSettings:
    """How tokens are checked. Exactly one of ``key``, ``jwks_file`` and ``jwks_url``; wrong ones raise ValueError."""

    audience: str | Sequence[str] | None
    """The ``aud`` that names this server, or several. Must be said, since an issuer may sign for others, too.
    None: only tokens without an ``aud``."""
    key: str | bytes | None = field(default=None, repr=False)
    """A secret that the issuer and this server share, or a public key in PEM."""
    jwks_file: str | Path | None = None
    """Public keys as a JWK Set, read again when the file changes."""
    jwks_url: str | None = None
    """The same behind a URL: ``https``, or ``http`` on this machine."""
    algorithms: Sequence[str] = ()
    """What tokens may be signed with. Empty: RS256 for a JWKS, HS256 for a secret, that of the key for PEM."""
    issuer: str | None = None
    """The ``iss`` that tokens must have. None: any."""
    leeway: float = 30.0
    """Seconds that the clocks of the issuer and this server may differ, at most 300."""
    scope_claim: str = "scope"
    """Where scopes stand: text with spaces, or a list. Tokens without ``scope`` may have them in ``scp``."""
    tenant_claim: str | None = None
    """Where the tenant stands; a token must have it. None: every token is for the tenant ``""``."""
    runs_claim: str | None = None
    """Where a list of patterns of run ids stands; a token must have it. None: all runs."""
    workflows_claim: str | None = None
    """The same for names of workflows."""
    max_age: float | None = None
    """Seconds after its ``iat`` in which a token is accepted, whatever its ``exp``. None: its ``exp`` alone."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "algorithms", self._chosen_algorithms())
        object.__setattr__(self, "audience", _audiences(self.audience))
        if self.jwks_url is not None:
            _check_url(self.jwks_url)
        _check_number("leeway", self.leeway, 0, MAX_LEEWAY_SECONDS)
        if self.max_age is not None:
            _check_number("max_age", self.max_age, 1, float("inf"))
        _check_name("scope_claim", self.scope_claim)
        for name in ("issuer", "tenant_claim", "runs_claim", "workflows_claim"):
            if getattr(self, name) is not None:
                _check_name(name, getattr(self, name))

    @property
    def audiences(self) -> tuple[str, ...]:
        """Of ``audience``; empty for None."""
        return tuple(self.audience or ())

    def loaded_key(self) -> VerifyKey | None:
        """The key of the settings; None where a JWKS has the keys."""
        return None if self.key is None else load_key(self.key, self.algorithms)

    def _chosen_algorithms(self) -> tuple[str, ...]:
        given = (self.algorithms,) if isinstance(self.algorithms, str) else tuple(self.algorithms)
        check_algorithms(given)
        sources = {"key": self.key, "jwks_file": self.jwks_file, "jwks_url": self.jwks_url}
        named = [name for name, value in sources.items() if value is not None]
        if len(named) != 1:
            raise ValueError(
                f"JWTs need exactly one of key, jwks_file and jwks_url, not {' and '.join(named) or 'none'}"
            )
        if self.key is not None:
            able = load_key(self.key, given).algorithms
            return given or tuple(able)
        if given and given[0] in HMAC:
            raise ValueError(f"{given[0]} needs a secret, and {named[0]} has public keys: give the secret as key")
        if not given:
            check_algorithms((_JWKS_ALGORITHM,))
        return given or (_JWKS_ALGORITHM,)


def shown_url(url: str) -> str:
    """A URL for log lines and sentences, without its query: that may be a secret."""
    return str(URL(url).with_query(None).with_fragment(None).with_user(None))


def _check_url(text: str) -> None:
    try:
        url = URL(text)
    except ValueError:
        raise ValueError("jwks_url is no URL") from None
    if not url.host or not (url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))):
        # else somebody between here and there could put keys of their own into the answer
        raise ValueError("jwks_url must begin with https://, or with http:// for a server on this machine")
    if url.user is not None or url.password is not None:
        raise ValueError("jwks_url must not hold a name or a password: public keys need none")


def _audiences(audience: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if audience is None:
        return None
    names = (audience,) if isinstance(audience, str) else tuple(audience)
    if not names:
        raise ValueError("audience names nobody: give the aud of this server, or None for tokens without one")
    for name in names:
        _check_name("audience", name)
    return names


def _check_name(setting: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{setting} must be text that is not empty, not {value!r}")


def _check_number(setting: str, value: Any, least: float, most: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if not is_number or not least <= value <= most:
        bound = f" to {most:g}" if isfinite(most) else " on"
        raise ValueError(f"{setting} must be a number of seconds from {least:g}{bound}, not {value!r}")
