"""Bodies that come slowly, or not to their end: what is kept of all of them is bounded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from reactor import Engine
from reactor_web import create_app
from reactor_web.http.arriving import SMALL_BYTES, arriving_of_loop
from tests.helpers.server import Gates, gated_workflow
from tests.helpers.site import Raw, Site, poll, site_of

KB = 1_000
WHOLE = b'{"input": {}, "meta": {"x": "' + b"x" * 150 * KB + b'"}}'
"""Refused as a run, 422, once all of it is there."""


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """All bodies together may have 200 KB."""
    monkeypatch.setattr("reactor_web.bounds.ARRIVING_BYTES", 200 * KB)
    engine = Engine(grace=0.0)
    async with engine, site_of(engine, create_app(engine, [gated_workflow(Gates())])) as site:
        yield site


async def sends(site: Site, size: int, body: bytes = WHOLE) -> Raw:
    """A client that sends the beginning of a body."""
    headers = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return await site.open("/api/v1/workflows/gated/runs", method="POST", headers=headers, body=body[:size])


async def status_of(raw: Raw) -> int:
    await raw.until(b'"}')
    return int(raw.data[9:12])


def held_is(size: int) -> None:
    assert arriving_of_loop().held == size


async def test_one_more_than_there_is_room_for_is_refused(site: Site) -> None:
    """503 with Retry-After; those that were there go on, and once they are whole there is room again."""
    first = await sends(site, 120 * KB)
    await poll(lambda: arriving_of_loop().held == 120 * KB, "it does not come")
    second = await sends(site, 120 * KB)
    assert await status_of(second) == 503
    assert b"\r\nRetry-After: 1\r\n" in second.data
    assert json.loads(second.body)["detail"] == "too many large bodies are being sent to this server"
    held_is(120 * KB)
    first.writer.write(WHOLE[120 * KB :])
    assert await status_of(first) == 422
    held_is(0)
    assert await status_of(await sends(site, len(WHOLE))) == 422


async def test_small_bodies_come_through_whatever_is_sent(site: Site) -> None:
    """A body of some kilobytes is no burden, and most requests have no more."""
    await sends(site, 140 * KB)
    await sends(site, 59 * KB)
    await poll(lambda: arriving_of_loop().held == 199 * KB, "they do not come")
    small = b'{"input": {}, "meta": {"x": "' + b"x" * (SMALL_BYTES - 40) + b'"}}'
    assert await status_of(await sends(site, len(small), small)) == 422
    held_is(199 * KB)


async def test_a_slow_client_is_cut_off_before_another_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nobody keeps others out by sending all but the last byte."""
    monkeypatch.setattr("reactor_web.bounds.PATIENT_SECONDS", 0.0)
    monkeypatch.setattr("reactor_web.bounds.SLOW_BYTES", 1 << 40)
    slow = await sends(site, 120 * KB)
    await poll(lambda: arriving_of_loop().held == 120 * KB, "it does not come")
    assert await status_of(await sends(site, len(WHOLE))) == 422
    with suppress(ConnectionError):
        assert await slow.rest() == b""
    assert not slow.data
    await poll(lambda: arriving_of_loop().held == 0, "what was cut off is still held")


async def test_one_alone_may_be_as_large_as_the_application_allows(site: Site) -> None:
    """The bound is for what comes at once, and the application decides of one."""
    large = b'{"input": {}, "meta": {"x": "' + b"x" * 500 * KB + b'"}}'
    assert await status_of(await sends(site, len(large), large)) == 422


async def test_a_client_that_leaves_holds_nothing(site: Site) -> None:
    raws = [await sends(site, 60 * KB) for _ in range(3)]
    await poll(lambda: arriving_of_loop().held == 180 * KB, "they do not come")
    for raw, how in zip(raws, ("close", "reset", "reset"), strict=True):
        raw.leave(how)
    await poll(lambda: arriving_of_loop().held == 0, "what has left is still held")
