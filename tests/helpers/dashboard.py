"""What a page knows that follows a workflow by the dialect ``agents``, frame by frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from reactor_web.dialects import Shows
from reactor_web.sse.parser import Frame, Parser

LOGS_KEPT = 200
OF_A_WORKFLOW = (
    "name", "status", "currentAgent", "currentStep", "totalSteps", "iterations", "totalCost", "budgetLimit",
)  # fmt: skip


@dataclass
class Dashboard:
    """``workflow``, ``agents`` by name and ``logs``, as ``useWorkflowStream`` of the document keeps them."""

    workflow: dict[str, Any] = field(default_factory=dict[str, Any])
    agents: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    logs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    budget: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    ends: int = 0

    def show(self, frames: Iterable[Frame]) -> Dashboard:
        """Takes these frames; returns itself."""
        for frame in frames:
            self._take(frame.event, json.loads(frame.data))
        return self

    def _take(self, event: str, data: dict[str, Any]) -> None:
        name = data.get("agentName", "")
        match event:
            case "workflow:state":
                self.workflow = data
            case "workflow:started":
                self.workflow |= data | {"status": "running"}
            case "workflow:running":
                self.workflow |= data
            case "workflow:completed" | "workflow:failed":
                self.workflow |= data | {"status": event.removeprefix("workflow:")}
                self.ends += 1
            case "agent:state":
                self.agents[name] = data
            case "agent:started":
                self.agents[name] = data | {"status": "running"}
            case "agent:progress":
                self.agents.setdefault(name, {})["message"] = data["message"]
            case "agent:completed" | "agent:failed":
                self.agents[name] = {**self.agents.get(name, {}), **data, "status": event.removeprefix("agent:")}
            case "log:created":
                self.logs = [*self.logs, data][-LOGS_KEPT:]
            case "budget:warning" | "budget:exceeded":
                self.budget.append((event, data))
            case _:
                pass  # no listener for it

    @property
    def seen(self) -> dict[str, Any]:
        """What a page that was there all the time and one that came later must agree on."""
        workflow = {key: self.workflow.get(key) or None for key in OF_A_WORKFLOW}
        agents: dict[str, dict[str, Any]] = {}
        for name, agent in self.agents.items():
            if agent.get("status") != "pending":  # who comes late is also told of those that have not begun
                agents[name] = {key: agent.get(key) for key in ("status", "stepNumber", "error")}
                if agent.get("status") in ("completed", "failed"):
                    agents[name] |= {key: agent.get(key) or 0 for key in ("duration", "cost")}
        return {"workflow": workflow, "agents": agents, "ends": self.ends, "logs": self.logs[-50:]}


def shown(dialect: Shows, state: Any, run_id: str) -> dict[str, Any]:
    """What polling clients are sent, as they read it."""
    body = dialect.shown(state, run_id)
    whole = {name: list(value) if isinstance(value, Iterator) else value for name, value in body.items()}
    return cast("dict[str, Any]", orjson.loads(orjson.dumps(whole)))


def parsed(data: bytes) -> list[Frame]:
    """The frames of some bytes; a frame without an id has ``""``."""
    return Parser(sticky_id=False).feed(data)
