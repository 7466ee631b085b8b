"""JWTs: who is let in with one, and who is not."""

from __future__ import annotations

import base64
import json
import time
import traceback
from collections.abc import Awaitable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor.testing import VirtualClock
from reactor_web.bounds import KNOWN_TOKENS, MAX_TOKEN_BYTES
from reactor_web.guard.principal import Principal, Unauthenticated
from reactor_web.guard.tokens import Jwts, JwtSettings
from reactor_web.guard.tokens.compact import parse
from reactor_web.guard.tokens.signing import ALGORITHMS, is_signed, load_jwk, load_key
from tests.helpers.command import run_code
from tests.helpers.issuer import (
    AUDIENCE,
    SECRET,
    base64url,
    by_hand,
    claims_at,
    private_key,
    public_pem,
    token,
    verifying,
)
from tests.helpers.log_lines import log_lines

HOUR = 3_600


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(jumps=False)


def jwts(clock: VirtualClock, **changed: Any) -> Jwts:
    """By a secret, for the audience of the tests, unless something else is said."""
    return Jwts(JwtSettings(**{"key": SECRET, "audience": AUDIENCE, **changed}), clock)


async def refusal(asked: Awaitable[Principal]) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        await asked
    return refused.value


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_says_who_asks(clock: VirtualClock, algorithm: str) -> None:
    """With each algorithm: the id, the scopes that there are here, and the end with its leeway."""
    asked = jwts(clock, key=verifying(algorithm), algorithms=[algorithm])
    said = claims_at(clock, scope="read openid control")
    principal = await asked.authenticate(token(said, algorithm))
    assert principal == Principal("jwt:ann", frozenset({"read", "control"}), expires=said["exp"] + 30)


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_the_algorithm_follows_from_the_key(algorithm: str) -> None:
    """Where none is named: HS256 for a secret, RS256 for RSA, the one of its curve for the others."""
    assert JwtSettings(key=verifying(algorithm), audience=AUDIENCE).algorithms == (algorithm,)


JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
VECTORS = {
    "HS256": (
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    "RS256": (
        {
            "kty": "RSA",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL"
            "-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KX"
            "BdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaG"
            "Nj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            "e": "AQAB",
        },
        f"eyJhbGciOiJSUzI1NiJ9.{JOE}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0"
        "Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQB"
        "MHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8"
        "np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    "ES256": (
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        f"eyJhbGciOiJFUzI1NiJ9.{JOE}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqP"
        "P3-Kg6NU1Q",
    ),
    "EdDSA": (
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhi"
        "jcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
}


@pytest.mark.parametrize("algorithm", VECTORS)
def test_the_examples_of_the_standards_are_signed(algorithm: str) -> None:
    """RFC 7515, A.1 to A.3, and RFC 8037, A.4; with one bit of the signature changed they are not."""
    given_key, example = VECTORS[algorithm]
    if isinstance(given_key, str):
        key = load_key(base64.urlsafe_b64decode(given_key + "=="), [algorithm])
    else:
        loaded = load_jwk(given_key, [algorithm])
        assert loaded is not None
        key = loaded
    parts = parse(example)
    assert parts.algorithm == algorithm
    assert parts.payload.startswith((b'{"iss":"joe"', b"Example of Ed25519 signing"))
    assert is_signed(parts.signed, parts.signature, key, algorithm)
    for changed in (bytes([parts.signature[0] ^ 1]) + parts.signature[1:], parts.signature[:-1], b""):
        assert not is_signed(parts.signed, changed, key, algorithm)
    assert not is_signed(parts.signed + b"A", parts.signature, key, algorithm)


async def test_a_public_key_is_no_secret(clock: VirtualClock) -> None:
    """Algorithm confusion: a token whose HMAC has the public key as its secret is refused, whatever its header says."""
    pem = public_pem(private_key("RS256"))
    for alg in ("HS256", "RS256"):
        forged = by_hand({"alg": alg, "typ": "JWT"}, claims_at(clock), pem.encode())
        refused = await refusal(jwts(clock, key=pem, algorithms=["RS256"]).authenticate(forged))
        assert refused.code == "token_invalid"


@pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", "", None, 0, ["none"], {}])
@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_a_token_without_a_signature_is_refused(clock: VirtualClock, none: object, signature: str) -> None:
    """``alg: none`` in any case, and what is no name of an algorithm."""
    parts = [base64url(json.dumps(part).encode()) for part in ({"alg": none}, claims_at(clock))]
    for key in (SECRET, public_pem(private_key("RS256"))):
        refused = await refusal(jwts(clock, key=key).authenticate(".".join([*parts, signature])))
        assert (refused.code, "algorithm" in str(refused)) == ("token_invalid", True)


async def test_only_the_algorithms_of_the_settings_count(clock: VirtualClock) -> None:
    """A token that another algorithm has signed with the right key is refused."""
    signed = token(claims_at(clock), "RS512")
    pem = public_pem(private_key("RS256"))
    assert (await refusal(jwts(clock, key=pem, algorithms="RS256").authenticate(signed))).code == "token_invalid"
    assert (await jwts(clock, key=pem, algorithms=["RS256", "RS512"]).authenticate(signed)).id == "jwt:ann"


PEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "one of key, jwks_file and jwks_url, not none"),
    ({"key": SECRET, "jwks_url": "https://a.example/k"}, "not key and jwks_url"),
    ({"key": SECRET, "algorithms": ["none"]}, "algorithm none is refused"),
    ({"key": SECRET, "algorithms": ["None"]}, "algorithm none is refused"),
    ({"key": SECRET, "algorithms": ["HS1"]}, "no JWT algorithm 'HS1'"),
    ({"key": SECRET, "algorithms": ["HS256", "RS256"]}, "mix"),
    ({"jwks_url": "https://a.example/k", "algorithms": ["RS256", "HS256"]}, "mix"),
    ({"jwks_url": "https://a.example/k", "algorithms": ["HS256"]}, "needs a secret"),
    ({"jwks_file": "k.json", "algorithms": ["HS256"]}, "needs a secret"),
    ({"key": PEM, "algorithms": ["HS256"]}, "not a secret for HS256"),
    ({"key": f"\n{PEM}".encode(), "algorithms": ["HS256"]}, "not a secret for HS256"),
    ({"key": "ssh-ed25519 " + "A" * 60}, "not a secret for HS256"),
    ({"key": json.dumps({"kty": "oct", "k": "A" * 60})}, "not a secret for HS256"),
    ({"key": PEM}, "no public key in PEM"),
    ({"key": SECRET, "algorithms": ["RS256"]}, "no public key in PEM"),
    ({"key": "a" * 31}, "31 bytes; a secret for HS256 has 32"),
    ({"key": "a" * 63, "algorithms": ["HS256", "HS512"]}, "63 bytes; a secret for HS256 and HS512 has 64"),
    ({"key": ""}, "0 bytes"),
    ({"key": SECRET, "audience": ""}, "audience must be text"),
    ({"key": SECRET, "audience": []}, "audience names nobody"),
    ({"key": SECRET, "issuer": ""}, "issuer must be text"),
    ({"key": SECRET, "leeway": -1}, "leeway must be a number of seconds from 0 to 300"),
    ({"key": SECRET, "leeway": 301}, "leeway must be"),
    ({"key": SECRET, "leeway": float("nan")}, "leeway must be"),
    ({"key": SECRET, "leeway": True}, "leeway must be"),
    ({"key": SECRET, "max_age": 0}, "max_age must be a number of seconds from 1 on"),
    ({"key": SECRET, "scope_claim": ""}, "scope_claim must be text"),
    ({"key": SECRET, "tenant_claim": ""}, "tenant_claim must be text"),
    ({"jwks_url": "http://a.example/k"}, "must begin with https://"),
    ({"jwks_url": "http://127.0.0.1.a.example/k"}, "must begin with https://"),
    ({"jwks_url": "file:///etc/keys"}, "must begin with https://"),
    ({"jwks_url": "https://ann:secret@a.example/k"}, "name or a password"),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_settings_that_would_not_be_safe_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    """With one sentence, when they are made; the sentence never has the key."""
    with pytest.raises(ValueError, match=sentence) as refused:
        JwtSettings(**{"audience": AUDIENCE, **wrong})
    assert "\n" not in str(refused.value)
    assert "secret@" not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_key_must_fit_its_algorithm() -> None:
    """RSA, each curve and Ed25519 only with their own; no private key, and no RSA key that can be broken."""
    for name, wrong in [("RS256", "ES256"), ("ES256", "RS256"), ("ES256", "ES384"), ("EdDSA", "ES256")]:
        with pytest.raises(ValueError, match=f"does not fit {wrong}"):
            JwtSettings(key=verifying(name), algorithms=[wrong], audience=AUDIENCE)
    private = private_key("ES256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="is a private key"):
        JwtSettings(key=private, audience=AUDIENCE)
    with pytest.raises(ValueError, match="2048 to 8192 bits, not 1024"):
        JwtSettings(key=public_pem(rsa.generate_private_key(65_537, 1_024)), audience=AUDIENCE)


def test_the_audience_must_be_said_and_the_key_is_not_shown() -> None:
    """Somebody who does not think of ``audience`` is told by Python itself; ``repr`` has no key."""
    with pytest.raises(TypeError, match="audience"):
        JwtSettings(key=SECRET)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert SECRET not in repr(JwtSettings(key=SECRET, audience=None))
    assert JwtSettings(jwks_url="http://localhost:8080/k", audience=None).algorithms == ("RS256",)


AUDIENCES: list[tuple[Any, Any, bool]] = [
    ("reactor", "reactor", True),
    ("reactor", ["other", "reactor"], True),
    (["a", "b"], "b", True),
    ("reactor", "Reactor", False),
    ("reactor", "reactor2", False),
    ("reactor", ["other"], False),
    ("reactor", [], False),
    ("reactor", None, False),
    ("reactor", {"reactor": 1}, False),
    ("reactor", 7, False),
    (None, None, True),
    (None, "somebody else", False),
    (None, [], False),
]


@pytest.mark.parametrize(("expected", "said", "is_ours"), AUDIENCES, ids=repr)
async def test_a_token_for_somebody_else_is_refused(
    clock: VirtualClock, expected: Any, said: Any, is_ours: bool
) -> None:
    """The audience is compared as it is; with ``audience=None`` a token that names one is for somebody else."""
    asked = jwts(clock, audience=expected).authenticate(by_hand({"alg": "HS256"}, claims_at(clock, aud=said)))
    if is_ours:
        assert (await asked).id == "jwt:ann"
    else:
        refused = await refusal(asked)
        assert (refused.code, "(aud)" in str(refused)) == ("token_invalid", True)


@pytest.mark.parametrize("said", [None, "https://b.example", "https://a.example/", ["https://a.example"], 1])
async def test_a_token_of_another_issuer_is_refused(clock: VirtualClock, said: Any) -> None:
    """``iss`` is compared as it is; without ``issuer`` any is accepted."""
    signed = by_hand({"alg": "HS256"}, claims_at(clock, iss=said))
    refused = await refusal(jwts(clock, issuer="https://a.example").authenticate(signed))
    assert (refused.code, "(iss)" in str(refused)) == ("token_invalid", True)
    assert (await jwts(clock).authenticate(signed)).id == "jwt:ann"
    right = token(claims_at(clock, iss="https://a.example"))
    assert (await jwts(clock, issuer="https://a.example").authenticate(right)).id == "jwt:ann"


@pytest.mark.parametrize("leeway", [0, 30, 300])
async def test_clocks_may_differ_by_the_leeway(clock: VirtualClock, leeway: int) -> None:
    """A token begins ``leeway`` before its ``nbf`` and ``iat`` and ends ``leeway`` after its ``exp``, to the second."""
    at = claims_at(clock)["exp"] - HOUR
    signed = token(claims_at(clock, nbf=at + 1_000, iat=at + 1_000, exp=at + 2_000))
    asked = jwts(clock, leeway=leeway)
    clock.jump(1_000 - leeway - 1)
    early = await refusal(asked.authenticate(signed))
    assert (early.code, str(early)) == ("token_invalid", "the token is not valid yet: its nbf lies ahead")
    clock.jump(1)
    principal = await asked.authenticate(signed)
    assert principal.expires == at + 2_000 + leeway
    clock.jump(1_000 + 2 * leeway - 1)
    assert await asked.authenticate(signed) == principal
    clock.jump(1)
    late = await refusal(asked.authenticate(signed))
    assert (late.code, str(late)) == ("token_expired", "the token has expired")


async def test_the_clock_is_the_one_that_was_given(clock: VirtualClock) -> None:
    """Not the time of the machine: neither ends a token early nor keeps one alive."""
    past = VirtualClock("1999-01-01T00:00:00Z", jumps=False)
    assert (await jwts(past).authenticate(token(claims_at(past)))).id == "jwt:ann"
    future = VirtualClock("2999-01-01T00:00:00Z", jumps=False)
    now = int(time.time())
    assert (await refusal(jwts(future).authenticate(token(claims_at(clock, exp=now + 60))))).code == "token_expired"


async def test_max_age_ends_a_token_before_its_exp(clock: VirtualClock) -> None:
    """It counts from ``iat``, which is then needed; a stream ends at that moment, too."""
    asked, at = jwts(clock, max_age=600), claims_at(clock)["exp"] - HOUR
    signed = token(claims_at(clock, iat=at))
    assert (await asked.authenticate(signed)).expires == at + 630
    clock.jump(630)
    assert (await refusal(asked.authenticate(signed))).code == "token_expired"
    assert "iat" in str(await refusal(asked.authenticate(token(claims_at(clock)))))


WRONG_CLAIMS: list[tuple[str, Any]] = [
    ("exp", None),
    ("exp", "tomorrow"),
    ("exp", True),
    ("exp", -1),
    ("exp", 1e300),
    ("exp", 2_000_000_000_000),
    ("exp", [1]),
    ("nbf", "now"),
    ("nbf", False),
    ("iat", {}),
    ("sub", None),
    ("sub", ""),
    ("sub", 7),
    ("sub", "a\nb"),
    ("sub", "a\x00b"),
    ("sub", "a\x1b[31m"),
    ("sub", "a\u202eb"),
    ("sub", "a\x85b"),
    ("sub", "a" * 257),
    ("scope", 7),
    ("scope", {"read": True}),
    ("scope", ["read", 7]),
    ("tenant", None),
    ("tenant", ""),
    ("tenant", ["acme"]),
    ("tenant", "a\nb"),
    ("runs", None),
    ("tenant", "a/b"),
    ("tenant", "é"),
    ("tenant", "x" * 65),
    ("runs", "acme-*"),
    ("runs", [""]),
    ("runs", [None]),
    ("runs", ["a\x00"]),
    ("runs", ["a"] * 101),
    ("workflows", {}),
    ("workflows", ["x" * 257]),
]


@pytest.mark.parametrize(("claim", "value"), WRONG_CLAIMS, ids=lambda value: repr(value)[:30])
async def test_a_claim_that_is_not_as_it_must_be_is_named(clock: VirtualClock, claim: str, value: Any) -> None:
    """Missing or wrong: ``token_invalid``, a sentence with the name of the claim and nothing of its value."""
    asked = jwts(clock, tenant_claim="tenant", runs_claim="runs", workflows_claim="workflows")
    right = {"tenant": "acme", "runs": [], "workflows": ["*"]}
    assert (await asked.authenticate(token(claims_at(clock, **right)))).tenant == "acme"
    refused = await refusal(asked.authenticate(by_hand({"alg": "HS256"}, claims_at(clock, **{**right, claim: value}))))
    assert refused.code == "token_invalid"
    assert claim in str(refused)
    assert "\n" not in str(refused)


async def test_scopes_stand_in_text_or_a_list(clock: VirtualClock) -> None:
    """In ``scope``, else in ``scp``, or where the settings say; without any the principal may do nothing."""
    for said, scopes in [
        ({"scope": "read run"}, {"read", "run"}),
        ({"scope": ["read", "else"]}, {"read"}),
        ({"scope": None, "scp": "control"}, {"control"}),
        ({"scope": None, "scp": ["admin"]}, {"admin"}),
        ({"scope": "read", "scp": "admin"}, {"read"}),
        ({"scope": ""}, set()),
        ({"scope": None}, set()),
        ({"scope": "READ readrun"}, set()),
    ]:
        assert (await jwts(clock).authenticate(token(claims_at(clock, **said)))).scopes == scopes, said
    elsewhere = claims_at(clock, scope="admin", permissions=["run"])
    assert (await jwts(clock, scope_claim="permissions").authenticate(token(elsewhere))).scopes == {"run"}


async def test_tenant_and_patterns_come_from_their_claims(clock: VirtualClock) -> None:
    """Where the settings name the claims, and only there: a token cannot choose its tenant by itself."""
    said = token(claims_at(clock, tenant="acme", runs=["acme-*"], workflows=[]))
    principal = await jwts(clock, tenant_claim="tenant", runs_claim="runs", workflows_claim="workflows").authenticate(
        said
    )
    assert (principal.tenant, principal.runs, principal.workflows) == ("acme", ("acme-*",), ())
    assert not principal.sees_workflow("anything")
    principal = await jwts(clock).authenticate(said)
    assert (principal.tenant, principal.runs, principal.workflows) == ("", None, None)


async def test_a_token_above_8_kib_is_refused_unread(clock: VirtualClock) -> None:
    """Although it is signed; one that is just as long as allowed is accepted."""
    asked = jwts(clock)
    assert (await asked.authenticate(_of_length(MAX_TOKEN_BYTES, claims_at(clock)))).id == "jwt:ann"
    for long in (_of_length(MAX_TOKEN_BYTES + 1, claims_at(clock)), "a" * 1_000_000, "\x00" * 10_000):
        assert str(await refusal(asked.authenticate(long))) == "the token is longer than 8192 bytes"


def _of_length(length: int, claims: dict[str, Any]) -> str:
    """A signed token of this length. A part in base64url never has 4n+1 characters, so the header is filled, too."""
    for pad in ("", "x", "xx"):
        header = {"alg": "HS256", "x": pad}
        fill = (length - len(by_hand(header, {**claims, "fill": ""}))) * 3 // 4
        for more in range(-2, 3):
            if len(made := by_hand(header, {**claims, "fill": "x" * (fill + more)})) == length:
                return made
    raise AssertionError(f"no token has {length} characters")


def _digits(count: int) -> bytes:
    return b'{"alg": "HS256", "n": ' + b"9" * count + b"}"


ODD_HEADERS: list[Any] = [
    {"alg": "HS256", "crit": ["exp"], "exp": 1},
    {"alg": "HS256", "crit": ["b64"], "b64": True},
    {"alg": "HS256", "crit": []},
    {"alg": "HS256", "crit": None},
    {"alg": "HS256", "b64": False},
    {"alg": "HS256", "b64": True},
    {"alg": "HS256", "kid": 7},
    {"alg": "HS256", "kid": "k" * 257},
    {"alg": ["HS256"]},
    {"typ": "JWT"},
    [],
    "HS256",
    None,
    b"",
    b"{",
    b"\xff\xfe",
    b"[" * 4_000,
    b'{"alg":' * 700,
    _digits(5_000),
]


@pytest.mark.parametrize("header", ODD_HEADERS, ids=lambda header: repr(header)[:40])
async def test_an_odd_header_is_refused(clock: VirtualClock, header: Any) -> None:
    """Extensions that are not known, odd names of keys, what is no JSON, what is nested or long without end."""
    assert (await refusal(jwts(clock).authenticate(by_hand(header, claims_at(clock))))).code == "token_invalid"


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"7", b"{", b"\xff", b"[" * 5_000, _digits(5_000)], ids=repr)
async def test_signed_claims_that_are_no_object_are_refused(clock: VirtualClock, payload: bytes) -> None:
    """Also where the issuer has signed them."""
    assert (await refusal(jwts(clock).authenticate(by_hand({"alg": "HS256"}, payload)))).code == "token_invalid"


