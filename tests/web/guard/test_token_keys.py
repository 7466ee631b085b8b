"""The keys that JWTs are checked with: sets in files and behind URLs, which change, break and go away."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from reactor.testing import VirtualClock
from reactor_web.bounds import MAX_JWKS_BYTES
from reactor_web.guard.principal import Unauthenticated
from reactor_web.guard.tokens import Jwts, JwtSettings, fetching
from reactor_web.guard.tokens.jwks import parse_jwks
from reactor_web.guard.tokens.signing import ALGORITHMS
from tests.helpers.issuer import AUDIENCE, SECRET, KeyServer, by_hand, claims_at, jwk, key_server, private_key, token
from tests.helpers.log_lines import log_lines
from tests.helpers.runs import wait_until
from tests.helpers.tls import certificate as certificate

OLD, NEW = private_key("RS256", 0), private_key("RS256", 1)
DAY = 24 * 3_600


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(jumps=False)


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server() as server:
        server.serves(jwk(OLD, kid="old"))
        yield server


@pytest.fixture
async def jwts(server: KeyServer, clock: VirtualClock) -> AsyncIterator[Jwts]:
    """By the keys of the server; started."""
    jwts = Jwts(JwtSettings(jwks_url=server.url, audience=AUDIENCE), clock)
    await jwts.start()
    yield jwts
    await jwts.close()


def signed(clock: VirtualClock, kid: str | None, key: Any = OLD, algorithm: str = "RS256", **claims: Any) -> str:
    return token(claims_at(clock, exp=4_000_000_000, **claims), algorithm, key, None if kid is None else {"kid": kid})


async def code(asked: Awaitable[Any]) -> str:
    """What an answer is: ``accepted``, or the code of the refusal."""
    try:
        await asked
    except Unauthenticated as refused:
        return refused.code
    return "accepted"


# --- sets ---


def chosen(kid: str | None, *keys: dict[str, Any], algorithm: str = "RS256") -> bool:
    """Whether a token finds its key in a set."""
    document = json.dumps({"keys": keys}).encode()
    return parse_jwks(document, ["RS256", "RS512", "ES256", "EdDSA"]).find(kid, algorithm) is not None


def test_a_token_finds_its_key_by_name_and_algorithm() -> None:
    """A key alone needs no name, on either side. Two keys of one name are told apart by their algorithm."""
    old, new, nameless = jwk(OLD, kid="a"), jwk(NEW, kid="b"), jwk(OLD)
    assert chosen("a", old, new)
    assert not chosen("c", old, new)
    assert not chosen("A", old, new)
    assert chosen(None, old)
    assert not chosen(None, old, new)
    assert chosen("a", nameless)
    assert chosen(None, nameless)
    assert not chosen("a", nameless, new)
    assert not chosen(None, nameless, new)
    curve = jwk(private_key("ES256"), kid="a")
    for algorithm in ("RS256", "RS512", "ES256"):
        assert chosen("a", old, curve, algorithm=algorithm)
    assert not chosen("a", old, curve, algorithm="EdDSA")
    assert chosen("a", jwk(private_key("EdDSA"), kid="a"), algorithm="EdDSA")


@pytest.mark.parametrize(
    "changed",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"kty": "EC"},
        {"kty": "oct", "k": "A" * 43},
        {"kty": None},
        {"kty": ["RSA"]},
        {"alg": "RS512"},
        {"alg": "RSA-OAEP"},
        {"alg": ["RS256"]},
        {"kid": 7},
        {"n": None},
        {"n": "AQAB"},
        {"n": 7},
        {"e": "AA"},
        {"n": "ä"},
    ],
    ids=str,
)
def test_a_key_that_is_for_something_else_is_skipped(changed: dict[str, Any]) -> None:
    """For encryption, of another kind or algorithm, too short, broken; the other keys of the set work."""
    assert chosen("a", jwk(OLD, kid="a"))
    assert not chosen("a", jwk(OLD, **{"kid": "a", **changed}))
    assert chosen("b", jwk(OLD, **{"kid": "a", **changed}), jwk(NEW, kid="b"))


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JWK Set"),
        (b"{}", "no JWK Set"),
        (b'{"keys": {}}', "no JWK Set"),
        (json.dumps({"keys": [{}] * 101}).encode(), "101 keys; at most 100"),
        (b'{"keys": []}'.ljust(MAX_JWKS_BYTES + 1), "larger than 1 MiB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_set_of_keys_is_refused(document: bytes, sentence: str) -> None:
    """With its reason. A hundred keys are read."""
    with pytest.raises(ValueError, match=sentence):
        parse_jwks(document, ["RS256"])
    assert len(parse_jwks(json.dumps({"keys": [jwk(OLD)] * 100}).encode(), ["RS256"])) == 100


MEMBERS = st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(["AQAB", "A" * 43, "sig", "RS256"])


@settings(max_examples=150, deadline=None)
@given(
    key=st.fixed_dictionaries(
        {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct"])},
        optional={"crv": st.sampled_from(["P-256", "P-521", "secp256k1", "Ed25519", "Ed448", "X25519"])}
        | dict.fromkeys(("n", "e", "x", "y", "k", "d", "use", "kid", "alg", "key_ops"), MEMBERS),
    )
)
def test_no_key_breaks_the_set(key: dict[str, Any]) -> None:
    """Whatever stands in one, the others are read."""
    assert len(parse_jwks(json.dumps({"keys": [key, jwk(OLD, kid="a")]}).encode(), ALGORITHMS)) >= 1


async def test_a_secret_is_never_taken_from_a_set_of_public_keys(tmp_path: Path, clock: VirtualClock) -> None:
    """Algorithm confusion by a JWKS: neither a published ``oct`` key nor a public key works as a secret."""
    file = tmp_path / "jwks.json"
    shared = {"kty": "oct", "k": SECRET, "kid": "a", "alg": "HS256"}
    file.write_text(json.dumps({"keys": [shared, jwk(OLD, kid="b")]}))
    jwts = Jwts(JwtSettings(jwks_file=file, audience=AUDIENCE), clock)
    await jwts.start()
    for header in ({"alg": "HS256", "kid": "a"}, {"alg": "RS256", "kid": "b"}, {"alg": "RS256", "kid": "a"}):
        assert await code(jwts.authenticate(by_hand(header, claims_at(clock)))) == "token_invalid"


# --- files ---


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path, clock: VirtualClock) -> None:
    """A second later the new key counts and the old one does not, also for tokens that were accepted before."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk(OLD, kid="old")]}))
    jwts = Jwts(JwtSettings(jwks_file=str(file), audience=AUDIENCE), clock)
    await jwts.start()
    before, after = signed(clock, "old"), signed(clock, "new", NEW)
    assert [await code(jwts.authenticate(sent)) for sent in (before, after)] == ["accepted", "token_invalid"]
    file.write_text(json.dumps({"keys": [jwk(NEW, kid="new")]}))
    clock.jump(1)
    assert [await code(jwts.authenticate(sent)) for sent in (before, after)] == ["token_invalid", "accepted"]
    await jwts.close()


