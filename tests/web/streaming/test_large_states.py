"""``run.state`` of states that are large in any of their parts: each frame is below the size of an event."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
from decimal import Decimal
from typing import Any, cast

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor.bounds import MAX_EVENT_BYTES
from reactor.clock import SystemClock
from reactor.events.event import Notice
from reactor.events.parts import put_together
from reactor.events.state import RunState, TaskState
from reactor.logs.memory import MemoryLog
from reactor.stream.feed import Feed
from reactor_web import dialects
from reactor_web.client.followed import Followed, _Reading  # pyright: ignore[reportPrivateUsage]
from reactor_web.sse.parser import Frame, Parser
from reactor_web.streaming.following.snapshot import encode_state, state_notices
from reactor_web.terminal.family import Family
from tests.helpers.canonical import as_text
from tests.helpers.node import node_script
from tests.web.hygiene.reading import all_dialects

RUN = "run-1"
LARGE = st.sampled_from(["x", "\u2028", "\0", "é", "🦀", '"']).flatmap(
    lambda letter: st.integers(0, 48_000 // len(json.dumps(letter)[1:-1].encode())).map(lambda count: letter * count)
)
ERRORS = st.fixed_dictionaries({"type": st.just("E"), "message": LARGE, "traceback": LARGE})
SCHEMA = st.fixed_dictionaries({"title": LARGE})
QUESTIONS = st.lists(
    st.fixed_dictionaries({"prompt": LARGE, "schema": st.none() | SCHEMA, "key": LARGE}),
    max_size=3,
)
MANY = st.integers(0, 4_000)


@st.composite
def tasks(draw: st.DrawFn, id: str) -> TaskState:
    task = TaskState(id, id, "waiting", cost=Decimal("0.1"), tokens=draw(st.integers(0, 9)))
    task.message, task.error = draw(st.none() | LARGE), draw(st.none() | ERRORS)
    task.waiting = draw(st.none() | QUESTIONS)
    task.received = [[n, f"key {n}"] for n in range(draw(MANY))] or None
    task.asked = {f"question {n}": [n, None] for n in range(draw(MANY))} or None
    task.depends_on = tuple(f"task_{n}" for n in range(draw(MANY)))
    return task


@st.composite
def states(draw: st.DrawFn) -> RunState:
    """Large in its meta, its error, its children and their spending, its tasks and what each of them waits for."""
    state = RunState(RUN, seq=9, status="running", workflow="w", version=draw(st.none() | LARGE))
    state.meta, state.error = draw(st.none() | st.fixed_dictionaries({"m": LARGE})), draw(st.none() | ERRORS)
    spent = {f"t{n}": {"cost": 0.5, "tokens": n} for n in range(draw(MANY))}
    state.children = {
        f"child-{n}": {"cost": Decimal("0.5"), "tokens": n, "tasks": spent if n == 0 else {}, "status": "running"}
        for n in range(draw(MANY) // 4)
    } or None
    for n in range(draw(st.integers(0, 3))):
        state.tasks[f"t{n}"] = draw(tasks(f"t{n}"))
    for n in range(draw(MANY)):
        state.tasks[f"m[{n}]"] = TaskState(f"m[{n}]", "m", "completed", map_index=n)
    state.count_progress()
    return state


def frames_of(state: RunState, dialect: str = "native") -> list[Frame]:
    feed = Feed(RUN, MemoryLog(), SystemClock())
    return Parser().feed(asyncio.run(encode_state(feed, state, dialects.find(dialect))))


def data_of(frames: list[Frame]) -> list[dict[str, Any]]:
    return [orjson.loads(frame.data)["data"] for frame in frames]


a_few = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@a_few
@given(states())
def test_every_frame_of_a_state_is_below_the_size_of_an_event(state: RunState) -> None:
    """In every dialect that has it; the last one has the id, and ``part`` and ``parts`` count them."""
    for dialect in all_dialects():
        frames = frames_of(state, dialect.info.name)
        assert all(len(frame.data.encode()) <= MAX_EVENT_BYTES for frame in frames), dialect.info.name
        assert [bool(frame.id) for frame in frames] == [False] * (len(frames) - 1) + [True] * bool(frames)
    data = data_of(frames_of(state))
    if len(data) > 1:
        assert [(one["part"], one["parts"]) for one in data] == [(n, len(data)) for n in range(1, len(data) + 1)]


@a_few
@given(states())
def test_the_parts_together_are_the_state(state: RunState) -> None:
    """For whoever puts them together: as the documents say, the Python client, the view of the terminal."""
    data = data_of(frames_of(state))
    whole = copy.deepcopy(data[0])
    for part in data[1:]:
        whole = put_together(whole, copy.deepcopy(part))
    assert {name: value for name, value in whole.items() if name not in ("part", "parts")} == json.loads(
        orjson.dumps(state.to_dict())
    )
    family = Family(RUN)
    for notice in asyncio.run(state_notices(Feed(RUN, MemoryLog(), SystemClock()), state)):
        family.fold(Notice(notice.type, RUN, notice.time, orjson.loads(orjson.dumps(notice.data))))
    assert family.top == state


@a_few
@given(states())
def test_the_python_client_puts_the_parts_together(state: RunState) -> None:
    """Its state is the one of the server once the last part has come, and not before."""
    reading = _Reading(Followed(RUN, cast(Any, None)), 0)
    for notice in asyncio.run(state_notices(Feed(RUN, MemoryLog(), SystemClock()), state)):
        assert reading._run.state.seq == 0
        reading.take(Notice(notice.type, RUN, notice.time, orjson.loads(orjson.dumps(notice.data))))
    assert reading._run.state == state


def test_the_javascript_client_puts_the_parts_together() -> None:
    """In one process for all states."""
    found: list[RunState] = []

    @a_few
    @given(states())
    def collect(state: RunState) -> None:
        found.append(state)

    collect()
    lines = [json.dumps({"parts": data_of(frames_of(state)), "events": []}) for state in found]
    command = node_script("fold.mjs")
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for state, line in zip(found, [one for one in done.stdout.split("\n") if one], strict=True):
        shown = json.loads(orjson.dumps(state.to_dict()))
        del shown["progress"]
        assert as_text(json.loads(line)["shown"]) == as_text(shown)
