"""What the dialect remembers of a run: what its opening shows. Plain values, which can be pickled."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

import orjson

from reactor.bounds import KIB
from reactor.events.event import Event
from reactor.events.one_line import one_line
from reactor_web.bounds import MAX_SAID
from reactor_web.dialects.framing import encode
from reactor_web.dialects.reading import RunFacts, TaskFacts, milliseconds_between

LOGS_SHOWN: Final = 50
"""How many log lines a client is shown that has just come."""
MAX_TEXT_BYTES: Final = 32 * KIB
"""Of an output as JSON text: quotes and backslashes in it are escaped once more, and no line may reach 64 KiB."""
MAX_NAME_CHARS: Final = 256
"""Of names and roles that meta gives."""
_AT_ONCE: Final = 200
"""Frames that are made before others may run: 5 us each."""

Message = tuple[str, bytes]
"""The name and the JSON of one frame."""


@dataclass(slots=True)
class Agent:
    """A task of the graph, a child of a mapped task, or an agent that the application speaks of."""

    name: str
    role: str = "agent"
    step: Any = None
    """Its ``stepNumber``: as the task's meta says, else its place from 1; None where the application has said none."""
    status: str = "pending"
    """``pending``, ``running``, ``completed`` or ``failed``: what the frames can say. What was skipped or cancelled has
    failed, with the error ``skipped: …`` or ``cancelled: …``."""
    started_at: str = ""
    duration: float = 0.0
    """Milliseconds of the last attempt, once it has ended."""
    cost: Decimal = field(default_factory=Decimal)
    error: str | None = None
    order: tuple[int, int] = (0, -1)
    """Its place in the graph, and among the children of a mapped task."""

    def to_dict(self, now: str) -> dict[str, Any]:
        """The data of ``agent:state``. ``now``: the time of the last event, to which one at work has taken so long."""
        running = self.status == "running"
        shown: dict[str, Any] = {
            "agentName": self.name,
            "agentRole": self.role,
            "stepNumber": self.step,
            "status": self.status,
            "duration": milliseconds_between(self.started_at, now) if running else self.duration,
            "cost": float(self.cost),
        }
        return shown if self.error is None else shown | {"error": self.error}


