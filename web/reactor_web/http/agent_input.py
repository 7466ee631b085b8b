"""``AgentInput``: what an AG-UI client sends to start an AG-UI run, or to go on after an interrupt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from reactor.events.values import json_kind
from reactor_web.bounds import AGENT_ANSWERS, AGENT_ID_CHARS
from reactor_web.dialects.ag_ui.board import NAME
from reactor_web.http.problems import Problem


@dataclass(frozen=True, slots=True)
class Resume:
    """The answer to one interrupt."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


@dataclass(frozen=True, slots=True)
class AgentInput:
    """``RunAgentInput`` of AG-UI 1.0. What a client leaves out is empty."""

    thread_id: str
    run_id: str
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    state: Any = None
    """The application's part of the shared state."""
    tools: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    context: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    forwarded_props: Any = None
    parent_run_id: str | None = None
    resume: tuple[Resume, ...] = ()

    @property
    def message(self) -> str | None:
        """The text of the last message of the user; None if there is none."""
        content = self._last.get("content")
        if isinstance(content, list):  # text among images and files
            parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", content) if isinstance(part, dict)]
            return "".join([str(part.get("text", "")) for part in parts if part.get("type") == "text"])
        return content if isinstance(content, str) else None

    @property
    def message_id(self) -> str | None:
        """The id of the last message of the user; None if there is none."""
        id = self._last.get("id")
        return id[:AGENT_ID_CHARS] if isinstance(id, str) else None

    @property
    def _last(self) -> dict[str, Any]:
        nothing: dict[str, Any] = {}
        return next((message for message in reversed(self.messages) if message.get("role") == "user"), nothing)

    def values(self) -> dict[str, Any]:
        """What a workflow may take as input, by name."""
        return {
            "message": self.message,
            "messages": self.messages,
            "state": self.state,
            "tools": self.tools,
            "context": self.context,
            "forwarded_props": self.forwarded_props,
            "thread_id": self.thread_id,
        }


def agent_input(body: Any) -> AgentInput:
    """The input that a body describes; members that are not known here are left out. Raises Problem 422."""
    given = _object(body, "the body")
    return AgentInput(
        thread_id=_id(given, "threadId"),
        run_id=_id(given, "runId"),
        messages=_objects(given, "messages", needed=True),
        state=_state(given.get("state")),
        tools=_objects(given, "tools"),
        context=_objects(given, "context"),
        forwarded_props=given.get("forwardedProps"),
        parent_run_id=None if given.get("parentRunId") is None else _id(given, "parentRunId"),
        resume=_resumes(given),
    )


def _state(state: Any) -> Any:
    """What the client sends as its state, without the part that we have sent it."""
    if not isinstance(state, dict):
        return state
    return {name: value for name, value in cast("dict[str, Any]", state).items() if name != NAME}


def _resumes(given: Mapping[str, Any]) -> tuple[Resume, ...]:
    entries = _objects(given, "resume")
    if len(entries) > AGENT_ANSWERS:
        raise Problem(422, f"resume has {len(entries)} answers, the limit is {AGENT_ANSWERS:,}")
    return tuple([_resume(entry, f"resume[{place}]") for place, entry in enumerate(entries)])


def _resume(entry: Mapping[str, Any], where: str) -> Resume:
    id, status = entry.get("interruptId"), entry.get("status")
    if not isinstance(id, str) or not id:
        raise Problem(422, f"{where}.interruptId must be the id of an interrupt, not {json_kind(id)}")
    if status not in ("resolved", "cancelled"):
        raise Problem(422, f"{where}.status must be resolved or cancelled, not {str(status)[:50]!r}")
    return Resume(id, status, entry.get("payload"))


def _id(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= AGENT_ID_CHARS:
        raise Problem(422, f"{name} must be text of 1 to {AGENT_ID_CHARS} characters")
    return value


def _objects(given: Mapping[str, Any], name: str, *, needed: bool = False) -> list[dict[str, Any]]:
    value = given.get(name)
    if value is None and not needed:
        return []
    if not isinstance(value, list):
        raise Problem(422, f"{name} must be a list, not {json_kind(value)}")
    return [_object(item, f"{name}[{place}]") for place, item in enumerate(cast("list[Any]", value))]


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Problem(422, f"{where} must be a JSON object, not {json_kind(value)}")
    return cast("dict[str, Any]", value)
