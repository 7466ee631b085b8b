"""The dialect ``cloudevents``: what the SDKs of CloudEvents decode, and nothing is lost."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.v1.http import from_json

from reactor.events.event import Event, Notice
from reactor_web import dialects
from reactor_web.dialects import End
from reactor_web.dialects.cloudevents import BATCH_MEDIA_TYPE, CLOUDEVENTS, EVENT_MEDIA_TYPE, CloudEvents
from reactor_web.sse.parser import Frame, Parser
from reactor_web.testing import DIALECT_LAWS
from tests.events.golden.record import FOLDER, read
from tests.helpers.node import node_script
from tests.helpers.server import Server
from tests.helpers.written_log import RUN, bytes_of, frames_of, log_of, session, started

NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
EXTENSION = re.compile("[a-z0-9]{1,20}")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def frames(log: list[Event]) -> list[Frame]:
    return Parser(sticky_id=False).feed(b"".join([CLOUDEVENTS.step(None, event) for event in log]))


def decoded_by_node(*bodies: tuple[str, str]) -> list[list[dict[str, Any]]]:
    """The events of each (media type, body), as the JavaScript SDK reads them."""
    lines = b"\n".join([orjson.dumps({"type": type, "body": body}) for type, body in bodies])
    done = subprocess.run(node_script("cloudevents.mjs"), input=lines, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def test_a_frame_is_these_bytes() -> None:
    """The id of the frame is the seq; the name is the type of the CloudEvent; its data is the event's data."""
    assert bytes_of(CLOUDEVENTS, ("task.started", {"index": 0}, "draft")) == (
        b"id: 1\nevent: reactor.task.started\n"
        b'data: {"specversion":"1.0","id":"run-1/1","source":"/runs/run-1","type":"reactor.task.started",'
        b'"subject":"draft","time":"2026-11-21T12:00:00.000001Z","datacontenttype":"application/json",'
        b'"sequence":"000000000000000001","partitionkey":"run-1","attempt":1,"data":{"index":0}}\n\n'
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_python_sdk_decodes_every_frame_of_every_recorded_run(name: str) -> None:
    """Both of its interfaces; what it reads is what the event says."""
    log = read(name)[0]
    for event, frame in zip(log, frames(log), strict=True):
        raw = frame.data.encode()
        core = from_http_event(HTTPMessage({"content-type": EVENT_MEDIA_TYPE}, raw))
        old = from_json(raw)
        assert core.get_data() == old.data == event.data
        for attributes in (core.get_attributes(), old.get_attributes()):
            assert attributes["type"] == frame.event == f"reactor.{event.type}"
            assert attributes["source"] == f"/runs/{event.run_id}"
            assert attributes.get("subject") == event.task_id
            assert attributes.get("attempt") == event.attempt
            assert int(attributes["sequence"]) == event.seq
        assert core.get_time() == datetime.fromisoformat(event.time)


@pytest.mark.parametrize("name", NAMES)
def test_the_javascript_sdk_decodes_every_frame_and_the_batch_of_every_recorded_run(name: str) -> None:
    """One by one and all in one body; the same events, each valid by its schema."""
    log = read(name)[0]
    structured = [frame.data for frame in frames(log)]
    batch = CLOUDEVENTS.batch_body(log).decode()
    *singly, together = decoded_by_node(*[(EVENT_MEDIA_TYPE, body) for body in structured], (BATCH_MEDIA_TYPE, batch))
    assert [event for [event] in singly] == together
    assert [event["data"] for event in together] == [event.data for event in log]
    assert [event["id"] for event in together] == [f"{event.run_id}/{event.seq}" for event in log]


@pytest.mark.parametrize("name", NAMES)
def test_attributes_are_as_the_specification_wants_them(name: str) -> None:
    """No null, no empty text, extensions of lower-case letters and digits; sequences sort as the events do."""
    bodies = [orjson.loads(frame.data) for frame in frames(read(name)[0])]
    for body in bodies:
        attributes = {key: value for key, value in body.items() if key != "data"}
        assert all(EXTENSION.fullmatch(key) for key in attributes)
        assert all(isinstance(value, str | int) and value != "" for value in attributes.values())
    sequences = [body["sequence"] for body in bodies]
    assert sequences == sorted(set(sequences))
    assert len({(body["source"], body["id"]) for body in bodies}) == len(bodies)


def test_the_start_of_a_run_carries_the_trace_it_is_part_of() -> None:
    """``traceparent``, where whoever started it gave one."""
    [frame] = frames_of(CLOUDEVENTS, started(traceparent=TRACE))
    assert orjson.loads(frame.data)["traceparent"] == TRACE
    assert "traceparent" not in orjson.loads(frames_of(CLOUDEVENTS, started())[0].data)


@pytest.mark.parametrize("data", [None, 3, "text", [1], {"a": {"b": None}}, {"specversion": "0", "line": "\u2028"}])
def test_whatever_an_application_emits_is_the_data(data: Any) -> None:
    """Any JSON, on one line for every reader of lines."""
    frame = frames_of(CLOUDEVENTS, session(), ("note.taken", data))[-1]
    assert len(frame.data.splitlines()) == 1
    assert orjson.loads(frame.data)["data"] == data
    assert orjson.loads(frame.data)["type"] == "reactor.note.taken"


def test_messages_of_the_stream_are_events_too_with_ids_of_their_own() -> None:
    """A gap, parts of a state, the end: no two have the same id."""
    notices = [
        Notice("stream.gap", RUN, "2026-11-21T12:00:00.000001Z", {"from": 1, "to": 2, "reason": "trimmed"}),
        Notice("run.state", RUN, "2026-11-21T12:00:00.000001Z", {"part": 1, "parts": 2, "tasks": {}}),
        Notice("run.state", RUN, "2026-11-21T12:00:00.000001Z", {"part": 2, "parts": 2, "tasks": {}}),
    ]
    closing = Notice("stream.closing", RUN, "2026-11-21T12:00:00.000001Z", {"reason": "shutdown", "retry_ms": 1})
    data = b"".join([CLOUDEVENTS.notice(None, notice, 7) for notice in notices]) + CLOUDEVENTS.end(None, End(closing))
    found = Parser(sticky_id=False).feed(data)
    assert [(frame.id, frame.event) for frame in found] == [
        ("7", "reactor.stream.gap"), ("7", "reactor.run.state"), ("7", "reactor.run.state"),
        ("", "reactor.stream.closing"),
    ]  # fmt: skip
    events = [from_json(frame.data.encode()) for frame in found]
    assert len({event["id"] for event in events}) == len(events)
    assert all("sequence" not in event.get_attributes() for event in events)
    batch = CLOUDEVENTS.batch_body([*notices, *log_of(started())])
    assert [event["type"] for event in orjson.loads(batch)] == [
        "reactor.stream.gap", "reactor.run.state", "reactor.run.state", "reactor.run.started",
    ]  # fmt: skip
    assert CLOUDEVENTS.batch_body([]) == b"[]"


def test_a_source_may_be_under_a_url_that_everybody_reaches() -> None:
    """Another name, another base; the laws hold for it."""
    public = CloudEvents("https://example.org/api/v1/", name="cloudevents-public")
    assert public.info.name == "cloudevents-public"
    assert orjson.loads(frames_of(public, started())[0].data)["source"] == "https://example.org/api/v1/runs/run-1"
    for law in DIALECT_LAWS:
        law(public, read(NAMES[0])[0])
    assert dialects.find("cloudevents") is CLOUDEVENTS


async def test_a_stream_of_them_is_served_and_resumed(server: Server) -> None:
    """Over HTTP, cut after each frame; a tree of runs too, since no frame depends on another."""
    run_id = (await server.start("small"))["run_id"]
    async with server.events(run_id, "?dialect=cloudevents") as stream:
        all = await stream.all()
    assert [frame.event for frame in all][-1] == "reactor.stream.end"
    for place, frame in enumerate(all[:-2], 1):
        async with server.events(run_id, "?dialect=cloudevents", **{"Last-Event-ID": frame.id}) as stream:
            assert [one.data for one in await stream.all()][:-1] == [one.data for one in all[place:-1]]
    async with server.events(run_id, "?dialect=cloudevents&children=1") as stream:
        assert [frame.data for frame in await stream.all()][:-1] == [frame.data for frame in all[:-1]]


async def test_a_page_is_a_batch(server: Server) -> None:
    """``Accept: application/cloudevents-batch+json``: pages one after the other by ``Link``, none after the end."""
    run_id = (await server.start("small"))["run_id"]
    async with server.events(run_id, "?dialect=cloudevents") as stream:
        wanted = [orjson.loads(frame.data) for frame in await stream.all()][:-1]
    url, found = f"{server.url}/runs/{run_id}/events?limit=3", []
    while url:
        async with server.session.get(url, headers={"Accept": BATCH_MEDIA_TYPE}) as response:
            assert (response.status, response.content_type) == (200, BATCH_MEDIA_TYPE)
            body = await response.text()
            url = str(response.links["next"]["url"]) if "next" in response.links else ""
        [batch] = decoded_by_node((BATCH_MEDIA_TYPE, body))
        assert len(batch) <= 3
        found += orjson.loads(body)
    assert found == wanted