async def test_a_file_that_breaks_leaves_the_last_good_keys(tmp_path: Path, clock: VirtualClock) -> None:
    """For a day and with one line in the log; it is read as soon as it is good again."""
    file = tmp_path / "jwks.json"
    good = json.dumps({"keys": [jwk(OLD, kid="old")]})
    file.write_text(good)
    jwts = Jwts(JwtSettings(jwks_file=file, audience=AUDIENCE), clock)
    await jwts.start()
    with log_lines() as lines:
        for broken in (b'{"keys": [', b"\xff"):
            file.write_bytes(broken)
            clock.jump(DAY / 2 - 1)
            assert await code(jwts.authenticate(signed(clock, "old"))) == "accepted"
        file.unlink()
        clock.jump(2)
        assert await code(jwts.authenticate(signed(clock, "old", sub="bob"))) == "token_keys_unavailable"
        file.write_text(good)
        clock.jump(1)
        assert await code(jwts.authenticate(signed(clock, "old"))) == "accepted"
    assert [(line["event"], line["source"]) for line in lines] == [
        ("keys for JWTs cannot be loaded", str(file)),
        ("keys for JWTs are loaded again", str(file)),
    ]


async def test_a_file_that_is_no_jwks_is_told_at_the_start(tmp_path: Path, clock: VirtualClock) -> None:
    """With its name and the reason; so is one that is not there."""
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]")
    for file, reason in [(wrong, "it is no JWK Set"), (tmp_path / "missing.json", "No such file")]:
        with pytest.raises(ValueError, match=f"the JWKS {file} cannot be loaded: .*{reason}"):
            await Jwts(JwtSettings(jwks_file=file, audience=AUDIENCE), clock).start()


