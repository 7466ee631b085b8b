"""Every ``KeyStore`` keeps the laws: keys in memory, and keys in a file that two processes have open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reactor.clock import SystemClock
from reactor.ports import KeyRecord, KeyStore
from reactor.testing import KEY_LAWS, key_laws
from reactor_web.guard.key_file import KeyFile
from reactor_web.guard.keys import MemoryKeys

Ends = tuple[KeyStore, KeyStore]


class Hurried(SystemClock):
    """A clock on which a second takes 50 ms: how often the file is looked at is its time; what happens is real."""

    def monotonic(self) -> float:  # type: ignore[override]
        return super().monotonic() * 20


def in_memory(folder: Path) -> Ends:
    keys = MemoryKeys()
    return keys, keys


def in_a_file(folder: Path) -> Ends:
    path = folder / "keys.json"
    path.touch(0o600)
    path.write_text('{"version": 1, "keys": []}')
    return KeyFile(path, Hurried()), KeyFile(path, Hurried())


@pytest.mark.parametrize("ends", [in_memory, in_a_file])
@pytest.mark.parametrize("law", KEY_LAWS)
async def test_the_store_keeps_the_law(law: key_laws.KeyLaw, ends: Callable[[Path], Ends], tmp_path: Path) -> None:
    await law(*ends(tmp_path))


class Broken(MemoryKeys):
    """Its subclasses break one law each; the name says how."""


class Overwriting(Broken):
    async def add(self, record: KeyRecord) -> None:
        self._records[record.id] = record


class Unordered(Broken):
    async def all(self) -> list[KeyRecord]:
        return sorted(await super().all(), key=lambda record: record.id)


class Aliasing(Broken):
    def __init__(self) -> None:
        super().__init__()
        self._list: list[KeyRecord] = []

    async def add(self, record: KeyRecord) -> None:
        await super().add(record)
        self._list.append(record)

    async def all(self) -> list[KeyRecord]:
        return self._list


class Forgetful(Broken):
    async def revoke(self, id: str) -> bool:
        return self._records.pop(id, None) is not None


class Deaf(Broken):
    async def revoke(self, id: str) -> bool:
        return True


class Narrowing(Broken):
    async def add(self, record: KeyRecord) -> None:
        await super().add(replace(record, tenant=record.tenant or ""))


class Similar(Broken):
    async def find(self, id: str) -> KeyRecord | None:
        return await super().find(id.strip().lower())


class Slow(Broken):
    """Two that add at the same time both find the place free."""

    async def add(self, record: KeyRecord) -> None:
        is_there = record.id in self._records
        await asyncio.sleep(0)
        if is_there:
            raise ValueError("there")
        self._records[record.id] = record


class Stale:
    """An end of a store that writes back what it has read before."""

    def __init__(self, shared: dict[str, dict[str, KeyRecord]]) -> None:
        self._shared = shared
        self._read: dict[str, KeyRecord] = {}

    async def find(self, id: str) -> KeyRecord | None:
        self._read = dict(self._shared["keys"])
        return self._read.get(id)

    async def all(self) -> list[KeyRecord]:
        return list(self._shared["keys"].values())

    async def add(self, record: KeyRecord) -> None:
        if record.id in self._read:
            raise ValueError("there")
        self._read[record.id] = record
        self._shared["keys"] = dict(self._read)

    async def revoke(self, id: str) -> bool:
        if id not in self._read:
            return False
        self._read[id] = replace(self._read[id], revoked=True)
        self._shared["keys"] = dict(self._read)
        return True


def stale_ends() -> Ends:
    shared: dict[str, dict[str, KeyRecord]] = {"keys": {}}
    return Stale(shared), Stale(shared)


def twice(store: type[MemoryKeys]) -> Callable[[], Ends]:
    def ends() -> Ends:
        keys = store()
        return keys, keys

    return ends


BROKEN: list[tuple[Callable[[], Ends], Any]] = [
    (twice(Overwriting), key_laws.law_an_id_is_given_once),
    (twice(Unordered), key_laws.law_keys_are_listed_in_their_order),
    (twice(Aliasing), key_laws.law_keys_are_listed_in_their_order),
    (twice(Forgetful), key_laws.law_a_revoked_key_is_marked),
    (twice(Deaf), key_laws.law_a_revoked_key_is_marked),
    (twice(Narrowing), key_laws.law_a_key_is_found_as_it_was_added),
    (twice(Similar), key_laws.law_what_is_not_there_is_none),
    (twice(Slow), key_laws.law_of_one_id_at_once_one_is_added),
    (stale_ends, key_laws.law_no_key_is_lost),
    (stale_ends, key_laws.law_a_revocation_stays),
    (lambda: (MemoryKeys(), MemoryKeys()), key_laws.law_the_other_end_is_told),
]


@pytest.mark.parametrize(("ends", "law"), BROKEN)
async def test_a_law_catches_a_store_that_breaks_it(
    ends: Callable[[], Ends], law: key_laws.KeyLaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of the laws is empty."""
    monkeypatch.setattr(key_laws, "PATIENCE", 0.1)
    with pytest.raises(AssertionError):
        await law(*ends())


def test_each_law_has_a_store_that_breaks_it() -> None:
    assert {law for _, law in BROKEN} == set(KEY_LAWS)