@pytest.mark.parametrize(
    ("form", "is_one"),
    [
        *[(form, True) for form in ("a.b.c", "a.b.")],
        *[(form, False) for form in ("", "a.b", "a.b.c.d", "a.b.c.d.e", ".b.c", "a..c", "a.b.c=", "a.b.ä", "a.b.c\n")],
    ],
)
async def test_a_jwt_is_known_by_its_form(clock: VirtualClock, form: str, is_one: bool) -> None:
    """Three parts in base64url; what is none is refused all the same."""
    assert jwts(clock).claims(form) is is_one
    assert (await refusal(jwts(clock).authenticate(form))).code == "token_invalid"


async def test_a_token_has_one_spelling(clock: VirtualClock) -> None:
    """Bits that stand behind the last byte of a part are 0, so the same signature cannot be written twice."""
    asked, signed = jwts(clock), token(claims_at(clock))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = signed[:-1] + alphabet[alphabet.index(signed[-1]) + 1]
    assert base64.urlsafe_b64decode(twin.split(".")[2] + "=") == base64.urlsafe_b64decode(signed.split(".")[2] + "=")
    assert (await refusal(asked.authenticate(twin))).code == "token_invalid"
    assert (await asked.authenticate(signed)).id == "jwt:ann"


@settings(max_examples=30, deadline=None)
@given(signed=st.binary(max_size=40), signature=st.binary(max_size=140) | st.just(bytes(64)) | st.just(bytes(256)))
def test_no_bytes_are_a_signature_by_chance(signed: bytes, signature: bytes) -> None:
    """Of any length, for every algorithm: not signed, and no error."""
    for algorithm in ALGORITHMS:
        assert not is_signed(signed, signature, load_key(verifying(algorithm), [algorithm]), algorithm)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