async def test_private_parts_of_a_key_are_not_read(tmp_path: Path, clock: VirtualClock) -> None:
    """Somebody gave the file of the issuer: its tokens are accepted, and the key that is kept is the public one."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [{**RSAAlgorithm.to_jwk(OLD, as_dict=True), "key_ops": ["sign", "verify"]}]}))
    jwts = Jwts(JwtSettings(jwks_file=file, audience=AUDIENCE), clock)
    await jwts.start()
    assert await code(jwts.authenticate(signed(clock, None))) == "accepted"
    kept = parse_jwks(file.read_bytes(), ["RS256"]).find(None, "RS256")
    assert kept is not None
    assert isinstance(kept.material, rsa.RSAPublicKey)


# --- URLs ---


async def test_a_rotated_key_is_fetched_once(server: KeyServer, jwts: Jwts, clock: VirtualClock) -> None:
    """The first token of the new key brings the new set; tokens of the old key end with it, remembered or not."""
    before, after = signed(clock, "old"), signed(clock, "new", NEW)
    assert await code(jwts.authenticate(before)) == "accepted"
    server.serves(jwk(NEW, kid="new"))
    assert await code(jwts.authenticate(after)) == "accepted"
    assert await code(jwts.authenticate(before)) == "token_invalid"
    assert server.asked == 2


async def test_a_thousand_unknown_keys_are_one_request(server: KeyServer, jwts: Jwts, clock: VirtualClock) -> None:
    """In a minute, at the same time or one after another; meanwhile the others are served."""
    good = signed(clock, "old")
    flood = [by_hand({"alg": "RS256", "kid": f"k{number}"}, {}) for number in range(1_000)]
    codes = await asyncio.gather(*(code(jwts.authenticate(sent)) for sent in [*flood, good]))
    assert codes == ["token_invalid"] * 1_000 + ["accepted"]
    assert server.asked == 2
    clock.jump(59)
    for sent in flood:
        assert await code(jwts.authenticate(sent)) == "token_invalid"
    assert server.asked == 2
    clock.jump(1)
    await asyncio.gather(*(code(jwts.authenticate(sent)) for sent in flood))
    assert server.asked == 3


async def test_one_fetch_is_under_way_and_the_others_wait(server: KeyServer, jwts: Jwts, clock: VirtualClock) -> None:
    """All get its answer. A client that goes does not break it off for the others."""
    server.serves(jwk(NEW, kid="new"))
    server.gate.clear()
    sent = [signed(clock, "new", NEW, sub=f"u{number}") for number in range(20)]
    asked = [asyncio.create_task(code(jwts.authenticate(each))) for each in sent]
    await wait_until(lambda: server.open == 1)
    asked[0].cancel()
    server.gate.set()
    assert await asyncio.gather(*asked[1:]) == ["accepted"] * 19
    assert asked[0].cancelled()
    assert server.asked == 2


async def test_keys_are_refreshed_while_requests_go_on(server: KeyServer, jwts: Jwts, clock: VirtualClock) -> None:
    """After ten minutes, by a request that does not wait for it; a key that was taken out ends then."""
    sent = signed(clock, "old")
    assert await code(jwts.authenticate(sent)) == "accepted"
    server.serves(jwk(OLD, kid="old"), jwk(NEW, kid="new"))
    clock.jump(599)
    assert await code(jwts.authenticate(sent)) == "accepted"
    assert server.asked == 1
    server.serves(jwk(NEW, kid="new"))
    server.gate.clear()
    clock.jump(1)
    assert [await code(jwts.authenticate(sent)) for _ in range(3)] == ["accepted"] * 3
    await wait_until(lambda: server.open == 1)
    server.gate.set()
    assert await code(jwts.authenticate(signed(clock, "new", NEW))) == "accepted"
    assert server.asked == 2
    assert await code(jwts.authenticate(sent)) == "token_invalid"


async def test_a_dead_url_serves_the_last_good_keys_for_a_day(
    server: KeyServer, jwts: Jwts, clock: VirtualClock
) -> None:
    """With one line in the log; then nothing is accepted until it answers again."""
    await server.die()
    with log_lines() as lines:
        for hours in range(23):
            clock.jump(3_600)
            assert await code(jwts.authenticate(signed(clock, "old", sub=f"u{hours}"))) == "accepted"
            assert await code(jwts.authenticate(signed(clock, "new", NEW))) == "token_invalid"
        assert [(line["event"], line["source"]) for line in lines] == [("keys for JWTs cannot be loaded", server.url)]
        clock.jump(3_600)
        assert await code(jwts.authenticate(signed(clock, "old"))) == "token_keys_unavailable"
        await server.live()
        assert await code(jwts.authenticate(signed(clock, "old"))) == "token_keys_unavailable"
        clock.jump(5)
        assert await code(jwts.authenticate(signed(clock, "old"))) == "accepted"
        assert [line["event"] for line in lines[1:]] == ["keys for JWTs are loaded again"]


async def test_a_url_that_is_dead_at_the_start_is_asked_again(clock: VirtualClock) -> None:
    """Every five seconds, by those who need it; the server has started meanwhile."""
    async with key_server() as server:
        server.serves(jwk(OLD, kid="old"))
        await server.die()
        jwts = Jwts(JwtSettings(jwks_url=server.url, audience=AUDIENCE), clock)
        await jwts.start()
        await server.live()
        assert await code(jwts.authenticate(signed(clock, "old"))) == "token_keys_unavailable"
        clock.jump(5)
        assert await code(jwts.authenticate(signed(clock, "old"))) == "accepted"
        await jwts.close()


WRONG_ANSWERS = {
    "not found": web.json_response({"keys": [jwk(NEW, kid="new")]}, status=404),
    "redirect": web.Response(status=302, headers={"Location": "/elsewhere"}),
    "no JSON": web.Response(text="<html>"),
    "too large": web.Response(body=b'{"keys": []}'.ljust(MAX_JWKS_BYTES + 1)),
    "compressed": web.Response(
        body=gzip.compress(json.dumps({"keys": [jwk(NEW, kid="new")]}).encode()), headers={"Content-Encoding": "gzip"}
    ),
}


@pytest.mark.parametrize("wrong", WRONG_ANSWERS)
async def test_a_wrong_answer_changes_nothing(server: KeyServer, jwts: Jwts, clock: VirtualClock, wrong: str) -> None:
    """The last good keys stay. A redirect is not followed: it could lead to http."""
    server.answer = WRONG_ANSWERS[wrong]
    server.serves(jwk(NEW, kid="new"))
    with log_lines() as lines:
        assert await code(jwts.authenticate(signed(clock, "new", NEW))) == "token_invalid"
    assert await code(jwts.authenticate(signed(clock, "old"))) == "accepted"
    assert [line["event"] for line in lines] == ["keys for JWTs cannot be loaded"]
    assert server.asked == 2


async def test_only_the_owner_of_a_name_gives_keys(certificate: Path, clock: VirtualClock) -> None:
    """Over https the certificate must be trusted: one that nobody has signed is as good as no answer."""
    async with key_server() as server:
        await server.die()
        server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.tls.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        server.serves(jwk(OLD, kid="old"))
        await server.live()
        jwts = Jwts(JwtSettings(jwks_url=server.url, audience=AUDIENCE), clock)
        with log_lines() as lines:
            await jwts.start()
        assert "CERTIFICATE_VERIFY_FAILED" in str(lines)
        assert await code(jwts.authenticate(signed(clock, "old"))) == "token_keys_unavailable"
        assert server.asked == 0
        await jwts.close()


async def test_an_issuer_without_keys_is_believed(server: KeyServer, jwts: Jwts, clock: VirtualClock) -> None:
    """An empty set is an answer: all keys were taken out. The log says so."""
    server.serves()
    with log_lines() as lines:
        assert await code(jwts.authenticate(signed(clock, "new", NEW))) == "token_invalid"
    assert await code(jwts.authenticate(signed(clock, "old"))) == "token_invalid"
    assert [line["event"] for line in lines] == ["no key for JWTs fits the algorithms"]


async def test_an_answer_that_does_not_come_is_not_waited_for(
    server: KeyServer, jwts: Jwts, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the bound (here shorter than its five seconds) the request is refused, and the log says why."""
    monkeypatch.setattr(fetching, "JWKS_FETCH_SECONDS", 0.05)
    await jwts.close()
    jwts = Jwts(JwtSettings(jwks_url=server.url, audience=AUDIENCE), clock)
    server.gate.clear()
    with log_lines() as lines:
        await jwts.start()
    assert [line["event"] for line in lines] == ["keys for JWTs cannot be loaded"]
    assert await code(jwts.authenticate(signed(clock, "old"))) == "token_keys_unavailable"
    await jwts.close()


