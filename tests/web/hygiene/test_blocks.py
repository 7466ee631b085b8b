"""What is written to a stream, in every dialect: blocks that no client in use misreads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor import Context, Engine, Workflow
from reactor.events.event import Event
from reactor.events.one_line import one_line
from reactor.testing import read_all
from reactor_web import dialects
from reactor_web.dialects import Dialect, Opens
from reactor_web.dialects.framing import split, with_retry
from tests.events.golden.record import FOLDER, read
from tests.helpers.sse import CHUNK_SIZES
from tests.web.hygiene.reading import (
    all_dialects,
    blocks,
    by_httpx_sse,
    by_javascript,
    by_our_parser,
    by_splitlines,
    pieces,
    sticky,
)

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))

HEARTBEATS_THAT_ARE_SEEN = {
    "domain": "its clients wait for events named Heartbeat",
    "timeline": "its document has `: ping` and a blank line, which fetch-event-source and httpx-sse report as an event",
}
"""Dialects whose heartbeat some client reports, and why. All others are a comment without a blank line."""

AWKWARD = st.text(max_size=20) | st.text(alphabet='\r\n\u2028\u2029\x85\x0b\x0c\x1c\0: \ufeffé🦀"\\', max_size=20)


def talkative(text: str) -> list[Event]:
    """The log of a run that says this text wherever a text can stand."""
    flow = Workflow("talkative")

    @flow.task(meta={"title": text})
    async def say(text: str, ctx: Context) -> dict[str, str]:
        await ctx.log.info(text, said=text)
        await ctx.progress(0.5, text)
        await ctx.chunk(text)
        await ctx.emit("text.said", {"text": text, text: 1})
        await ctx.emit("agent:progress", {"message": text})
        return {"text": text, text: text}

    @flow.task(after=["say"])
    async def break_off(text: str) -> None:
        raise ValueError(text)

    async def main() -> list[Event]:
        async with Engine() as engine:
            run = await engine.start(flow, {"text": text}, meta={"text": text})
            await run.ended()
            return await read_all(engine.log, run.id)

    return asyncio.run(main())


def everything(log: list[Event]) -> Iterator[tuple[Dialect, bytes]]:
    """All dialects, and all that each may write of a log."""
    for dialect in all_dialects():
        yield dialect, b"".join(pieces(dialect, log))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dialect", all_dialects(), ids=lambda dialect: dialect.info.name)
def test_each_write_is_whole_blocks(dialect: Dialect, name: str) -> None:
    """One write is some blocks, each with one data line of JSON below 64 KiB and an id that is safe in a header."""
    for written in pieces(dialect, read(name)[0]):
        blocks(written)


@settings(max_examples=40, deadline=None)
@given(AWKWARD, CHUNK_SIZES)
def test_any_text_is_read_as_it_was_written(text: str, sizes: list[int]) -> None:
    """Line ends of every kind, quotes, NUL, a byte order mark: our parser and httpx-sse read what was written."""
    for dialect, body in everything(talkative(text)):
        written, name = blocks(body), dialect.info.name
        assert by_our_parser(body, sizes) == written, name
        assert by_httpx_sse(body, sizes) == by_our_parser(body, sizes, sticky_id=True) == sticky(written), name
        assert by_splitlines(body) == body.decode().split("\n")[:-1], name


def test_javascript_reads_what_was_written() -> None:
    """eventsource-parser, which is in npm's eventsource, and fetch-event-source: every dialect, every recorded run."""
    dice, given = random.Random(13), list[tuple[bytes, list[int]]]()
    for log in [*(read(name)[0] for name in NAMES), talkative('\r\n\u2028\ufeff: 🦀"\\\0')]:
        given += [(body, [dice.randint(1, 60) for _ in range(7)]) for _, body in everything(log)]
    assert len(given) > len(NAMES)
    for (body, _), read_by in zip(given, by_javascript(given), strict=True):
        assert read_by["eventsource"] == read_by["fetch"] == blocks(body)


