"""JSON is one line to everybody: no character of the data is taken for the end of a line."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from reactor import Context, Event, Notice, Workflow, bounds
from reactor.events.one_line import one_line
from reactor_web.dialects.native import NATIVE
from reactor_web.terminal.lines import json_line
from tests.helpers.events import of_type, only
from tests.helpers.runs import run_to_end

ENDS = "\u2028 \u2029 \x85 \x0b \x0c \x1c \x1d \x1e \r\n"
"""All that ``str.splitlines`` splits at."""

text = st.text(st.one_of(st.characters(), st.sampled_from("\u2028\u2029\x85\u2027\u202aÂ\x80"))).filter(
    lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text)
)
json = st.recursive(text | st.none() | st.integers(-9, 9), lambda some: st.lists(some) | st.dictionaries(text, some))


@given(json)
def test_it_is_the_same_json_on_one_line(value: Any) -> None:
    """Whatever is in it, in keys too; a second time it changes nothing."""
    made = one_line(orjson.dumps(value))
    assert orjson.loads(made) == value
    assert len(made.decode().splitlines()) == 1
    assert one_line(made) == made


def test_what_needs_no_escape_is_left_alone() -> None:
    """The very same bytes."""
    for data in (b'{"a":"b"}', '{"a":"é … 字"}'.encode()):
        assert one_line(data) is data


async def test_everything_a_run_says_is_on_one_line() -> None:
    """Input, events, text, errors, outputs and values, however the JSON of an event was made."""
    flow = Workflow("lines")

    @flow.task
    async def body(ctx: Context, given: str) -> dict[str, str]:
        await ctx.emit("said.it", {ENDS: ENDS})
        await ctx.log.info(ENDS, field=ENDS)
        await ctx.chunk(ENDS)
        await ctx.progress(0.5, ENDS)
        async with ctx.tool_call(ENDS, {"q": ENDS}) as call:
            call.result = ENDS
        return {ENDS: given}

    @flow.task
    async def fails(given: str) -> None:
        raise ValueError(ENDS)

    @flow.task(after="fails", on_upstream_failure="run")
    async def large() -> str:
        return "\u2028" * 20_000

    events = await run_to_end(flow, {"given": ENDS})
    for event in events:
        assert len(event.json.decode().splitlines()) == 1
        assert len(event.json) <= bounds.MAX_EVENT_BYTES
    assert only(events, "said.it").data == {ENDS: ENDS}
    assert only(events, "task.completed", "body").data["output"] == {ENDS: ENDS}
    assert only(events, "task.completed", "large").data["size"] == 6 * 20_000 + 2
    assert only(events, "task.failed").data["error"]["message"] == ENDS
    assert "".join(event.data["text"] for event in of_type(events, "task.chunk")) == ENDS


async def test_the_limit_of_an_event_counts_the_escapes() -> None:
    """Text that would grow beyond 48 KiB is refused where it is said, or written in several events."""
    flow = Workflow("grows")

    @flow.task
    async def body(ctx: Context) -> str:
        for _ in range(10):
            await ctx.chunk("\x85" * 1_000)
        try:
            await ctx.emit("said.it", {"text": "\x85" * 10_000})
        except ValueError as error:
            return str(error)
        except Exception as error:
            return type(error).__name__
        return "said"

    events = await run_to_end(flow)
    assert all(len(event.json) <= bounds.MAX_EVENT_BYTES for event in events)
    assert only(events, "task.completed").data["output"] == "EventTooLarge"
    assert sum(len(event.data["text"]) for event in of_type(events, "task.chunk")) == 10_000


def test_an_event_of_an_older_log_leaves_on_one_line() -> None:
    """Its JSON was written with the raw characters, and is not changed in the log."""
    raw = orjson.dumps(
        {"seq": 7, "run_id": "r", "type": "said.it", "time": "2026-11-21T02:51:00.123456Z", "data": {"text": ENDS}}
    )
    event = Event.from_json(raw)
    frame = NATIVE.step(None, event)
    (data,) = [line for line in frame.decode().splitlines() if line.startswith("data: ")]
    assert orjson.loads(data.removeprefix("data: ")) == orjson.loads(raw)
    assert len(json_line(event).splitlines()) == 1


def test_a_notice_is_one_line_too() -> None:
    """``run.state`` shows what the log holds."""
    notice = Notice("run.state", "r", "2026-11-21T02:51:00.123456Z", {"reason": ENDS})
    assert len(notice.json.decode().splitlines()) == 1
    assert orjson.loads(notice.json)["data"] == {"reason": ENDS}
