"""API keys: who has one is known, and nobody else is told anything."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.ports import KeyRecord
from reactor.testing import VirtualClock
from reactor_web.guard.keys import KEY, Keys, MemoryKeys, NewKey, make_key, split_key
from reactor_web.guard.principal import Principal, Unauthenticated

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Counting(MemoryKeys):
    """Keys that count how often they are asked."""

    finds = 0

    async def find(self, id: str) -> KeyRecord | None:
        self.finds += 1
        return await super().find(id)


def record_of(key: NewKey) -> KeyRecord:
    return KeyRecord(key.id, key.digest, "ci", frozenset({"read", "run"}), "", None)


async def refusal(keys: Keys, token: str) -> tuple[str, str]:
    with pytest.raises(Unauthenticated) as refused:
        await keys.authenticate(token)
    return refused.value.code, str(refused.value)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine is in Tokyo."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


# --- the form ---


def test_a_key_has_256_random_bits_and_the_form_that_scanners_find() -> None:
    """No two are alike, every bit is used, and the digest is that of the secret part."""
    made = [make_key() for _ in range(300)]
    assert len({key.id for key in made}) == len({key.token for key in made}) == len(made)
    numbers = []
    for key in made:
        assert KEY.fullmatch(key.token)
        id, secret = split_key(key.token) or ("", "")
        assert id == key.id
        assert sha256(secret.encode()).digest() == key.digest
        numbers.append(sum(DIGITS.index(digit) * 62**place for place, digit in enumerate(secret)))
    assert max(numbers).bit_length() == 256
    seen = [sum(number >> bit & 1 for number in numbers) for bit in range(256)]
    assert all(75 <= count <= 225 for count in seen)  # 8 standard deviations from 150


@settings(max_examples=50, deadline=None)
@given(st.text(DIGITS, min_size=1, max_size=32), st.text(DIGITS, min_size=43, max_size=43))
def test_what_was_put_together_is_split(id: str, secret: str) -> None:
    assert split_key(f"rk_{id}_{secret}") == (id, secret)


@settings(max_examples=100, deadline=None)
@given(st.text() | st.text(DIGITS + "_", max_size=90).map("rk_".__add__))
def test_any_text_is_split_or_is_none(token: str) -> None:
    """What is split is the whole text, so there are no two ways to write a key."""
    parts = split_key(token)
    assert parts is None or "rk_{}_{}".format(*parts) == token


def test_a_key_is_told_from_other_tokens() -> None:
    keys = Keys(MemoryKeys())
    assert keys.claims(make_key().token)
    assert keys.claims("rk_")
    assert not keys.claims("eyJhbGciOiJIUzI1NiJ9.e30.x")
    assert not keys.claims("")


# --- who asks ---


async def test_who_has_a_key_is_its_principal() -> None:
    """All that the record says of it, and when it ends."""
    key = make_key()
    record = replace(
        record_of(key), tenant="acme", runs=("acme-*",), workflows=("census",), expires="2027-01-31T12:00:00Z"
    )
    principal = await Keys(MemoryKeys([record]), VirtualClock()).authenticate(key.token)
    assert principal == Principal(
        id=f"key:{key.id}",
        scopes=frozenset({"read", "run"}),
        runs=("acme-*",),
        workflows=("census",),
        tenant="acme",
        expires=datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp(),
    )


async def test_a_key_for_everything_is_that() -> None:
    key = make_key()
    principal = await Keys(MemoryKeys([replace(record_of(key), tenant=None)])).authenticate(key.token)
    assert (principal.runs, principal.workflows, principal.tenant, principal.expires) == (None, None, None, None)


async def test_unknown_and_wrong_are_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is not there, a wrong secret, another key's secret, a broken key: the same words.

    Also the same work, counted instead of timed: one lookup, and one comparison of digests in constant time.
    """
    compared: list[tuple[int, int]] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append((len(ours), len(theirs)))
        return compare_digest(ours, theirs)

    monkeypatch.setattr("hmac.compare_digest", compare)
    mine, other = make_key(), make_key()
    store = Counting([record_of(mine), record_of(other)])
    keys = Keys(store)
    secret = mine.token.rpartition("_")[2]
    wrong = [
        make_key().token,
        f"rk_{mine.id}_{make_key().token.rpartition('_')[2]}",
        f"rk_{other.id}_{secret}",
        mine.token[:-1],
        mine.token + "0",
        mine.token.swapcase(),
        f" {mine.token}",
        f"rk__{secret}",
        "rk_",
        "",
        "rk_é_" + "0" * 43,
        "rk_" + "a" * 100_000,
    ]
    answers = {await refusal(keys, token) for token in wrong}
    assert answers == {("unauthenticated", "this key is not known here")}
    assert store.finds == len(wrong)
    assert compared == [(32, 32)] * len(wrong)
    assert (await keys.authenticate(mine.token)).id == f"key:{mine.id}"