HEADERS = ANY_JSON | st.fixed_dictionaries(
    {"alg": st.sampled_from(["HS256", "RS256", "none"])}, optional={"kid": ANY_JSON}
)
CLAIMS = ANY_JSON | st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("sub", "exp", "nbf", "iat", "aud", "iss", "scope", "t", "r"), ANY_JSON)
    | {"exp": st.just(4e9), "aud": st.just(AUDIENCE), "sub": st.text()},
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text() | st.text(alphabet="aA1-_.=", max_size=40), header=HEADERS, claims=CLAIMS)
async def test_whatever_is_sent_nothing_but_a_refusal_comes_of_it(text: str, header: Any, claims: Any) -> None:
    """Any text, and any JSON that the issuer has signed: a Principal or Unauthenticated, never another error."""
    asked = jwts(VirtualClock(jumps=False), issuer=None, tenant_claim="t", runs_claim="r", max_age=4e9)
    codes: set[str] = set()
    for sent in (text, by_hand(header, claims)):
        try:
            principal = await asked.authenticate(sent)
        except Unauthenticated as refused:
            codes.add(refused.code)
        else:
            assert principal.id.isprintable()
    assert codes <= {"token_invalid", "token_expired"}


async def test_no_error_and_no_log_line_has_anything_of_a_token(clock: VirtualClock) -> None:
    """Not its parts, not its claims, not in the traceback, and not the secret."""
    planted = "planted-in-this-token"
    right = claims_at(clock, sub=planted)
    sent = [
        by_hand({"alg": planted}, right),
        by_hand({"alg": "HS256", "crit": [planted]}, right),
        by_hand({"alg": "HS256"}, right, b"wrong" * 10),
        *(by_hand({"alg": "HS256"}, {**right, claim: planted}) for claim in ("exp", "aud", "nbf", "iss", "r", "scope")),
        by_hand({"alg": "HS256"}, {**right, "exp": 1}),
        by_hand({"alg": "HS256"}, planted.encode()),
        f"{planted}.{planted}.{planted}",
        f"{planted} {planted}",
        planted * 1_000,
    ]
    with log_lines() as lines:
        for signed in sent:
            refused = await refusal(jwts(clock, issuer="https://a.example", runs_claim="r").authenticate(signed))
            told = "".join(traceback.format_exception(refused)) + repr(refused) + repr(vars(refused))
            for secret in (planted, SECRET, *filter(None, signed.split("."))):
                assert secret not in told
    assert lines == []


