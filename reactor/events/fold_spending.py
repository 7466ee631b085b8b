"""The part of the fold that says what a run has spent: money and tokens, its budget, and its child runs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from reactor.events.state import RunState, decimal_of
from reactor.events.vocabulary.child import is_of_engine


def task_spent(state: RunState, body: dict[str, Any]) -> None:
    """Without a task it was said of the run (``run.spend``)."""
    data = body["data"]
    cost, tokens = decimal_of(data["cost"]), data["tokens"]
    by_task = "task_id" in body and not state.session  # a session has no tasks: its names are free, and without number
    for spender in (state, state.task_of(body)) if by_task else (state,):
        spender.cost = (spender.cost or Decimal(0)) + cost
        spender.tokens = (spender.tokens or 0) + tokens
    child_run = data.get("child_run")
    if child_run is not None:
        child = _child_run(state, child_run)
        child["cost"] += cost
        child["tokens"] += tokens
        child["tasks"] += data.get("tasks", 0)


def _child_run(state: RunState, child_run: str) -> dict[str, Any]:
    if state.children is None:
        state.children = {}
    return state.children.setdefault(child_run, {"cost": Decimal(0), "tokens": 0, "tasks": 0})


def child_run_started(state: RunState, body: dict[str, Any]) -> None:
    data = body["data"]
    if is_of_engine(data):
        child = _child_run(state, data["child_run"])
        child |= {"task_id": body["task_id"], "workflow": data["workflow"], "key": data["key"], "status": "running"}


def child_run_ended(state: RunState, body: dict[str, Any]) -> None:
    data = body["data"]
    if is_of_engine(data):
        _child_run(state, data["child_run"]).update(status=data["status"], seq=body["seq"])


def budget_event(state: RunState, body: dict[str, Any]) -> None:
    resource = body["data"]["resource"]
    if body["type"] == "budget.warning":
        state.warned = [*(state.warned or []), resource]
    else:
        state.exceeded = [*(state.exceeded or []), resource]
