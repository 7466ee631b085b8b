"""Signatures: which algorithms there are, which keys they take, whether a token is signed. The arithmetic is PyJWT's.

PyJWT and cryptography are imported when the first JWT is set up: that takes a tenth of a second, which a server
without JWTs does not pay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

HMAC: Final[Mapping[str, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The bytes that a secret has at least: as many as the hash (RFC 7518, 3.2)."""
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[str, str]] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_EDDSA: Final = "EdDSA"
ALGORITHMS: Final = (*HMAC, *_RSA, *_CURVES.values(), _EDDSA)
_RSA_BITS: Final = (2_048, 8_192)
"""A shorter key can be broken; a longer one takes the loop too long."""
_PUBLIC: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
}
"""The members of a public JWK by its ``kty``. Nothing else of a key is read, least of all private parts."""
_PEM: Final = b"-----BEGIN"


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A key that signatures are checked with."""

    material: Any = field(repr=False)
    """Bytes of a secret, or a public key of ``cryptography``."""
    algorithms: frozenset[str]
    """Those whose signatures it may check."""
    kid: str | None = None
    """Its name in a JWKS."""


def check_algorithms(algorithms: Sequence[str]) -> None:
    """Raises ValueError for what cannot be used here, and for secrets and public keys at the same time."""
    for name in algorithms:
        if name.lower() == "none":
            raise ValueError("the algorithm none is refused: anybody can make a token that has no signature")
        if name not in ALGORITHMS:
            raise ValueError(f"there is no JWT algorithm {name!r}; there are {', '.join(ALGORITHMS)}")
        if name not in HMAC:
            _need_cryptography(name)
    if len({name in HMAC for name in algorithms}) > 1:
        raise ValueError(
            "the JWT algorithms mix HS* with others: a public key, which everybody has, could be used as a secret"
        )


def load_key(key: str | bytes, algorithms: Sequence[str]) -> VerifyKey:
    """A secret or a public key in PEM. Raises ValueError for a key that is too weak or fits none of the algorithms.

    ``algorithms``: empty for the one that belongs to this kind of key; for RSA that is RS256.
    """
    raw = key.encode() if isinstance(key, str) else key
    if (algorithms and algorithms[0] in HMAC) or (not algorithms and not _is_pem(raw)):
        return _secret(raw, algorithms or ("HS256",))
    _need_cryptography(algorithms[0] if algorithms else "a key in PEM")
    material = _public_pem(raw)
    able = fitting(material)
    chosen = tuple(algorithms) or able[:1]
    for name in chosen:
        if name not in able:
            raise ValueError(f"the JWT key does not fit {name}: it is for {' or '.join(able)}")
    return VerifyKey(material, frozenset(chosen))


def load_jwk(jwk: Mapping[str, Any], algorithms: Sequence[str]) -> VerifyKey | None:
    """A public key of a JWKS; None for one that is for something else, or that cannot be used."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    members, kid, ops = _PUBLIC.get(str(jwk.get("kty"))), jwk.get("kid"), jwk.get("key_ops")
    if members is None or jwk.get("use", "sig") != "sig" or not isinstance(kid, str | None):
        return None
    if ops is not None and (not isinstance(ops, list) or "verify" not in ops):
        return None
    public = {"kty": jwk["kty"], **{name: jwk[name] for name in members if isinstance(jwk.get(name), str)}}
    try:
        material = PyJWK(public).key
        able = fitting(material)
    except (
        PyJWTError,
        UnsupportedAlgorithm,
        ValueError,
    ):  # not on its curve, too short, of a kind that nobody here uses
        return None
    named = jwk.get("alg")
    usable = frozenset(name for name in able if name in algorithms and named in (None, name))
    return VerifyKey(material, usable, kid) if usable else None


def fitting(material: Any) -> tuple[str, ...]:
    """The algorithms of a public key, the usual one first. Raises ValueError for one that none can use."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(material, RSAPublicKey):
        if not _RSA_BITS[0] <= material.key_size <= _RSA_BITS[1]:
            raise ValueError(f"an RSA key for JWTs has {_RSA_BITS[0]} to {_RSA_BITS[1]} bits, not {material.key_size}")
        return _RSA
    if isinstance(material, EllipticCurvePublicKey) and material.curve.name in _CURVES:
        return (_CURVES[material.curve.name],)
    if isinstance(material, Ed25519PublicKey):
        return (_EDDSA,)
    raise ValueError(f"a {type(material).__name__} is no key for JWTs: use RSA, P-256, P-384, P-521 or Ed25519")


def is_signed(signed: bytes, signature: bytes, key: VerifyKey, algorithm: str) -> bool:
    """Whether the key has signed these bytes. ``algorithm``: one that was chosen by the settings and fits the key."""
    return algorithm in key.algorithms and _arithmetic(algorithm).verify(signed, key.material, signature)


@cache
def _arithmetic(algorithm: str) -> Any:
    from jwt import get_algorithm_by_name

    return get_algorithm_by_name(algorithm)


def _secret(secret: bytes, algorithms: Sequence[str]) -> VerifyKey:
    from jwt import InvalidKeyError
    from jwt.algorithms import HMACAlgorithm

    least = max(HMAC[name] for name in algorithms)
    if len(secret) < least:
        raise ValueError(f"the JWT key has {len(secret)} bytes; a secret for {' and '.join(algorithms)} has {least}")
    try:
        if _is_pem(secret) or (secret.lstrip().startswith(b"{") and b'"kty"' in secret):
            raise InvalidKeyError
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)  # knows OpenSSH and DER, too
    except InvalidKeyError:
        raise ValueError(
            f"the JWT key is a public or private key, not a secret for {algorithms[0]}: name its own algorithm"
        ) from None
    return VerifyKey(secret, frozenset(algorithms))


def _is_pem(key: bytes) -> bool:
    return key.lstrip().startswith(_PEM)


def _public_pem(pem: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in pem:
        raise ValueError("the JWT key is a private key: tokens are checked with the public one")
    try:
        return load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the JWT key is no public key in PEM (-----BEGIN PUBLIC KEY-----)") from None


def _need_cryptography(what: str) -> None:
    try:
        import cryptography  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise ValueError(f"JWTs with {what} need the package cryptography: pip install 'reactor-dag[jwt]'") from None