async def test_a_token_is_not_checked_again_for_a_minute(clock: VirtualClock) -> None:
    """The same Principal; after a minute, and once a thousand others came, a new one that is equal."""
    asked, signed = jwts(clock), token(claims_at(clock))
    first = await asked.authenticate(signed)
    clock.jump(59)
    assert await asked.authenticate(signed) is first
    clock.jump(1)
    second = await asked.authenticate(signed)
    assert (second is first, second == first) == (False, True)
    others = [token(claims_at(clock, sub=f"u{number}")) for number in range(KNOWN_TOKENS)]
    for other in others[:-1]:
        await asked.authenticate(other)
    assert await asked.authenticate(signed) is second
    await asked.authenticate(others[-1])  # in the place of the one that was not used for the longest time
    assert await asked.authenticate(signed) is second
    for other in others:
        await asked.authenticate(other)
    third = await asked.authenticate(signed)
    assert (third is second, third == second) == (False, True)


async def test_a_token_that_is_remembered_ends_in_time(clock: VirtualClock) -> None:
    """Within the minute in which it is not checked again."""
    asked = jwts(clock, leeway=0)
    signed = token(claims_at(clock, exp=claims_at(clock)["exp"] - HOUR + 10))
    await asked.authenticate(signed)
    clock.jump(9)
    await asked.authenticate(signed)
    clock.jump(1)
    assert (await refusal(asked.authenticate(signed))).code == "token_expired"


