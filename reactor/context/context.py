"""What a task body can do while it runs: emit events, ask for values and child runs, and learn that it should stop."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from reactor.context.calls import LlmCall, ToolCall
from reactor.context.forms import MAX_PROBLEM_CHARS, Form
from reactor.context.task_log import TaskLog
from reactor.definition.names import missing_attribute
from reactor.definition.policy import Budget, check_tokens, money
from reactor.errors import ContextClosed, InvalidEvent
from reactor.events.emitted import check_type, encode_data
from reactor.events.values import preview, short_repr
from reactor.ports import speech
from reactor.ports.attempt import Attempt
from reactor.ports.speech import Line
from reactor.requests import check_key, seconds_problem
from reactor.tracing.here import enter_call
from reactor.waiting import READY, PendingCall

A = TypeVar("A")
T = TypeVar("T")

_ROOM_FOR_PROBLEM: Final = "x" * (4 * MAX_PROBLEM_CHARS)
"""A question may be asked again together with what is wrong with a value."""


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
        self._places = count(1)
        """Of the calls of ``receive``; also threads of the body may call it."""
        self._has_warned = False
        self.run_id = attempt.run_id
        self.task_id = attempt.task_id
        self.attempt = attempt.attempt
        self.map_index = attempt.map_index
        self.input = attempt.input
        self.meta = attempt.meta
        self.upstreams = attempt.upstreams
        self.resources = attempt.resources
        self.traceparent = attempt.traceparent
        """The W3C trace context of the attempt, to be sent with requests; None where the run belongs to no trace."""
        self._has_spans = attempt.has_spans
        self.log = TaskLog(self._log)

    # --- looking around ---

    @property
    def cancelled(self) -> bool:
        """True once the body should stop. A body in a thread, which cannot be interrupted, looks here and returns."""
        return self._line.cancelled

    def checkpoint(self) -> Awaitable[None]:
        """A good moment to stop: waits while the run is paused; in a thread it raises ContextClosed after a cancel."""
        passed = self._ask("ctx.checkpoint", speech.checkpoint, ())
        return READY if passed is None else passed

    def committed(self) -> Awaitable[None]:
        """Done when all that the run has emitted is in the log. Await it before an effect that must not repeat."""
        committed = self._line.ask(speech.committed, ())  # what is emitted after this call does not count
        return READY if committed is None else PendingCall("ctx.committed", lambda: _awaited(committed))

    # --- saying ---

    def emit(self, type: str, data: Mapping[str, Any] | Any | None = None) -> Awaitable[None]:
        """Puts an event of your own on the run's stream; ``data`` is anything that becomes a JSON object.

        Raises InvalidEvent, EventTooLarge (48 KiB), Backpressure (far too many without ``await``), ContextClosed.
        """
        try:
            check_type(type, self._error)
        except InvalidEvent as error:
            return self._line.refuse(error)
        return self.write(type, {} if data is None else data)

    def progress(self, fraction: float, message: str | None = None) -> Awaitable[None]:
        """How far the body is, from 0 to 1: ``task.progress``; at most 20 a second, the last one always.

        A number below 0 counts as 0 and one above 1 as 1; the first one of an attempt is a warning in the log. What is
        no number, or NaN, raises InvalidEvent.
        """
        try:
            if type(fraction) is not float or not 0.0 <= fraction <= 1.0:
                fraction = self._clamped(fraction)
            data = self._encode("task.progress", {"fraction": fraction, "message": message, "level": "info"})
        except Exception as error:
            return self._line.refuse(error)
        return self._line.progress(data)

    def chunk(self, text: str) -> Awaitable[None]:
        """A piece of text, for example a token of a language model: ``task.chunk``.

        The pieces are joined, in order and without loss, into at most 20 events a second.
        """
        try:
            if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
                raise self._error(InvalidEvent, f"a chunk is text, not {text!r}")
            self._encode("task.chunk", {"text": text})  # raises where it is too large, or cannot be JSON
        except Exception as error:
            return self._line.refuse(error)
        return self._line.say(speech.chunk, (text,))

    def spend(self, *, cost: Any = 0, tokens: int = 0) -> Awaitable[None]:
        """Counts money and tokens against the budgets of this run and of its parents: ``task.spent``.

        ``cost`` is a number or a decimal as text; raises ValueError for a negative or infinite one.
        """
        try:
            check_tokens(tokens)
            spent = str(money(cost)), tokens, "spend"
        except Exception as error:
            return self._line.refuse(error)
        return self._line.say(speech.spend, spent)

    def llm_call(self, model: str, *, estimated_cost: Any = None) -> LlmCall:
        """A call of a language model, as events: ``async with ctx.llm_call("gpt-x") as call: ...; call.cost = 0.01``.

        Use ``with`` in a thread. Writes ``llm.call.started`` and, also after an error or a cancel,
        ``llm.call.completed``. Spends ``call.tokens`` and ``call.cost``; if that is not set and the call succeeds or is
        cancelled, ``estimated_cost``.
        """
        try:
            return LlmCall(self, model, None if estimated_cost is None else money(estimated_cost))
        except Exception as error:
            return LlmCall(self, model, None).refused(error, self._line.refuse(error))

    def tool_call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> ToolCall:
        """A call of a tool, as events: ``async with ctx.tool_call("search", {"q": q}) as call: call.result = ...``.

        Use ``with`` in a thread. Writes ``tool.call.started`` and, also after an error or a cancel,
        ``tool.call.completed``.
        """
        try:
            return ToolCall(self, tool, dict({} if arguments is None else arguments))
        except Exception as error:
            wrong = TypeError(f"the arguments of a tool call are a dict, not {short_repr(arguments)}")
            wrong.__cause__ = error
            return ToolCall(self, tool, {}).refused(wrong, self._line.refuse(wrong))

    # --- asking ---

    @overload
    def receive(
        self, prompt: str | None = None, *, schema: type[T], key: str | None = None, timeout: float | None = None
    ) -> PendingCall[T]: ...
    @overload
    def receive(
        self, prompt: str | None = None, *, schema: Any = None, key: str | None = None, timeout: float | None = None
    ) -> Any: ...
    def receive(
        self, prompt: str | None = None, *, schema: Any = None, key: str | None = None, timeout: float | None = None
    ) -> Any:
        """Asks somebody for a value and waits for it: ``value = await ctx.receive("approve?", schema=bool)``.

        - ``schema``: a type, to which the value is restored, or a JSON Schema. A value that does not fit is refused
          when it is sent; one that a validator of the type refuses is asked for again.
        - ``key``: the name of the question; without one it is the number of its place: ``"1"`` for the first call.
        - ``timeout``: seconds after which it raises QuestionExpired, a TimeoutError.

        Answers are recorded: a body that runs again gets the same answer to the same question, also where that was an
        expiry, and nobody is asked twice. While it waits the body holds no slot and its timeout stands still. In a
        thread it blocks and returns the value (annotate ``ctx: BlockingContext``, for a type checker). Raises
        InvalidEvent for a schema, a key or a timeout that cannot be used.
        """
        try:
            ask, form = self._question(prompt, schema, key, timeout)
        except Exception as error:
            return self._line.refuse(error)
        if self._line.blocks:
            return self._received_here(ask, form)
        return PendingCall("ctx.receive", lambda: self._received(ask, form))

    def _question(self, prompt: Any, schema: Any, key: str | None, timeout: float | None) -> tuple[speech.Ask, Form]:
        try:
            form = Form.of(schema)
        except (TypeError, ValueError) as error:
            raise self._error(InvalidEvent, f"the schema of its receive cannot be used: {error}") from error
        self._check_key(key, "a question")
        if timeout is not None and (problem := seconds_problem(timeout)) is not None:
            raise self._error(InvalidEvent, f"the timeout of its receive {problem}")
        shown = None if prompt is None else str(prompt)
        self._encode("task.waiting", {"prompt": shown, "schema": form.schema, "room": _ROOM_FOR_PROBLEM})
        return speech.Ask(next(self._places), shown, form.schema, key, timeout), form

    async def _received(self, ask: speech.Ask, form: Form) -> Any:
        while True:
            seq, value = await self._line.ask(speech.receive, ask)
            problem, restored = form.restore(value)
            if problem is None:
                return restored
            ask = ask._replace(rejected=(seq, problem))

    def _received_here(self, ask: speech.Ask, form: Form) -> Any:
        """The same for a body that blocks."""
        while True:
            seq, value = self._line.ask(speech.receive, ask)
            problem, restored = form.restore(value)
            if problem is None:
                return restored
            ask = ask._replace(rejected=(seq, problem))

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
        try:
            self._check_key(key, "a child run")
            request = workflow, dict(input or {}), key, None if budget is None else Budget.of(budget)
        except Exception as error:
            return self._line.refuse(error)
        return self._ask("ctx.run", speech.run, request)

    # --- what calls and logs are written with ---

    def write(self, type: str, data: Any) -> Awaitable[None]:
        """Writes an event of any type; a body uses ``emit``, which refuses the types of the engine."""
        try:
            encoded = self._encode(type, data)
        except Exception as error:
            return self._line.refuse(error)
        return self._line.say(speech.emit, (type, encoded))

    def count_spending(self, cost: str, tokens: int, source: str) -> Awaitable[None]:
        """Counts what a call of a language model has cost."""
        return self._line.say(speech.spend, (cost, tokens, source))

    def enter_call(self, call: str) -> object:
        """What the body does from now on belongs to the span of this call. Give what it returns to ``leave_call``."""
        return enter_call(self.traceparent, call) if self._has_spans else None

    def next_call(self) -> int:
        """The number of the next call of this attempt, from 1."""
        self._calls += 1
        return self._calls

    def _clamped(self, fraction: Any) -> float:
        """A number from 0 to 1 for anything that is a number: numpy's, a Decimal, a Fraction, an int of any size."""
        number = math.nan
        if not isinstance(fraction, (str, bytes, bytearray)):
            try:
                number = float(fraction)
            except OverflowError:  # an int with hundreds of digits
                number = math.inf if fraction > 0 else -math.inf
            except Exception:  # no number, or a user's __float__ that raises
                pass
        if math.isnan(number):
            given = short_repr(fraction) if isinstance(fraction, (str, bytes)) else preview(fraction)
            raise self._error(InvalidEvent, f"progress is a number from 0 to 1, such as done / total, not {given}")
        clamped = min(max(number, 0.0), 1.0)
        if clamped != number and not self._has_warned:
            self._has_warned = True
            self._warn(f"progress goes from 0 to 1, so {number:g} is shown as {clamped:g}; write done / total")
        return clamped

    def _warn(self, message: str) -> None:
        """Writes a warning that nobody awaits, at most once an attempt: so it does not count as un-awaited ``emit``."""
        data = self._encode("log.created", {"level": "warning", "message": message, "fields": {}})
        with suppress(ContextClosed):  # of a thread that was told to stop
            self._line.ask(speech.emit, ("log.created", data))

    def _log(self, level: str, message: str, fields: Mapping[str, Any]) -> Awaitable[None]:
        return self.write("log.created", {"level": level, "message": message, "fields": fields})

    def _check_key(self, key: str | None, of: str) -> None:
        try:
            check_key(key)
        except ValueError as error:
            raise self._error(InvalidEvent, str(error)) from None
        if key is not None and key.isdigit():
            raise self._error(
                InvalidEvent, f"the key {key!r} of {of} is a number; numbers are the keys of those without one"
            )

    def _ask(self, what: str, method: speech.Method[A], arguments: A) -> Any:
        """The answer of the run; on the loop a call that is to be awaited. ``what``: how the body writes the call."""
        if self._line.blocks:
            return self._line.ask(method, arguments)

        return PendingCall(what, lambda: _awaited(self._line.ask(method, arguments)))

    def _encode(self, type: str, data: Any) -> bytes:
        return encode_data(type, data, self._error)

    def _error(self, kind: Any, what: str) -> Exception:
        message = f"task {self.task_id} of run {self.run_id}: {what}"
        return kind(message, run_id=self.run_id, task_id=self.task_id)

    if not TYPE_CHECKING:  # else type checkers would take any attribute

        def __getattr__(self, name: str) -> Any:
            known = dict.fromkeys((*vars(self), *vars(Context), *vars(type(self))))  # in a process it is a subclass
            raise missing_attribute("ctx", name, [one for one in known if one not in _FOR_CALLS])


_FOR_CALLS: Final = ("write", "count_spending", "next_call", "enter_call")
"""Parts of a Context that are not for bodies."""


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


if TYPE_CHECKING:

    class BlockingContext(Context):
        """The Context of a ``def`` body, as a type checker sees it: there ``receive`` returns the value itself."""

        @overload
        def receive(  # pyright: ignore[reportIncompatibleMethodOverride]  # a value in place of an awaitable
            self, prompt: str | None = None, *, schema: type[T], key: str | None = None, timeout: float | None = None
        ) -> T: ...
        @overload
        def receive(
            self, prompt: str | None = None, *, schema: Any = None, key: str | None = None, timeout: float | None = None
        ) -> Any: ...
        def receive(  # pyright: ignore[reportIncompatibleMethodOverride]  # the same
            self, prompt: str | None = None, *, schema: Any = None, key: str | None = None, timeout: float | None = None
        ) -> Any: ...

else:
    BlockingContext = Context
