"""What a task body may do: say things, ask for things, look around, and find out that it should stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from reactor import bounds
from reactor.context.calls import LlmCall, ToolCall
from reactor.context.forms import Form
from reactor.definition.policy import Budget, check_tokens, money
from reactor.errors import EventTooLarge, InvalidEvent
from reactor.events.values import dumps, is_plain, plain_copy
from reactor.ports.attempt import Attempt
from reactor.ports.speech import Line
from reactor.requests import check_key
from reactor.waiting import READY

_ENVELOPE_BYTES: Final = 512
"""What the envelope around an event's data may take of its 48 KiB."""


class Context:
    """Given to a body that has a parameter named ``ctx`` or annotated ``Context``.

    Has the fields of ``Attempt``: ``run_id task_id attempt map_index input meta upstreams resources``.

    On the loop ``emit`` and its kin act at once and return an awaitable that is done when the window has room; in a
    thread or a process they block instead, until a cancel wakes them. After the body ended every call raises
    ContextClosed.
    """

    def __init__(self, attempt: Attempt, line: Line) -> None:
        self._line = line
        self._calls = 0
        self.run_id = attempt.run_id
        self.task_id = attempt.task_id
        self.attempt = attempt.attempt
        self.map_index = attempt.map_index
        self.input = attempt.input
        self.meta = attempt.meta
        self.upstreams = attempt.upstreams
        self.resources = attempt.resources
        self.log = TaskLog(self._log)

    # --- looking around ---

    @property
    def cancelled(self) -> bool:
        """True once the body should stop: a thread looks here and returns."""
        return self._line.cancelled

    def checkpoint(self) -> Awaitable[None]:
        """A good moment to stop: waits while the run is paused, and in a thread raises ContextClosed once cancelled."""
        return self._line.ask("checkpoint") or READY

    def committed(self) -> Awaitable[None]:
        """Done when everything the run emitted so far is in the log: await it before an effect that must not repeat."""
        return self._line.ask("committed") or READY

    # --- saying ---

    def emit(self, type: str, data: Mapping[str, Any] | Any | None = None) -> Awaitable[None]:
        """Puts an event of your own on the run's stream; ``data`` is anything that is a JSON object.

        Raises InvalidEvent, EventTooLarge (48 KiB), Backpressure (far too many without ``await``), ContextClosed.
        """
        # users without a type checker pass anything
        if not isinstance(type, str) or not bounds.EVENT_TYPE.fullmatch(type) or len(type) > bounds.EVENT_TYPE_CHARS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._error(InvalidEvent, f"{type!r} is no event type: lower case words joined by dots, at most 64")
        if type.startswith(bounds.RESERVED_EVENT_PREFIXES):
            raise self._error(InvalidEvent, f"the event type {type!r} is reserved for the engine")
        return self.write(type, {} if data is None else data)

    def progress(self, fraction: float, message: str | None = None) -> Awaitable[None]:
        """How far the body is, 0 to 1. Sampled: at most 20 a second reach the stream, and the last one always does."""
        # users without a type checker pass anything; the comparison is also false for NaN
        if not isinstance(fraction, (int, float)) or not 0.0 <= fraction <= 1.0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._error(InvalidEvent, f"progress is a fraction from 0 to 1, not {fraction!r}")
        data = {"fraction": fraction, "message": message, "level": "info"}
        return self._line.progress(self._encode("task.progress", data))

    def chunk(self, text: str) -> Awaitable[None]:
        """A piece of text as it comes, a token of a language model say: ``task.chunk``.

        Pieces are joined, in order and without loss, into at most 20 events a second.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise self._error(InvalidEvent, f"a chunk is text, not {text!r}")
        self._encode("task.chunk", {"text": text})  # raises where it is too large, or no text JSON can carry
        return self._line.say("chunk", text)

    def spend(self, *, cost: Any = 0, tokens: int = 0) -> Awaitable[None]:
        """Counts money and tokens against the budgets of this run and of those it is a child of: ``task.spent``.

        ``cost`` is a number or a decimal as text; raises ValueError for a negative or infinite one.
        """
        check_tokens(tokens)
        return self._line.say("spend", str(money(cost)), tokens, "spend")

    def llm_call(self, model: str, *, estimated_cost: Any = None) -> LlmCall:
        """A call of a language model, as events: ``async with ctx.llm_call("gpt-x") as call: ...; call.cost = 0.01``.

        Use ``with`` in a thread. Writes ``llm.call.started`` and, also on an error, ``llm.call.completed``, and spends
        ``call.cost`` (else ``estimated_cost``, where the call succeeds) and ``call.tokens``.
        """
        return LlmCall(self, model, None if estimated_cost is None else money(estimated_cost))

    def tool_call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> ToolCall:
        """A call of a tool, as events: ``async with ctx.tool_call("search", {"q": q}) as call: call.result = ...``.

        Use ``with`` in a thread. Writes ``tool.call.started`` and, also on an error, ``tool.call.completed``.
        """
        return ToolCall(self, tool, dict(arguments or {}))

    # --- asking ---

    def receive(self, prompt: str | None = None, *, schema: Any = None, key: str | None = None) -> Any:
        """Waits for a value that somebody sends to this task: ``value = await ctx.receive("approve?", schema=bool)``.

        ``schema`` is a type (the value is restored to it) or a JSON Schema; what does not fit is refused where it is
        sent. Values are recorded: a body that runs again gets the k-th value for its k-th ``receive``, or the one of
        its ``key``, and nobody is asked twice. While it waits it holds no concurrency slot and its timeout stands
        still. In a thread it blocks and returns the value.
        """
        try:
            form = Form.of(schema)
        except (TypeError, ValueError) as error:
            raise self._error(InvalidEvent, f"the schema of its receive cannot be used: {error}") from error
        self._check_key(key)
        shown = None if prompt is None else str(prompt)
        self._encode("task.waiting", {"prompt": shown, "schema": form.schema})
        return self._then(self._line.ask("receive", shown, form.schema, key), form.restore)

    def run(
        self,
        workflow: Any,
        input: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs a workflow (or the registered one of a name) as a child of this run; gives its outputs.

        Raises what awaiting a run raises. The child is cancelled with this body, what it spends counts here too. It is
        recorded: a body that runs again takes up its k-th child, or the one of its ``key``, and none starts twice.
        Raises RunExists for a key that this attempt has used with another input, or any has with another workflow.
        While it waits the body holds no concurrency slot. In a thread it blocks; in a process name the workflow.
        """
        self._check_key(key)
        if key is not None and key.isdigit():
            raise self._error(InvalidEvent, f"the key {key!r} of a child run is what one without a key is called")
        checked = None if budget is None else Budget.of(budget)
        return self._line.ask("run", workflow, dict(input or {}), key, checked)

    # --- how it is said ---

    def write(self, type: str, data: Any) -> Awaitable[None]:
        """The engine's own way of saying something; ``emit`` is a body's."""
        return self._line.say("emit", type, self._encode(type, data))

    def count_spending(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        """Of a call of a language model."""
        return self._line.say("spend", cost, tokens, source)

    def next_call(self) -> int:
        """Numbers the calls of this attempt, from 1."""
        self._calls += 1
        return self._calls

    def _log(self, level: str, message: str, fields: Mapping[str, Any]) -> Awaitable[None]:
        return self.write("log.created", {"level": level, "message": message, "fields": fields})

    def _check_key(self, key: str | None) -> None:
        try:
            check_key(key)
        except ValueError as error:
            raise self._error(InvalidEvent, str(error)) from None

    def _then(self, answer: Any, change: Callable[[Any], Any]) -> Any:
        async def changed() -> Any:
            return change(await answer)

        return change(answer) if self._line.blocks else changed()

    def _encode(self, type: str, data: Any) -> bytes:
        try:
            json = dumps(data) if is_plain(data) else orjson.dumps(plain_copy(data))
        except (TypeError, ValueError, RecursionError) as error:
            raise self._error(InvalidEvent, f"the data of its {type!r} event is not JSON: {error}") from error
        if json[:1] != b"{":
            raise self._error(InvalidEvent, f"the data of its {type!r} event must be a JSON object")
        if len(json) > bounds.MAX_EVENT_BYTES - _ENVELOPE_BYTES:
            raise self._error(
                EventTooLarge,
                f"its {type!r} event has {len(json):,} bytes, the limit is {bounds.MAX_EVENT_BYTES:,}; "
                "emit a reference, or several events",
            )
        return json

    def _error(self, kind: Any, what: str) -> Exception:
        message = f"task {self.task_id} of run {self.run_id}: {what}"
        return kind(message, run_id=self.run_id, task_id=self.task_id)


class TaskLog:
    """``ctx.log``: lines of a task as ``log.created`` events, ``ctx.log.info("loaded", rows=12)``.

    Each call returns an awaitable like ``ctx.emit``; raises EventTooLarge above 48 KiB.
    """

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[str, str, Mapping[str, Any]], Awaitable[None]]) -> None:
        self._write = write

    def debug(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("debug", message, fields)

    def info(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("info", message, fields)

    def warning(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("warning", message, fields)

    def error(self, message: str, /, **fields: Any) -> Awaitable[None]:
        return self._write("error", message, fields)
