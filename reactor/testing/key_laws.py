"""The laws of a ``KeyStore``. Each takes two fresh ends of one store, as two processes have them.

    @pytest.mark.parametrize("law", KEY_LAWS)
    async def test_the_store_keeps_the_law(law):
        await law(mine, theirs)

One end may be given twice, where there is only one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, TypeVar

from reactor.ports.access import KeyRecord, KeyStore

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that a store has to tell another process: a revoked key opens nothing any more, and ends its streams."""

AT_ONCE: Final = 8
"""How many keys are added at the same time."""


def key(id: str, **members: Any) -> KeyRecord:
    """A key of this id, with other members where a law wants them."""
    plain = KeyRecord(
        id=id, digest=sha256(id.encode()).digest(), name="a key", scopes=frozenset({"read"}), tenant="", expires=None
    )
    return replace(plain, **members)


async def law_a_key_is_found_as_it_was_added(mine: KeyStore, theirs: KeyStore) -> None:
    """All of it: what is None stays None, what is empty stays empty, and an end keeps its text."""
    records = [
        key("plain"),
        key("Tenant1", tenant="acme", scopes=frozenset({"read", "run", "control", "admin"})),
        key("everyTenant", tenant=None, runs=("acme-*", "[ab]?"), workflows=("census",)),
        key("0", name="Schlüssel für 東京", expires="2027-01-31T12:00:00Z", created="2026-01-31T12:00:00.123456Z"),
        key("z" * 32, digest=bytes(range(32)), revoked=True),
    ]
    for record in records:
        await mine.add(record)
    assert [await mine.find(record.id) for record in records] == records
    assert await mine.all() == records


async def law_what_is_not_there_is_none(mine: KeyStore, theirs: KeyStore) -> None:
    """Whatever the text is: strangers choose it. Case counts."""
    assert await mine.find("a") is None
    assert await mine.all() == []
    await mine.add(key("a"))
    for id in ("b", "", "A", "a ", "aa", "*", "../a", "a\x00", "a\n", "é", "a" * 10_000):
        assert await mine.find(id) is None, id[:20]


async def law_an_id_is_given_once(mine: KeyStore, theirs: KeyStore) -> None:
    """A second key of an id raises ValueError, also after the first was revoked, and the first stays as it is."""
    first = key("a", name="the first")
    await mine.add(first)
    for end in (mine, theirs):
        await _is_refused(end, key("a", name="the second"))
    assert await mine.find("a") == first
    assert await mine.revoke("a")
    await _is_refused(theirs, first)
    assert await mine.find("a") == replace(first, revoked=True)
    assert await mine.all() == [replace(first, revoked=True)]


async def law_of_one_id_at_once_one_is_added(mine: KeyStore, theirs: KeyStore) -> None:
    """Of many that add a key of one id at the same time, one succeeds, and its key is the one that is there."""
    records = [key("a", name=f"try {i}") for i in range(AT_ONCE)]
    told = await asyncio.gather(
        *((mine, theirs)[i % 2].add(record) for i, record in enumerate(records)), return_exceptions=True
    )
    added = [record for record, error in zip(records, told, strict=True) if error is None]
    assert len(added) == 1
    assert all(isinstance(error, ValueError) for error in told if error is not None)
    assert await _all(mine, 1) == added


async def law_no_key_is_lost(mine: KeyStore, theirs: KeyStore) -> None:
    """Of keys that both ends add at the same time, each is there in the end, at both."""
    ids = {f"k{i}" for i in range(AT_ONCE)}
    await asyncio.gather(*((mine, theirs)[i % 2].add(key(id)) for i, id in enumerate(sorted(ids))))
    for end in (mine, theirs):
        assert {record.id for record in await _all(end, AT_ONCE)} == ids


async def law_keys_are_listed_in_their_order(mine: KeyStore, theirs: KeyStore) -> None:
    """In the order in which they were added, whoever added them; a revocation moves none. The list is a copy."""
    ids = ["m", "a", "z", "b"]
    for i, id in enumerate(ids):
        await (mine, theirs)[i % 2].add(key(id))
    await mine.revoke("m")
    assert [record.id for record in await _all(mine, len(ids))] == ids
    (await mine.all()).clear()
    assert [record.id for record in await mine.all()] == ids


async def law_a_revoked_key_is_marked(mine: KeyStore, theirs: KeyStore) -> None:
    """It is found as before, and it is marked; others are as they were. Twice is as once; without such a key: False."""
    first, other = key("a", tenant="acme", runs=("x-*",)), key("b")
    await mine.add(first)
    await mine.add(other)
    assert await mine.revoke("a") is True
    assert await mine.find("a") == replace(first, revoked=True)
    assert await mine.find("b") == other
    assert await mine.revoke("a") is True
    assert await mine.revoke("c") is False
    assert await mine.find("c") is None
    assert await mine.all() == [replace(first, revoked=True), other]


async def law_the_other_end_is_told(mine: KeyStore, theirs: KeyStore) -> None:
    """What one end adds or revokes, the other finds soon, also if it has looked before."""
    assert await theirs.find("a") is None
    await mine.add(key("a"))
    await _is_found(theirs, key("a"))
    await mine.revoke("a")
    await _is_found(theirs, key("a", revoked=True))


async def law_a_revocation_stays(mine: KeyStore, theirs: KeyStore) -> None:
    """What the other end does afterwards does not undo it, though it has read the key before it was revoked."""
    await mine.add(key("a"))
    await _is_found(theirs, key("a"))
    await mine.revoke("a")
    await theirs.add(key("b"))
    await theirs.revoke("b")
    for end in (mine, theirs):
        await _is_found(end, key("a", revoked=True))
        await _is_found(end, key("b", revoked=True))


async def _is_refused(store: KeyStore, record: KeyRecord) -> None:
    try:
        await store.add(record)
    except ValueError:
        return
    raise AssertionError(f"a second key {record.id!r} was added")


async def _all(store: KeyStore, count: int) -> list[KeyRecord]:
    """All keys, once there are so many; a store may take a while to tell what the other end has added."""
    return await _until(store.all, lambda records: len(records) >= count)


async def _is_found(store: KeyStore, record: KeyRecord) -> None:
    await _until(lambda: store.find(record.id), lambda found: found == record)


async def _until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """Asks until the answer is as it must be; nothing else tells when that is."""
    last = await ask()
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds(last):
                await asyncio.sleep(0.02)
                last = await ask()
    except TimeoutError:
        raise AssertionError(f"after {PATIENCE:g} seconds there is still {last}") from None
    return last


KeyLaw = Callable[[KeyStore, KeyStore], Awaitable[None]]
KEY_LAWS: Final[tuple[KeyLaw, ...]] = (
    law_a_key_is_found_as_it_was_added,
    law_what_is_not_there_is_none,
    law_an_id_is_given_once,
    law_of_one_id_at_once_one_is_added,
    law_no_key_is_lost,
    law_keys_are_listed_in_their_order,
    law_a_revoked_key_is_marked,
    law_the_other_end_is_told,
    law_a_revocation_stays,
)
