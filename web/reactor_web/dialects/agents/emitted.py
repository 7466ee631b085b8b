"""What the application emits. Types of this dialect pass as they are and change what the opening shows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from reactor.events.event import Event
from reactor_web.dialects.agents.state import MAX_NAME_CHARS, WIRE_NAMES, Agent, AgentsState, Message, as_text, message
from reactor_web.dialects.agents.steps import log_line

ENDS: Final = {"workflow:completed": "completed", "workflow:failed": "failed"}
AGENT_STATUS: Final = {"agent:started": "running", "agent:completed": "completed", "agent:failed": "failed"}
VOCABULARY: Final = frozenset({
    "workflow:state", "workflow:started", "workflow:running", *ENDS, "agent:state", "agent:progress", *AGENT_STATUS,
    "budget:warning", "budget:exceeded", "log:created",
})  # fmt: skip
"""All event names of the dialect."""
_OF_A_CONNECTION: Final = frozenset({"error", "open"})
"""An EventSource calls the listeners of these for its connection: a frame with such a name would look like that."""
_FIELDS: Final = {wire: name for name, wire in WIRE_NAMES.items()} | {"maxIterations": "max_iterations"}
_NUMBERS: Final = frozenset({"total_steps", "max_iterations", "budget_limit", "iterations", "total_cost"})


def messages_of_own(event: Event, state: AgentsState, log_throttle: float) -> list[Message]:
    """The frame of an event that the application has emitted. A type that is not of this dialect has its own name."""
    type, data = event.type, event.data
    if type in _OF_A_CONNECTION or (type in ENDS and not state.facts.is_session):
        return []  # clients would take the connection for lost, or leave while the run goes on
    if type not in VOCABULARY:
        return [message(type, data)]
    if type == "log:created":
        return _log(event, state, data, log_throttle)
    if type.startswith("agent:"):
        return [message(type, _agent(event, state, data))]
    made = message(type, data)
    if type.startswith("budget:"):
        _set(state, {"totalCost": data.get("currentCost"), "budgetLimit": data.get("budgetLimit")})
    else:
        _workflow(event, state, data, made)
    return [made]


def _workflow(event: Event, state: AgentsState, data: dict[str, Any], made: Message) -> None:
    _set(state, data)
    if event.type == "workflow:started":
        state.status, state.started_at = "running", state.started_at or event.time
    elif event.type in ENDS:
        state.status, state.own_end = ENDS[event.type], made
        state.duration = _number(data.get("duration"))
        state.error = None if event.type == "workflow:completed" else as_text(data.get("error", ""))


def _agent(event: Event, state: AgentsState, data: dict[str, Any]) -> dict[str, Any]:
    """What is sent of an agent: ``data``, with the name of the task it was emitted in if it has none."""
    if "agentName" not in data and event.task_id is not None:
        data = {"agentName": state.agent_of(event).name} | data
    agent = _agent_named(_name(data.get("agentName", "")), event, state)
    agent.role = _name(data.get("agentRole", agent.role))
    agent.step = _small(data.get("stepNumber", agent.step))
    if event.type == "agent:started":
        agent.started_at, agent.error = event.time, None
    if event.type != "agent:progress":
        agent.status = AGENT_STATUS.get(event.type) or _name(data.get("status", agent.status))
    elif agent.status == "pending":
        agent.status = "running"
    agent.duration = _number(data.get("duration")) or agent.duration
    cost = _number(data.get("cost"))
    agent.cost = agent.cost if cost is None else Decimal(str(cost))
    if "error" in data:
        agent.error = as_text(data["error"])
    return data


def _agent_named(name: str, event: Event, state: AgentsState) -> Agent:
    of_task = state.agents.get(event.task_id or "")
    if of_task is not None and of_task.name == name:
        return state.agent_of(event)
    key = event.task_id if event.task_id is not None and of_task is None else name
    state.frames.pop(key, None)
    place = len(state.facts.tasks) + len(state.agents)  # behind those of the graph
    return state.agents.get(key) or state.add_said(key, Agent(name, order=(place, -1)))


def _log(event: Event, state: AgentsState, data: dict[str, Any], throttle: float) -> list[Message]:
    return log_line(event, state, {"level": "info", "message": "", "timestamp": event.time} | data, throttle)


def _set(state: AgentsState, data: dict[str, Any]) -> None:
    """Takes over what the state knows by name, each if it is of the kind that it is here."""
    for wire, value in data.items():
        name = _FIELDS.get(wire)
        if name is not None and value is not None and (name not in _NUMBERS or _number(value) is not None):
            setattr(state, name, _small(value))


def _small(value: Any) -> Any:
    """The value as the opening shows it beside others: no line may reach 64 KiB, so what is no short text or number is
    the beginning of its text."""
    if isinstance(value, str):
        return value[:MAX_NAME_CHARS]
    return value if value is None or isinstance(value, bool | int | float) else _name(value)


def _name(value: Any) -> str:
    return as_text(value)[:MAX_NAME_CHARS]


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