async def test_no_digest_of_a_store_opens_an_unknown_key() -> None:
    """A record with an empty or a short digest is opened by nothing."""
    key = make_key()
    for digest in (b"", key.digest[:16], bytes(32)):
        code, _ = await refusal(Keys(MemoryKeys([replace(record_of(key), digest=digest)])), key.token)
        assert code == "unauthenticated"


async def test_a_key_ends_at_its_time() -> None:
    """It counts until then, and not at that moment any more; whoever has it is told so, by a code of its own."""
    clock = VirtualClock("2027-01-31T11:59:59Z", jumps=False)
    key = make_key()
    keys = Keys(MemoryKeys([replace(record_of(key), expires="2027-01-31T12:00:00Z")]), clock)
    assert (await keys.authenticate(key.token)).id == f"key:{key.id}"
    assert await keys.is_valid(f"key:{key.id}")
    clock.jump(1)
    code, said = await refusal(keys, key.token)
    assert (code, said) == ("key_expired", f"the key {key.id} has expired: 2027-01-31T12:00:00Z")
    assert not await keys.is_valid(f"key:{key.id}")


async def test_an_end_without_an_offset_is_utc(elsewhere: None) -> None:
    """Also where the machine is somewhere else."""
    clock = VirtualClock("2027-01-31T11:59:59Z", jumps=False)
    key = make_key()
    keys = Keys(MemoryKeys([replace(record_of(key), expires="2027-01-31T12:00:00")]), clock)
    assert (await keys.authenticate(key.token)).expires == datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp()


async def test_a_revoked_key_opens_nothing() -> None:
    """By a code of its own, also if it has expired, too; open streams are told when they ask again."""
    key = make_key()
    store = MemoryKeys([replace(record_of(key), expires="2020-01-01T00:00:00Z"), record_of(make_key())])
    keys = Keys(store)
    await store.revoke(key.id)
    assert await refusal(keys, key.token) == ("key_revoked", f"the key {key.id} was revoked")
    store = MemoryKeys([record_of(key)])
    keys = Keys(store)
    assert await keys.is_valid(f"key:{key.id}")
    await store.revoke(key.id)
    assert not await keys.is_valid(f"key:{key.id}")


async def test_who_does_not_have_the_key_is_not_told_how_it_is() -> None:
    """With a wrong secret a revoked or expired key is answered as one that is not there."""
    key = make_key()
    wrong = f"rk_{key.id}_{'0' * 43}"
    for record in (
        replace(record_of(key), revoked=True),
        replace(record_of(key), expires="2020-01-01T00:00:00Z"),
    ):
        assert await refusal(Keys(MemoryKeys([record])), wrong) == await refusal(Keys(MemoryKeys()), wrong)


async def test_only_principals_of_keys_that_are_there_are_valid() -> None:
    key = make_key()
    keys = Keys(MemoryKeys([record_of(key)]))
    for id in (key.id, f"jwt:{key.id}", "key:", "", f"key:{make_key().id}", f"key:key:{key.id}"):
        assert not await keys.is_valid(id)


# --- what is not told ---


async def test_no_text_has_the_secret_or_the_digest() -> None:
    """Not the reprs, which end up in tracebacks and logs, and not what is refused."""
    key = make_key()
    secret = key.token.rpartition("_")[2]
    record = record_of(key)
    shown = [repr(key), str(key), repr(record), str(record), repr(Keys(MemoryKeys([record])))]
    for stored in (replace(record, revoked=True), replace(record, expires="2020-01-01T00:00:00Z"), None):
        keys = Keys(MemoryKeys([stored] if stored else []))
        shown += await refusal(keys, key.token)
        with pytest.raises(Unauthenticated) as refused:
            await keys.authenticate(key.token)
        shown.append(repr(refused.value))
    for text in shown:
        assert secret not in text
        assert key.digest.hex() not in text
        assert repr(key.digest)[2:-1] not in text
    assert pickle.loads(pickle.dumps(record)) == record