@dataclass(slots=True)
class AgentsState:
    """A run up to one of its events."""

    facts: RunFacts = field(default_factory=RunFacts)
    status: str = "pending"
    """Of the run. ``pending`` until its first event."""
    name: str | None = None
    total_steps: int = 0
    max_iterations: int | None = None
    budget_limit: float | None = None
    current_agent: str | None = None
    """The one that began last."""
    current_step: Any = None
    iterations: int = 0
    """How many bodies have begun."""
    total_cost: float = 0.0
    started_at: str | None = None
    now: str = ""
    """The time of the last event."""
    duration: float | None = None
    error: str | None = None
    agents: dict[str, Agent] = field(default_factory=dict[str, Agent])
    """By task id; those of the application by their name."""
    said: deque[str] = field(default_factory=deque[str])
    """Those of the application, the oldest first."""
    logs: deque[bytes] = field(default_factory=lambda: deque[bytes](maxlen=LOGS_SHOWN))
    """The data of the last ``log:created``."""
    last_log_at: str = ""
    omitted: int = 0
    """How many log lines a throttle has held back since the last one."""
    own_end: Message | None = None
    """What the application has said of the end, if it has."""
    end: Message | None = None
    """What was said of the end, once the run has ended."""
    frames: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False)
    """The ``agent:state`` of agents that have not changed since it was made, by the key of the agent."""

    def agent_of(self, event: Event) -> Agent:
        """The agent of an event of a task."""
        key = event.task_id or ""
        self.frames.pop(key, None)  # whoever asks for an agent changes it
        agent = self.agents.get(key)
        if agent is not None:
            return agent
        agent = agent_from(self.facts.of(event), event.map_index)
        if self.facts.is_session:
            return self.add_said(key, agent)
        self.agents[key] = agent
        return agent

    def add_said(self, key: str, agent: Agent) -> Agent:
        """Remembers an agent that only the application knows; the oldest of these is forgotten where they are many."""
        if len(self.said) >= MAX_SAID:
            oldest = self.said.popleft()
            self.agents.pop(oldest, None)
            self.frames.pop(oldest, None)
        self.said.append(key)
        self.agents[key] = agent
        return agent

    def change(self, **values: Any) -> dict[str, Any]:
        """Sets ``current_agent`` and others of these; returns those that are new, by their names on the wire."""
        new = {name: value for name, value in values.items() if getattr(self, name) != value}
        for name, value in new.items():
            setattr(self, name, value)
        return {WIRE_NAMES[name]: value for name, value in new.items()}

    def shown_workflow(self, run_id: str) -> dict[str, Any]:
        """The data of ``workflow:state``; with ``duration`` and ``error`` once the run has ended."""
        shown = {"workflowId": run_id} | {wire: getattr(self, name) for name, wire in WIRE_NAMES.items()}
        ended = {"duration": self.duration, "error": self.error}
        return shown | {name: value for name, value in ended.items() if value is not None}

    def agent_frames(self) -> list[bytes]:
        """``agent:state`` of each agent, in the same order; of those at work, made anew."""
        agents = sorted(self.agents.items(), key=lambda item: item[1].order)
        return [self.frames.get(key) or self._frame_of(key, agent) for key, agent in agents]

    def make_frames(self) -> Generator[None]:
        """Makes the frames that ``agent_frames`` needs, some at a time. The state may change in between."""
        keys = list(self.agents)
        for start in range(0, len(keys), _AT_ONCE):
            for key in keys[start : start + _AT_ONCE]:
                agent = self.agents.get(key)
                if agent is not None and key not in self.frames:
                    self._frame_of(key, agent)
            yield

    def _frame_of(self, key: str, agent: Agent) -> bytes:
        name, data = message("agent:state", agent.to_dict(self.now))
        frame = encode(data, event=name)
        if agent.status != "running":
            self.frames[key] = frame
        return frame

    def shown_agents(self) -> Iterator[dict[str, Any]]:
        """The data of ``agent:state`` of each agent, in the order of the graph, children by their index."""
        return (agent.to_dict(self.now) for agent in sorted(self.agents.values(), key=attrgetter("order")))


WIRE_NAMES: Final = {
    "name": "name",
    "status": "status",
    "current_agent": "currentAgent",
    "current_step": "currentStep",
    "total_steps": "totalSteps",
    "iterations": "iterations",
    "total_cost": "totalCost",
    "budget_limit": "budgetLimit",
    "started_at": "startedAt",
}
"""Fields of ``AgentsState`` -> keys of ``workflow:state``, in its order."""


def agent_from(task: TaskFacts, map_index: int | None = None) -> Agent:
    """The agent that a task is. Children of a mapped task have its name and their index, so that no two are one."""
    meta = task.meta
    name = str(meta.get("agentName") or task.id)[:MAX_NAME_CHARS]
    return Agent(
        name=name if map_index is None else f"{name}[{map_index}]",
        role=str(meta.get("agentRole") or "agent")[:MAX_NAME_CHARS],
        step=meta.get("stepNumber", task.place + 1),
        order=(task.place, -1 if map_index is None else map_index),
    )


def message(name: str, data: Any) -> Message:
    """One frame: its name, and ``data`` as one line of JSON."""
    return name, one_line(orjson.dumps(data))


def as_text(value: Any) -> str:
    """A text as it is, any other value as JSON; the beginning of what is too long, with ``…``."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if len(orjson.dumps(text)) <= MAX_TEXT_BYTES + 2:
        return text
    # no character has more than six bytes as JSON
    return text[: MAX_TEXT_BYTES // 6] + "…"