async def test_nothing_is_left_behind(server: KeyServer, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """``close`` during a fetch: who waits is refused, the connection and the task are gone, and none begins again."""
    monkeypatch.setattr(fetching, "JWKS_FETCH_SECONDS", 3_600)
    jwts = Jwts(JwtSettings(jwks_url=server.url, audience=AUDIENCE), clock)
    server.gate.clear()
    waiting = asyncio.create_task(code(jwts.authenticate(signed(clock, "old"))))
    await wait_until(lambda: server.open == 1)
    async with asyncio.timeout(60):
        await jwts.close()
    assert await waiting == "token_keys_unavailable"
    await wait_until(lambda: server.open == 0)
    clock.jump(DAY)
    assert await code(jwts.authenticate(signed(clock, "old"))) == "token_keys_unavailable"
    assert server.asked == 1
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "keys for JWTs"]


async def test_no_log_line_has_a_token_or_the_query_of_a_url(server: KeyServer, clock: VirtualClock) -> None:
    """Whatever goes wrong while a token waits for its key."""
    await server.die()
    with log_lines() as lines:
        jwts = Jwts(JwtSettings(jwks_url=f"{server.url}?code=planted", audience=AUDIENCE), clock)
        await jwts.start()
        sent = signed(clock, "planted-kid", sub="planted-sub")
        assert await code(jwts.authenticate(sent)) == "token_keys_unavailable"
        await jwts.close()
    assert lines
    assert "planted" not in str(lines)
    assert not any(part in str(lines) for part in sent.split("."))
