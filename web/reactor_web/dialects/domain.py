"""``DOMAIN``: each event as the flat message of an event broker, named in PascalCase (``WorkflowStepStarted``).

    id: 7
    event: WorkflowLLMCallStarted
    data: {"event_id":"run-1/7","event_type":"WorkflowLLMCallStarted","task_id":"run-1","agent_id":"writer",
           "step_id":"draft","attempt":1,"timestamp":"2026-11-21T12:00:00.000001Z","call":1,"model":"small",…}

``task_id`` is the run: a task of an agent, in the words of these clients. What they call a step is a task here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from reactor.events.event import Event, Notice
from reactor.events.one_line import one_line
from reactor.events.vocabulary import TERMINAL
from reactor_web.dialects.base import DialectInfo, DialectOption, End, Opening
from reactor_web.dialects.framing import encode
from reactor_web.dialects.reading import error_text, object_of, read_facts

NAMES: Final[Mapping[str, str]] = {
    "run.started": "WorkflowStarted",
    "run.completed": "WorkflowCompleted",
    "run.failed": "WorkflowFailed",
    "run.cancelled": "WorkflowCancelled",
    "run.paused": "WorkflowPaused",
    "run.resumed": "WorkflowResumed",
    "task.started": "WorkflowStepStarted",
    "task.completed": "WorkflowStepCompleted",
    "task.failed": "WorkflowStepFailed",
    "task.skipped": "WorkflowStepFailed",
    "task.cancelled": "WorkflowStepFailed",
    "llm.call.started": "WorkflowLLMCallStarted",
    "llm.call.completed": "WorkflowLLMCallCompleted",
    "tool.call.started": "WorkflowToolCallStarted",
    "tool.call.completed": "WorkflowToolCallCompleted",
    "budget.warning": "WorkflowBudgetWarning",
    "budget.exceeded": "WorkflowBudgetExceeded",
}
"""The names of the engine's types. What is not here is a frame without a name, with its own type in ``event_type``."""

HEARTBEAT: Final = "Heartbeat"
OWN: Final = frozenset(NAMES.values()) | {HEARTBEAT}
"""The types of an application that are frames with a name, too."""
ENDS: Final = frozenset({"WorkflowCompleted", "WorkflowFailed", "WorkflowCancelled"})
OF_THE_RUN: Final = ENDS | {"WorkflowStarted"}
"""What an application says in a session, and the engine in any other run. Clients leave at the first end they see."""


@dataclass(slots=True)
class Seen:
    """What the frames of a run need of earlier events."""

    run_id: str | None = None
    agent_id: Any = None
    """``agent_id`` of the run's meta."""
    is_session: bool = False
    has_own_end: bool = False
    """Whether the application has sent an end of its own."""


def _tail(text: str) -> int | None:
    if text not in ("true", "1", "false", "0"):
        raise ValueError("must be true or false")
    return None if text in ("true", "1") else 0


class Domain:
    """``agent_id``: whose run it is, where the run's meta does not say."""

    __slots__ = ("_agent_id",)

    info = DialectInfo(
        "domain",
        folds=True,
        options={
            "include_history": DialectOption(
                _tail, None, "`false`: begin with what comes next, not with the first event.", sets="tail"
            ),
            "agent_id": DialectOption(str, None, "The agent, where the meta of the run names none."),
        },
    )

    def __init__(self, agent_id: str | None = None) -> None:
        self._agent_id = agent_id

    @staticmethod
    def configured(options: Mapping[str, Any]) -> Domain:
        """The dialect with this ``agent_id``."""
        return Domain(options["agent_id"])

    @staticmethod
    def begin(started: Event | None, mode: Opening) -> tuple[Seen, bytes]:
        """Nothing is shown before the first event."""
        if started is None:
            return Seen(), b""
        facts = read_facts(started)
        return Seen(started.run_id, facts.meta.get("agent_id"), facts.is_session), b""

    @staticmethod
    def waiting(run_id: str) -> Seen:
        """Its heartbeats name the task that the client waits for."""
        return Seen(run_id)

    def step(self, state: Seen, event: Event) -> bytes:
        """The frame of an event; none where the application writes the start or the end of the run itself."""
        state.run_id = event.run_id
        name = NAMES.get(event.type)
        if name is None:
            is_named = event.type in OWN and (state.is_session or event.type not in OF_THE_RUN)
            name = event.type if is_named else None
            state.has_own_end = state.has_own_end or name in ENDS
        elif (event.type == "run.started" and state.is_session) or (event.type in TERMINAL and state.has_own_end):
            return b""
        envelope = self._envelope(state, name or event.type, f"{event.run_id}/{event.seq}", event.time)
        envelope |= {"step_id": event.task_id, "attempt": event.attempt}
        return encode(_flat(envelope, _data(event)), event=name, id=event.seq)

    def notice(self, state: Seen, notice: Notice, id: int | None = None) -> bytes:
        """A frame with the name of the notice, such as ``stream.gap``."""
        state.run_id = notice.run_id
        envelope = self._envelope(state, notice.type, f"{notice.run_id}/{notice.type}/{notice.time}", notice.time)
        return encode(_flat(envelope, notice.data), event=notice.type, id=id)

    def heartbeat(self, state: Seen, n: int, time: str) -> bytes:
        """A frame ``Heartbeat``, without an id: these clients wait for it."""
        envelope = self._envelope(state, HEARTBEAT, f"{state.run_id or ''}/{HEARTBEAT}/{time}", time)
        return encode(_flat(envelope, {"count": n}), event=HEARTBEAT)

    def end(self, state: Seen, why: End) -> bytes:
        """Nothing after the last event, which was the end; else ``stream.closing``."""
        return b"" if why.notice.type == "stream.end" else self.notice(state, why.notice, why.id)

    def _envelope(self, state: Seen, type: str, id: str, time: str) -> dict[str, Any]:
        agent = self._agent_id if state.agent_id is None else state.agent_id
        return {"event_id": id, "event_type": type, "task_id": state.run_id, "agent_id": agent,
                "step_id": None, "attempt": None, "timestamp": time}  # fmt: skip


def _data(event: Event) -> dict[str, Any]:
    data = object_of(event)
    match event.type:
        case "llm.call.started":
            return {"estimated_cost": None, **data}
        case "task.failed":
            return {"status": "failed", **data}
        case "task.skipped" | "task.cancelled":
            kind = event.type.removeprefix("task.")
            return {"status": kind, "error": {"type": kind.capitalize(), "message": error_text(event)}, **data}
        case _:
            return data


def _flat(envelope: dict[str, Any], data: Mapping[str, Any]) -> bytes:
    """One object of both. The envelope wins where it says something, and is first."""
    said = {key: value for key, value in envelope.items() if value is not None}
    return one_line(orjson.dumps({**envelope, **data, **said}))


DOMAIN: Final = Domain()
