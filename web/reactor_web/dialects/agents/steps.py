"""The frames of each of the engine's events: ``messages_of(event, state)``. What is not in the table has none."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from reactor.events.event import Event
from reactor_web.dialects.agents.state import Agent, AgentsState, Message, agent_from, as_text, message
from reactor_web.dialects.reading import error_text, facts_after, milliseconds_between, read_facts, tasks_after

LEVELS: Final = {"warning": "warn", "warn": "warn", "error": "error", "critical": "error"}
"""Of log lines; every other level is ``info``."""


def messages_of(event: Event, state: AgentsState, log_throttle: float) -> list[Message]:
    """What one event of the engine tells. ``log_throttle``: milliseconds between two log lines, 0: all of them."""
    if event.type == "log.created":
        return _log_created(event, state, log_throttle)
    frames = _FRAMES.get(event.type)
    return [] if frames is None else frames(event, state)


# --- the run ----------------------------------------------------------------------------------------------------


def _run_started(event: Event, state: AgentsState) -> list[Message]:
    facts = state.facts if state.facts.run_id else read_facts(event)
    budget = facts.budget or {}
    state.facts, state.started_at = facts, event.time
    state.name = None if facts.is_session else facts.workflow  # in a session the application says it
    state.total_steps = len(facts.tasks) or facts.total_tasks
    state.max_iterations, state.budget_limit = budget.get("tasks"), budget.get("cost")
    # a mapped task has no body; its children are known later
    state.agents = {task.id: agent_from(task) for task in facts.tasks.values() if not task.is_map}
    state.frames.clear()
    if facts.is_session:
        return []  # the application says that it has begun
    limits = {"maxIterations": state.max_iterations, "budgetLimit": state.budget_limit}
    limits = {name: value for name, value in limits.items() if value is not None}
    return [message("workflow:started", {"name": state.name, "totalSteps": state.total_steps, **limits})]


def _run_upgraded(event: Event, state: AgentsState) -> list[Message]:
    """Agents that had not begun leave, and others come: a client hears of these when they begin."""
    facts = state.facts = facts_after(state.facts, event)
    changed = {entry["id"] for entry in event.data.get("tasks", ())}
    for id in [*event.data.get("removed", ()), *changed]:
        if (agent := state.agents.get(id)) is not None and agent.status == "pending":
            del state.agents[id]
    for task in facts.tasks.values():
        if task.id in changed and not task.is_map:
            state.agents.setdefault(task.id, agent_from(task))
    for id, agent in state.agents.items():
        task = facts.tasks.get(id.partition("[")[0])
        if task is not None:
            now = agent_from(task)
            agent.step, agent.order = now.step, (task.place, agent.order[1])
    state.frames.clear()
    return _running(state, total_steps=tasks_after(event))


def _status(status: str) -> Callable[[Event, AgentsState], list[Message]]:
    def frames(event: Event, state: AgentsState) -> list[Message]:
        if event.data.get("reason") == "recovered":
            return []  # it has the status that it had before the restart
        return _running(state, status=status)

    return frames


def _budget(name: str) -> Callable[[Event, AgentsState], list[Message]]:
    def frames(event: Event, state: AgentsState) -> list[Message]:
        data = event.data
        use = {"currentCost": data["used"], "budgetLimit": data["limit"], "percentageUsed": data["percent"]}
        # these clients know budgets of costs only: what else was used has to be said
        return [message(name, use if data["resource"] == "cost" else use | {"resource": data["resource"]})]

    return frames


def _run_ended(event: Event, state: AgentsState) -> list[Message]:
    data = event.data
    state.status = event.type.removeprefix("run.")
    state.duration = data["duration_ms"]
    state.total_cost = data.get("cost", state.total_cost)
    state.error = error_text(event)
    if state.own_end is not None:
        return []  # the application has said how it ended
    totals: dict[str, Any] = {
        "duration": state.duration, "totalCost": state.total_cost, "iterations": state.iterations,
    }  # fmt: skip
    if state.current_step is not None:
        totals["currentStep"] = state.current_step
    if state.error is None:
        state.end = message("workflow:completed", totals)
    else:
        state.end = message("workflow:failed", {"error": state.error} | totals)
    return [state.end]


# --- agents -----------------------------------------------------------------------------------------------------


def _task_started(event: Event, state: AgentsState) -> list[Message]:
    agent = state.agent_of(event)
    agent.status, agent.started_at, agent.error = "running", event.time, None
    began = _running(state, current_agent=agent.name, current_step=agent.step, iterations=state.iterations + 1)
    prompt = state.facts.of(event).meta.get("prompt")
    if prompt is None:
        data = event.data
        prompt = data["input_preview"] if "input_preview" in data else data.get("input", {})
    return [*began, message("agent:started", _named(agent) | {"stepNumber": agent.step, "prompt": as_text(prompt)})]


def _task_progress(event: Event, state: AgentsState) -> list[Message]:
    data = event.data
    text = data["message"] if data["message"] is not None else f"{data['fraction']:.0%}"
    return [_progress(state.agent_of(event), text, data["level"])]


def _task_retrying(event: Event, state: AgentsState) -> list[Message]:
    data = event.data
    text = f"attempt {event.attempt} failed, attempt {data['next_attempt']} follows: {error_text(event)}"
    return [_progress(state.agent_of(event), text, "warning")]


def _task_waiting(event: Event, state: AgentsState) -> list[Message]:
    data = event.data
    if "answered" in data:
        return []
    return [_progress(state.agent_of(event), f"waits for an answer: {data['prompt'] or data['key']}", "info")]


def _task_spent(event: Event, state: AgentsState) -> list[Message]:
    data = event.data
    agent = state.agents.get(event.task_id or "")
    if agent is not None:  # in a session the application may not have spoken of it
        state.frames.pop(event.task_id or "", None)
        agent.cost += Decimal(str(data["cost"]))
    return _running(state, total_cost=data["total_cost"])


def _task_completed(event: Event, state: AgentsState) -> list[Message]:
    data = event.data
    agent = _end(event, state, "completed")
    shown: dict[str, Any] = {
        "agentName": agent.name, "stepNumber": agent.step, "duration": agent.duration, "cost": float(agent.cost),
    }  # fmt: skip
    if "output_ref" in data:
        shown |= {"output": as_text(data["preview"]), "outputRef": data["output_ref"]}
    elif data.get("output") is not None:
        shown["output"] = as_text(data["output"])
    return [message("agent:completed", shown)]


def _task_failed(event: Event, state: AgentsState) -> list[Message]:
    agent = _end(event, state, "failed")
    agent.error = error_text(event) or ""
    shown = {"agentName": agent.name, "stepNumber": agent.step, "error": agent.error}
    return [message("agent:failed", shown | {"duration": agent.duration, "cost": float(agent.cost)})]


def _end(event: Event, state: AgentsState, status: str) -> Agent:
    data, agent = event.data, state.agent_of(event)
    began = agent.started_at if agent.status == "running" else ""  # one that was cancelled has no duration of its own
    agent.status = status
    agent.duration = data["duration_ms"] if "duration_ms" in data else milliseconds_between(began, event.time)
    if "cost" in data:
        agent.cost = Decimal(str(data["cost"]))
    return agent


# --- log lines, and what several of them use ----------------------------------------------------------------------


def _log_created(event: Event, state: AgentsState, throttle: float) -> list[Message]:
    data = event.data
    line = {"level": LEVELS.get(data["level"], "info"), "message": data["message"], "timestamp": event.time}
    if data["fields"]:
        line["metadata"] = data["fields"]
    return log_line(event, state, line, throttle)


def log_line(event: Event, state: AgentsState, line: dict[str, Any], throttle: float) -> list[Message]:
    """The frame of a log line, unless the one before it is too young. Times are the events': the same log, the same.

    ``line`` is the data of ``log:created``. The opening shows it again.
    """
    if throttle and state.last_log_at and 0 <= milliseconds_between(state.last_log_at, event.time) < throttle:
        state.omitted += 1
        return []
    if state.omitted:
        metadata = line.get("metadata", {})
        line["metadata"] = (metadata if isinstance(metadata, dict) else {"value": metadata}) | {
            "omitted": state.omitted
        }
    state.last_log_at, state.omitted = event.time, 0
    made = message("log:created", line)
    state.logs.append(made[1])
    return [made]


def _running(state: AgentsState, **values: Any) -> list[Message]:
    changes = state.change(**values)
    return [message("workflow:running", changes)] if changes else []


def _named(agent: Agent) -> dict[str, Any]:
    return {"agentName": agent.name, "agentRole": agent.role}


def _progress(agent: Agent, text: str, level: str) -> Message:
    return message("agent:progress", {"agentName": agent.name, "message": text, "level": LEVELS.get(level, "info")})


_FRAMES: Final[dict[str, Callable[[Event, AgentsState], list[Message]]]] = {
    "run.started": _run_started,
    "run.upgraded": _run_upgraded,
    "run.paused": _status("paused"),
    "run.resumed": _status("running"),
    "run.cancelling": _status("cancelling"),
    "task.started": _task_started,
    "task.progress": _task_progress,
    "task.retrying": _task_retrying,
    "task.waiting": _task_waiting,
    "task.spent": _task_spent,
    "task.completed": _task_completed,
    "task.failed": _task_failed,
    "task.skipped": _task_failed,
    "task.cancelled": _task_failed,
    "budget.warning": _budget("budget:warning"),
    "budget.exceeded": _budget("budget:exceeded"),
    "run.completed": _run_ended,
    "run.failed": _run_ended,
    "run.cancelled": _run_ended,
}
