"""What a task body can do while it runs: emit events, ask for values and child runs, and learn that it should stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from reactor import bounds
from reactor.context.calls import LlmCall, ToolCall
from reactor.context.forms import Form
from reactor.definition.names import missing_attribute
from reactor.definition.policy import Budget, check_tokens, money
from reactor.errors import EventTooLarge, InvalidEvent
from reactor.events.values import dumps, is_plain, json_kind, plain_copy
from reactor.ports import speech
from reactor.ports.attempt import Attempt
from reactor.ports.speech import Line
from reactor.requests import check_key
from reactor.waiting import READY

_ENVELOPE_BYTES: Final = 512
"""How many of the 48 KiB of an event are left for its envelope."""


class Context:
    """Passed to a body that has a parameter named ``ctx`` or annotated ``Context``.

    It has the fields of ``Attempt``: ``run_id task_id attempt map_index input meta upstreams resources``.

    On the loop ``emit`` and the methods like it act at once, and return an awaitable that is done when the window has
    room. In a thread or a process they block instead, until there is room or a cancel. After the body has ended every
    call raises ContextClosed.
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
        """True once the body should stop. A body in a thread, which cannot be interrupted, looks here and returns."""
        return self._line.cancelled

    def checkpoint(self) -> Awaitable[None]:
        """A good moment to stop: waits while the run is paused; in a thread it raises ContextClosed after a cancel."""
        return self._line.ask(speech.checkpoint, ()) or READY

    def committed(self) -> Awaitable[None]:
        """Done when all that the run has emitted is in the log. Await it before an effect that must not repeat."""
        return self._line.ask(speech.committed, ()) or READY

    # --- saying ---

    def emit(self, type: str, data: Mapping[str, Any] | Any | None = None) -> Awaitable[None]:
        """Puts an event of your own on the run's stream; ``data`` is anything that becomes a JSON object.

        Raises InvalidEvent, EventTooLarge (48 KiB), Backpressure (far too many without ``await``), ContextClosed.
        """
        # users without a type checker pass anything
        if not isinstance(type, str) or not bounds.EVENT_TYPE.fullmatch(type) or len(type) > bounds.EVENT_TYPE_CHARS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._error(
                InvalidEvent,
                f"{type!r} is not an event type; write lower case words joined by dots, like 'page.fetched'",
            )
        if type.startswith(bounds.RESERVED_EVENT_PREFIXES):
            first = type.partition(".")[0]
            raise self._error(
                InvalidEvent,
                f"the event type {type!r} is reserved for the engine; begin it with another word than {first}",
            )
        return self.write(type, {} if data is None else data)

    def progress(self, fraction: float, message: str | None = None) -> Awaitable[None]:
        """How far the body is, from 0 to 1: ``task.progress``; at most 20 a second, the last one always."""
        # users without a type checker pass anything; the comparison is also false for NaN
        if not isinstance(fraction, (int, float)) or not 0.0 <= fraction <= 1.0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise self._error(InvalidEvent, f"progress is a fraction from 0 to 1, not {fraction!r}")
        data = {"fraction": fraction, "message": message, "level": "info"}
        return self._line.progress(self._encode("task.progress", data))

    def chunk(self, text: str) -> Awaitable[None]:
        """A piece of text, for example a token of a language model: ``task.chunk``.

        The pieces are joined, in order and without loss, into at most 20 events a second.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            raise self._error(InvalidEvent, f"a chunk is text, not {text!r}")
        self._encode("task.chunk", {"text": text})  # raises where it is too large, or cannot be JSON
        return self._line.say(speech.chunk, (text,))

    def spend(self, *, cost: Any = 0, tokens: int = 0) -> Awaitable[None]:
        """Counts money and tokens against the budgets of this run and of its parents: ``task.spent``.

        ``cost`` is a number or a decimal as text; raises ValueError for a negative or infinite one.
        """
        check_tokens(tokens)
        return self._line.say(speech.spend, (str(money(cost)), tokens, "spend"))

    def llm_call(self, model: str, *, estimated_cost: Any = None) -> LlmCall:
        """A call of a language model, as events: ``async with ctx.llm_call("gpt-x") as call: ...; call.cost = 0.01``.

        Use ``with`` in a thread. Writes ``llm.call.started`` and, also after an error, ``llm.call.completed``. Spends
        ``call.tokens`` and ``call.cost``; if that is not set and the call succeeds, ``estimated_cost``.
        """
        return LlmCall(self, model, None if estimated_cost is None else money(estimated_cost))

    def tool_call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> ToolCall:
        """A call of a tool, as events: ``async with ctx.tool_call("search", {"q": q}) as call: call.result = ...``.

        Use ``with`` in a thread. Writes ``tool.call.started`` and, also after an error, ``tool.call.completed``.
        """
        return ToolCall(self, tool, dict(arguments or {}))

    # --- asking ---

    def receive(self, prompt: str | None = None, *, schema: Any = None, key: str | None = None) -> Any:
        """Waits for a value that somebody sends to this task: ``value = await ctx.receive("approve?", schema=bool)``.

        ``schema`` is a type (the value is restored to it) or a JSON Schema; a value that does not fit is refused when
        it is sent. Values are recorded: a body that runs again gets the k-th value for its k-th ``receive``, or the one
        with its ``key``, and nobody is asked twice. While it waits it holds no concurrency slot and its timeout stands
        still. In a thread it blocks and returns the value.
        """
        try:
            form = Form.of(schema)
        except (TypeError, ValueError) as error:
            raise self._error(InvalidEvent, f"the schema of its receive cannot be used: {error}") from error
        self._check_key(key)
        shown = None if prompt is None else str(prompt)
        self._encode("task.waiting", {"prompt": shown, "schema": form.schema})
        return self._then(self._line.ask(speech.receive, (shown, form.schema, key)), form.restore)

    def run(
        self,
        workflow: Any,
        input: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs a workflow, or the registered one of this name, as a child of this run; returns its outputs.

        The child is cancelled with this body, and its spending counts here too. It is recorded: a body that runs again
        goes on with its k-th child, or the one with its ``key``, and none starts twice. While it waits the body holds
        no concurrency slot. In a thread it blocks; in a process ``workflow`` must be a name.

        Raises what awaiting a run raises, and RunExists for a key that this attempt has used with another input, or
        any attempt with another workflow.
        """
        self._check_key(key)
        if key is not None and key.isdigit():
            raise self._error(
                InvalidEvent,
                f"the key {key!r} of a child run is a number; numbers are the keys of child runs without one",
            )
        checked = None if budget is None else Budget.of(budget)
        return self._line.ask(speech.run, (workflow, dict(input or {}), key, checked))

    # --- what calls and logs are written with ---

    def write(self, type: str, data: Any) -> Awaitable[None]:
        """Writes an event of any type; a body uses ``emit``, which refuses the types of the engine."""
        return self._line.say(speech.emit, (type, self._encode(type, data)))

    def count_spending(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        """Counts what a call of a language model has cost."""
        return self._line.say(speech.spend, (cost, tokens, source))

    def next_call(self) -> int:
        """The number of the next call of this attempt, from 1."""
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
        """Applies ``change`` to what ``ask`` gave: to the answer, or to what its awaitable will give."""

        async def changed() -> Any:
            return change(await answer)

        return change(answer) if self._line.blocks else changed()

    def _encode(self, type: str, data: Any) -> bytes:
        try:
            json = dumps(data) if is_plain(data) else orjson.dumps(plain_copy(data))
        except (TypeError, ValueError, RecursionError) as error:
            raise self._error(InvalidEvent, f"the data of its {type!r} event is not JSON: {error}") from error
        if json[:1] != b"{":
            raise self._error(
                InvalidEvent, f"the data of its {type!r} event must be a JSON object, not {json_kind(data)}"
            )
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

    if not TYPE_CHECKING:  # else type checkers would take any attribute

        def __getattr__(self, name: str) -> Any:
            known = [one for one in (*vars(self), *vars(Context)) if one not in _FOR_CALLS]
            raise missing_attribute("ctx", name, known)


_FOR_CALLS: Final = ("write", "count_spending", "next_call")
"""Parts of a Context that are not for bodies."""


class TaskLog:
    """``ctx.log``: the log lines of a task, as ``log.created`` events: ``ctx.log.info("loaded", rows=12)``.

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

    if not TYPE_CHECKING:  # else type checkers would take any attribute, and any call

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute("ctx.log", name, _LEVELS)

        def __call__(self, *_: Any, **__: Any) -> Any:
            raise TypeError("ctx.log cannot be called; write ctx.log.info(...), or debug, warning, error")


_LEVELS: Final = ("debug", "info", "warning", "error")
