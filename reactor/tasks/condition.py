"""``when=``: whether a task that is ready runs at all. Also calls cache keys, which are asked in the same way."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from reactor.context.context import Context
from reactor.context.line import LocalLine
from reactor.definition.binding import CONTEXT, Parameter
from reactor.events.values import preview
from reactor.interrupts import is_from_signal
from reactor.tasks.arguments import bind
from reactor.tasks.attempts import attempt_of
from reactor.tasks.scope import Body
from reactor.tasks.voice import TaskVoice


def condition_holds(body: Body, condition: Callable[..., Any]) -> bool:
    """Whether the condition says yes. Where it raises, the task fails and the answer is no."""
    try:
        return bool(call_on_loop(body, condition, body.node.when, "condition"))
    except BaseException as error:  # a CancelledError raised by the user's code is also only this task's failure
        body.fail(error)
        if is_from_signal(error):
            raise
        return False


def call_on_loop(body: Body, function: Callable[..., Any], parameters: Iterable[Parameter], of: str) -> Any:
    """Calls a condition or a cache key on the loop. Its Context, if it takes one, is that of the next attempt.

    ``of`` names the function in errors. Raises TypeError where it returns an awaitable.
    """
    parameters = tuple(parameters)
    arguments = bind(body, parameters)
    context = next((parameter.name for parameter in parameters if parameter.kind == CONTEXT), None)
    if context is None:
        return _checked_answer(function(**arguments), of)
    voice = TaskVoice(body, None)
    line = LocalLine(voice, run_id=body.scope.run_id, task_id=body.task_id)
    try:
        return _checked_answer(function(**arguments, **{context: Context(attempt_of(body), line)}), of)
    finally:
        voice.close()


def _checked_answer(answer: Any, of: str) -> Any:
    if inspect.isawaitable(answer):
        if isinstance(answer, Coroutine):
            answer.close()
        raise TypeError(f"the {of} returned {preview(answer)}; it decides at once, without await")
    return answer