async def test_a_token_that_was_changed_is_another_one(clock: VirtualClock) -> None:
    """No part of one that was accepted can be replaced, also while it is remembered."""
    asked = jwts(clock)
    mine, theirs = token(claims_at(clock)).split("."), token(claims_at(clock, sub="bob")).split(".")
    await asked.authenticate(".".join(mine))
    for mixed in ([mine[0], theirs[1], mine[2]], [mine[0], mine[1], theirs[2]], [mine[0], mine[1], ""]):
        assert (await refusal(asked.authenticate(".".join(mixed)))).code == "token_invalid"


def test_secrets_need_no_cryptography() -> None:
    """Without that package HS256 works, and what needs it says what to install. Nothing loads PyJWT before."""
    code = f"""
import asyncio, sys
sys.modules["cryptography"] = None
from reactor.testing import VirtualClock
from reactor_web.guard.tokens import Jwts, JwtSettings
assert "jwt" not in sys.modules
import jwt
settings = JwtSettings(key={SECRET!r}, audience=None)
token = jwt.encode({{"sub": "ann", "exp": 4_000_000_000}}, {SECRET!r})
print(asyncio.run(Jwts(settings, VirtualClock(jumps=False)).authenticate(token)).id)
for wrong in ({{"jwks_file": "k.json"}}, {{"key": {PEM!r}}}, {{"key": {PEM!r}, "algorithms": ["ES256"]}}):
    try:
        JwtSettings(audience=None, **wrong)
    except ValueError as error:
        print(error)
"""
    done = run_code(code)
    needed = "need the package cryptography: pip install 'reactor-dag[jwt]'"
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "jwt:ann",
        f"JWTs with RS256 {needed}",
        f"JWTs with a key in PEM {needed}",
        f"JWTs with ES256 {needed}",
    ]