@pytest.mark.parametrize("text", ["\\", '"', "\0", "é", "\u2028", "🦀", "a"])
def test_no_line_reaches_64_kib(text: str) -> None:
    """Outputs, log lines, chunks and emitted events as large as they may be, of what grows when it is escaped."""

    def as_large(limit: int) -> str:
        return text * (limit // (len(one_line(orjson.dumps(text))) - 2))

    flow = Workflow("large")

    @flow.task
    async def say(ctx: Context) -> list[str]:
        await ctx.emit("text.said", {"text": as_large(40_000)})
        await ctx.emit("agent:progress", {"message": as_large(40_000)})
        await ctx.log.info(as_large(40_000))
        await ctx.chunk(as_large(40_000))
        await ctx.progress(0.5, as_large(3_000))
        return [as_large(10_000)] * 3

    @flow.task
    async def repeat(say: list[str]) -> str:
        return as_large(31_000)

    @flow.task(after=["say"])
    async def break_off() -> None:
        raise ValueError(as_large(40_000))

    async def main() -> list[Event]:
        async with Engine() as engine:
            run = await engine.start(flow)
            await run.ended()
            return await read_all(engine.log, run.id)

    log = asyncio.run(main())
    assert max(len(event.json) for event in log) > 39_000
    for dialect in all_dialects():
        for written in pieces(dialect, log):
            blocks(written)


# --- comments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in dialects.known() if name not in HEARTBEATS_THAT_ARE_SEEN])
def test_a_heartbeat_is_seen_by_no_client(name: str) -> None:
    """One line that is a comment; between any two frames it changes nothing in any of the parsers."""
    dialect = dialects.find(name)
    state, _ = dialect.begin(None, "resume")
    beat = dialect.heartbeat(state, 1, "2026-11-21T12:00:01.123456Z")
    assert beat.startswith(b":")
    assert beat.count(b"\n") == 1
    assert beat.endswith(b"\n")
    body = b"".join(pieces(dialect, read("every_type_2")[0]))
    written = blocks(body)
    beaten = beat + b"".join(frame + beat for frame in split(body))
    assert by_our_parser(beaten, [7]) == written
    assert by_httpx_sse(beaten, [7]) == sticky(written)
    (read_by,) = by_javascript([(beaten, [7])])
    assert read_by["eventsource"] == read_by["fetch"] == written


@pytest.mark.parametrize("name", HEARTBEATS_THAT_ARE_SEEN)
def test_heartbeats_that_are_seen_are_so_still(name: str) -> None:
    """The list above says no more than it must: of each dialect in it some client reports the heartbeat."""
    dialect = dialects.find(name)
    state, _ = dialect.begin(read("every_type_2")[0][0], "resume")
    beat = dialect.heartbeat(state, 1, "2026-11-21T12:00:01.123456Z")
    assert beat.endswith(b"\n\n")
    (read_by,) = by_javascript([(beat, [7])])
    assert len(read_by["fetch"]) == 1


@pytest.mark.parametrize("dialect", all_dialects(), ids=lambda dialect: dialect.info.name)
def test_what_is_written_at_once_is_a_comment(dialect: Dialect) -> None:
    """It sends the headers; no client reports an event before there is one."""
    if isinstance(dialect, Opens):
        connected = dialect.connected("run-1")
        assert connected.startswith(b":")
        assert connected.count(b"\n") == 1
        assert by_our_parser(connected, [3]) == []
        assert by_httpx_sse(connected, [3]) == []


@pytest.mark.parametrize("dialect", all_dialects(), ids=lambda dialect: dialect.info.name)
def test_the_time_to_wait_rides_in_a_frame(dialect: Dialect) -> None:
    """``retry:`` in a block of its own would be an event to some clients."""
    body = b"".join(pieces(dialect, read("completed_with_map_2")[0]))
    assert blocks(with_retry(body, 1_500)) == blocks(body)
    assert by_httpx_sse(with_retry(body, 1_500), [9]) == sticky(blocks(body))
