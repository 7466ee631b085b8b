"""What the fold remembers of a run, and the messages that more than one event makes.

A message is a dict, an AG-UI event without its timestamp.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from reactor.events.event import Event
from reactor.events.state import RunState, TaskState
from reactor_web.bounds import MAX_SAID
from reactor_web.dialects.ag_ui.board import NAME, Board
from reactor_web.dialects.ag_ui.quiet import listed
from reactor_web.dialects.reading import RunFacts

PROTOCOL: Final = "1.0"

Message = dict[str, Any]
Messages = list[Message]

ID_OF: Final = {
    "step": "stepName",
    "text": "messageId",
    "reasoning": "messageId",
    "thought": "messageId",
    "call": "toolCallId",
    "subagent": "subagentRunId",
}
"""What may be open -> the member that names it."""

CLOSES: Final = {
    "step": "STEP_FINISHED",
    "text": "TEXT_MESSAGE_END",
    "reasoning": "REASONING_END",
    "thought": "REASONING_MESSAGE_END",
    "call": "TOOL_CALL_END",
    "subagent": "SUBAGENT_FINISHED",
}
"""What may be open -> the message that closes it. Nothing may be open when an AG-UI run finishes."""


class Opened(NamedTuple):
    """What is open in the present AG-UI run."""

    kind: str
    """A key of ``ID_OF``."""
    id: str


@dataclass(slots=True)
class Call:
    """A call of a tool that has no result yet."""

    tool: str
    number: int
    """The AG-UI run that has shown it."""


@dataclass(slots=True)
class Thread:
    """One run as AG-UI runs, of which at most one is open."""

    facts: RunFacts
    run: RunState
    board: Board = field(default_factory=Board)
    number: int = 0
    """Of the last AG-UI run that has begun, from 1."""
    is_open: bool = False
    began: int = 0
    """The seq of the event with which it began."""
    sent_ids: dict[str, str] = field(default_factory=dict[str, str])
    """The ids that the application of a session has given to it."""
    sent_end: bool = False
    """Whether the application of a session has ended its AG-UI run itself."""
    open: dict[Opened, str | None] = field(default_factory=dict[Opened, str | None])
    """In the order of opening; with the subagent that it is of, if it is of one."""
    texts: dict[str, int] = field(default_factory=dict[str, int])
    """Task -> how many text messages its attempt has begun."""
    calls: dict[str, dict[str, Call]] = field(default_factory=dict[str, dict[str, Call]])
    """Task -> its calls by tool call id, as long as they have no result."""
    usage: dict[str, int] = field(default_factory=dict[str, int])
    """Model -> tokens that were spent since the last end of an AG-UI run."""

    # --- the AG-UI run ---

    @property
    def has_state(self) -> bool:
        """Whether clients are shown how the tasks are. A session has none, and the state is the application's own."""
        return not self.facts.is_session

    @property
    def ids(self) -> Message:
        """Of the present AG-UI run."""
        return {"threadId": self.run.run_id, "runId": f"{self.run.run_id}.{self.number}", **self.sent_ids}

    def begin(self, seq: int, starting: str | None = None) -> Iterator[Message]:
        """The next AG-UI run begins: where the run is, and the steps that go on.

        ``starting``: the task whose step the event itself begins.
        """
        self.note_begun(seq)
        yield {"type": "RUN_STARTED", **self.ids, "protocolVersion": PROTOCOL}
        if not self.has_state:
            return
        yield {"type": "STATE_SNAPSHOT", "snapshot": self.board.snapshot(self.run)}
        for task in self.run.tasks.values():
            if task.id != starting and _has_body(task):
                yield from self.start("step", task.id, "STEP_STARTED")

    def note_begun(self, seq: int, **sent_ids: str) -> None:
        """``sent_ids``: those that the application gives to it."""
        self.number, self.is_open, self.began, self.sent_ids = self.number + 1, True, seq, sent_ids

    def finish(self, outcome: Message, **members: Any) -> Iterator[Message]:
        """The AG-UI run finishes; whatever is open is closed before."""
        yield from self.close_all()
        yield {"type": "RUN_FINISHED", **self.ids, **members, "outcome": outcome, **self._take_usage()}
        self.is_open = False

    def interrupt(self) -> Iterator[Message]:
        """The AG-UI run finishes with the open questions: the answers to them begin the next one."""
        yield from self.finish({"type": "interrupt", "interrupts": self._interrupts()})

    def fail(self, message: str, code: str) -> Iterator[Message]:
        """The AG-UI run ends with an error, and leaves open what is open."""
        yield {"type": "RUN_ERROR", "message": message, "code": code, **self._take_usage()}
        self.is_open = False
        self.open.clear()

    def _interrupts(self) -> Messages:
        interrupts: Messages = []
        for question in listed(self.run):
            interrupt = question.interrupt
            if calls := self.calls.get(question.task_id):
                interrupt |= {"reason": "tool_call", "toolCallId": next(reversed(calls))}
            interrupts.append(interrupt)
        return interrupts

    def _take_usage(self) -> Message:
        usage, self.usage = self.usage, {}
        return {"usage": [{"model": model, "totalTokens": tokens} for model, tokens in usage.items()]} if usage else {}

    # --- what is open in it ---

    @property
    def has_room(self) -> bool:
        """Whether an application may open more: so many things that are open at once are a mistake."""
        return len(self.open) < len(self.run.tasks) + MAX_SAID

    def start(self, kind: str, id: str, type: str, **members: Any) -> Iterator[Message]:
        """Opens something with this message, unless it is open."""
        opened = Opened(kind, id)
        if opened not in self.open:
            self.open[opened] = None
            yield {"type": type, ID_OF[kind]: id, **members}

    def close(self, kind: str, id: str) -> Iterator[Message]:
        """Closes it, if it is open."""
        opened = Opened(kind, id)
        if opened in self.open:
            owner = self.open.pop(opened)
            yield {"type": CLOSES[kind], ID_OF[kind]: id, **({} if owner is None else {"subagentRunId": owner})}

    def close_all(self) -> Iterator[Message]:
        """Closes what is open, the last first."""
        for opened in list(reversed(self.open)):
            yield from self.close(*opened)

    # --- what is shown of a task ---

    def text_id(self, event: Event) -> str:
        """The message that a chunk of text belongs to: one for each attempt, a further one after each interrupt."""
        task = event.task_id or ""
        count = self.texts.get(task, 0)
        id = _text_id(event, count)
        if not count or Opened("text", id) not in self.open:
            self.texts[task] = count = count + 1
            id = _text_id(event, count)
        return id

    def close_attempt(self, event: Event) -> Iterator[Message]:
        """Closes text and step of a task whose attempt is over, and its calls that have no result."""
        task = event.task_id or ""
        if self.texts.pop(task, 0):
            prefix = f"{event.run_id}/{task}#"
            for opened in [one for one in self.open if one.kind == "text" and one.id.startswith(prefix)]:
                yield from self.close(*opened)
        for id, call in self.calls.pop(task, {}).items():
            if call.number == self.number:  # else a client would take it for one that it has to answer itself
                yield result_of(id, {"error": "the attempt has ended before its call"})
        yield from self.close("step", task)

    def delta(self, event: Event) -> Iterator[Message]:
        """What the event has changed of the shared state."""
        if self.has_state and (operations := self.changes(event)):
            yield {"type": "STATE_DELTA", "delta": operations}

    def changes(self, event: Event) -> Messages:
        """The operations of ``delta``, which clients have from now on."""
        ids = [] if event.task_id is None else [event.task_id]
        if event.task is not None and event.task != event.task_id:
            ids.append(event.task)  # the state of a mapped task follows from those of its children
        gone: Messages = []
        if event.type == "run.upgraded":
            gone = self.board.remove(event.data.get("removed", ()))
            ids = [entry["id"] for entry in event.data.get("tasks", ())]
        output = event.data.get("output") if event.type == "task.completed" else None
        return gone + self.board.update(self.run, ids, output)

    def application_state(self, state: Any) -> Message:
        """A snapshot that has the application's part anew."""
        return {
            "type": "STATE_SNAPSHOT",
            "snapshot": {**state, NAME: {"run": self.board.run, "tasks": self.board.tasks}},
        }


def result_of(call_id: str, result: Any) -> Message:
    """What a call of a tool has given: text as it is, anything else as JSON."""
    content = result if isinstance(result, str) else orjson.dumps(result).decode()
    ids = {"messageId": f"{call_id}/result", "toolCallId": call_id}
    return {"type": "TOOL_CALL_RESULT", **ids, "content": content, "role": "tool"}


def _has_body(task: TaskState) -> bool:
    """Whether a body of it is under way: a mapped task has none."""
    return task.status in ("running", "waiting") and task.count is None


def _text_id(event: Event, count: int) -> str:
    more = f".{count}" if count > 1 else ""
    return f"{event.run_id}/{event.task_id}#{event.attempt or 1}{more}"
