"""``when=``: whether a task that is ready runs at all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from reactor.context.context import Context
from reactor.context.line import LocalLine
from reactor.definition.binding import CONTEXT, Parameter
from reactor.events.values import preview
from reactor.tasks.arguments import bind
from reactor.tasks.voice import TaskVoice

if TYPE_CHECKING:
    from reactor.tasks.body import TaskActor


def wanted(actor: TaskActor, condition: Callable[..., Any]) -> bool:
    """Asks the condition; fails the task where it raises."""
    try:
        return bool(asked(actor, condition, actor.node.when, "condition"))
    except BaseException as error:  # a CancelledError of the user's own, too, is only this task's
        actor.fail(error)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise  # the process's
        return False


def asked(actor: TaskActor, function: Callable[..., Any], parameters: Iterable[Parameter], of: str) -> Any:
    """What a function beside the body says, on the loop; its Context speaks for the attempt to come."""
    parameters = tuple(parameters)
    arguments = bind(actor, parameters)
    context = next((parameter.name for parameter in parameters if parameter.kind == CONTEXT), None)
    if context is None:
        return _decided(function(**arguments), of)
    voice = TaskVoice(actor, None)
    line = LocalLine(voice, run_id=actor.scope.run_id, task_id=actor.task_id)
    try:
        return _decided(function(**arguments, **{context: Context(actor.scope.attempt_of(actor), line)}), of)
    finally:
        voice.close()


def _decided(answer: Any, of: str) -> Any:
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"the {of} returned {preview(answer)}; it decides at once, without await")
    return answer
