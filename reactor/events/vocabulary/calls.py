"""Log lines, calls of language models and tools, and budgets."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from reactor.events.vocabulary.run import ErrorData
from reactor.events.vocabulary.tables import event


@event("log.created")
class LogCreated(TypedDict):
    """A line of ``ctx.log``."""

    level: str
    """``debug``, ``info``, ``warning`` or ``error``."""
    message: str
    fields: dict[str, Any]


class LlmCall(TypedDict):
    """What both events of a call of a language model carry."""

    call: int
    """Which call of the attempt it is; the same number in both events."""
    model: str
    estimated_cost: NotRequired[float]


@event("llm.call.started")
class LlmCallStarted(LlmCall):
    """A call of a language model begins (``ctx.llm_call``)."""


class CallEnd(TypedDict):
    """What the end of a call carries."""

    status: Literal["success", "error", "cancelled"]
    """``cancelled``: the body was stopped in the middle of the call, by a cancel or a timeout."""
    error: NotRequired[ErrorData]
    duration_ms: float


@event("llm.call.completed")
class LlmCallCompleted(LlmCall, CallEnd):
    """A call of a language model has ended. What it spent is written as ``task.spent``."""

    cost: float
    tokens: int
    is_estimated: NotRequired[Literal[True]]
    """The cost is the estimated one: the call succeeded or was cancelled, and the body has set none."""


class ToolCall(TypedDict):
    """What both events of a call of a tool carry."""

    call: int
    """Which call of the attempt it is; the same number in both events."""
    tool: str
    arguments: Any
    """Secrets are masked; above 4 KiB the beginning, as text."""


@event("tool.call.started")
class ToolCallStarted(ToolCall):
    """A call of a tool begins (``ctx.tool_call``)."""


@event("tool.call.completed")
class ToolCallCompleted(ToolCall, CallEnd):
    """A call of a tool has ended."""

    result: NotRequired[Any]
    """Of a call that went well; above 4 KiB the beginning, as text."""


class BudgetUse(TypedDict):
    """How much of one resource of the budget is used."""

    resource: Literal["cost", "tokens", "seconds", "tasks"]
    used: float
    limit: float
    percent: float


@event("budget.warning")
class BudgetWarning(BudgetUse):
    """80 percent of a resource are used. Each resource warns once."""


@event("budget.exceeded")
class BudgetExceeded(BudgetUse):
    """A resource is used up. What follows is what ``on_exceeded`` of the budget says."""
