"""The fold: when an AG-UI run begins, what each event makes in it, and when it ends.

A run of ours is a thread of AG-UI. Whenever it can only go on with an answer, its AG-UI run finishes with an interrupt;
with what goes on after that the next one begins. The n-th has the id ``<run id>.<n>``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import orjson

from reactor.events.event import Event, Notice
from reactor.events.fold import evolve
from reactor.events.one_line import one_line
from reactor.events.state import RunState, TaskState
from reactor.events.vocabulary import TERMINAL
from reactor_web.dialects.ag_ui.engine import count_usage, messages_of
from reactor_web.dialects.ag_ui.meta import sent_state
from reactor_web.dialects.ag_ui.own import own_messages, session_messages
from reactor_web.dialects.ag_ui.quiet import is_quiet
from reactor_web.dialects.ag_ui.thread import PROTOCOL, Message, Thread
from reactor_web.dialects.base import DialectInfo, End, Opening
from reactor_web.dialects.framing import frames_of
from reactor_web.dialects.reading import is_own, read_facts
from reactor_web.sse.frames import HEARTBEAT, encode

_SILENT: Final = frozenset({"task.progress", "task.spent", "llm.call.started", "llm.call.completed"})
"""Begins no AG-UI run while a run waits for answers: the next snapshot shows what it has changed."""

_CLOSING: Final = {
    "not_found": "there is no such run",
    "not_recovered": "nobody goes on with this run here",
    "log": "the log of the run does not answer",
}
"""Reason of ``stream.closing`` -> a sentence; for all others the server has closed the stream."""


class AgUi:
    """AG-UI 1.0: unnamed frames of one event each."""

    __slots__ = ()

    info = DialectInfo(
        "ag-ui", folds=True, refuses=frozenset({"types", "tasks", "throttle", "tail", "snapshot"})
    )  # clients take a stream that begins or goes on with a hole in it for another one

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[Thread, bytes]:
        """Nothing is shown before the first event: it begins the first AG-UI run."""
        facts = read_facts(started)
        thread = Thread(facts, RunState(facts.run_id))
        if started is not None and started.type == "run.started":
            evolve(thread.run, started)  # with what is stored beside it, which the event itself may lack
            thread.board.begin(thread.run, sent_state(facts.meta))
        return thread, b""

    @staticmethod
    def step(state: Thread, event: Event) -> bytes:
        """The frames of an event."""
        time = _milliseconds(event.time)  # decodes the event, for whatever looks at it below
        if not state.run.run_id:  # the beginning of the log is gone, and the map of a child may be gone with it
            state.run.run_id = event.run_id
        if event.map_index is not None and event.task is not None:
            state.run.tasks.setdefault(event.task, TaskState(event.task, event.task))
        if event.type != "run.started" or not state.run.seq:
            evolve(state.run, event)
        if event.type == "llm.call.completed":
            count_usage(state, event)
        return frames_of([(None, _encode(message, time)) for message in _messages(state, event)], event.seq)

    @staticmethod
    def notice(state: Thread, notice: Notice, id: int | None = None) -> bytes:
        """What is in no log, as a message of one's own; nothing where no AG-UI run is open: none may stand there."""
        if not state.is_open:
            return b""
        return _frame({"type": "CUSTOM", "name": f"reactor.{notice.type}", "value": notice.data}, notice.time, id)

    @staticmethod
    def heartbeat(state: Thread, n: int, time: str) -> bytes:
        """A comment, which no client reports."""
        return HEARTBEAT

    @staticmethod
    def end(state: Thread, why: End) -> bytes:
        """An error where the stream closes in the middle: clients take a stream without an end for a good one."""
        notice = why.notice
        is_between = not state.is_open and state.number > 0
        if notice.type == "stream.end" or is_between:
            return b""
        return _frame(_closing(notice.data.get("reason") or "closed"), notice.time, None)


AG_UI: Final = AgUi()


def broken_off(thread_id: str, run_id: str, reason: str, time: str, *, has_begun: bool) -> bytes:
    """The last frames of one client's AG-UI run, which a closing stream leaves without an end of its own."""
    started = b"" if has_begun else _started(thread_id, run_id, time)
    return started + _frame(_closing(reason), time, None)


def refused(thread_id: str, run_id: str, message: str, code: str, time: str) -> bytes:
    """All frames of an AG-UI run that cannot begin: a sentence that says why, and a word for programs."""
    return _started(thread_id, run_id, time) + _frame(
        {"type": "RUN_ERROR", "message": message, "code": code}, time, None
    )


def _started(thread_id: str, run_id: str, time: str) -> bytes:
    ids = {"threadId": thread_id, "runId": run_id, "protocolVersion": PROTOCOL}
    return _frame({"type": "RUN_STARTED", **ids}, time, None)


def _closing(reason: str) -> Message:
    sentence = _CLOSING.get(reason, "the server has closed the stream, and the run goes on")
    code = reason if reason in _CLOSING else "stream_closing"
    return {"type": "RUN_ERROR", "message": f"{sentence} ({reason})", "code": code}


def _messages(thread: Thread, event: Event) -> Iterator[Message]:
    if thread.facts.is_session and (made := session_messages(thread, event)) is not None:
        yield from made
        return
    if not thread.is_open:
        if not _begins(thread, event):
            thread.changes(event)
            return
        thread.changes(event)  # the snapshot shows it
        yield from thread.begin(event.seq, event.task_id if event.type == "task.started" else None)
    yield from own_messages(thread, event) if is_own(event) else messages_of(thread, event)
    if thread.is_open:
        yield from thread.delta(event)
        if is_quiet(thread.run):
            yield from thread.interrupt()


def _begins(thread: Thread, event: Event) -> bool:
    """Whether an event begins the next AG-UI run: something goes on, or has to be shown."""
    if thread.facts.is_session:
        return event.type != "run.started" and not (event.type in TERMINAL and thread.sent_end)
    return event.type not in _SILENT or not is_quiet(thread.run)


def _frame(message: Message, time: str, id: int | None) -> bytes:
    return encode(_encode(message, _milliseconds(time)), id=id)


def _encode(message: Message, time: int) -> bytes:
    return one_line(orjson.dumps({"type": message["type"], "timestamp": time, **message}))


def _milliseconds(time: str) -> int:
    """Since the epoch."""
    return int(datetime.fromisoformat(time).timestamp() * 1_000)
