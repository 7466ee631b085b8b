"""Tools: the functions that the tasks of a plan (``plans.load``) may name.

    @tool
    async def fetch(url: str, limit: int = 10) -> dict: ...

    @tool(name="text.count", executor="process")
    def count(text: str, ctx: Context) -> int: ...

A tool is a function at module level. It is registered for the whole process when its module is imported, and calling
it still calls the function.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast, overload

from reactor.bounds import TOOL_NAME
from reactor.definition.binding import MISSING, Signature, signature_of
from reactor.definition.inputs import RunInput, default_problem, input_schema
from reactor.definition.names import TOOL_NAME_RULE, unknown_options
from reactor.definition.options import options_problem
from reactor.definition.policy import Limit
from reactor.definition.task import ExecutorName, NamedFunction, P, R, Task
from reactor.errors import WorkflowError
from reactor.events.values import named
from reactor.requests import several

_REGISTERED: Final[dict[str, Tool[..., Any]]] = {}
_OPTIONS: Final = ("name", "executor", "limits", "concurrency")


class Tool(NamedFunction[P, R]):
    """A function with a name and options; calling it calls the function. Only ``@tool`` registers it.

    ``executor``, ``limits`` and ``concurrency`` mean the same as in ``Workflow.task``. Raises WorkflowError for a bad
    name or option, and for a parameter that cannot be given by name or has a default that is not JSON.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        executor: ExecutorName | None = None,
        limits: str | Limit | Sequence[str | Limit] = (),
        concurrency: int | None = None,
    ) -> None:
        if not callable(function) or isinstance(function, type):
            raise WorkflowError(
                f"a tool must be a function, not {named(function)}; its name is given as name=",
                workflow="",
                task=None,
                tool=name,
            )
        task = Task(
            function,
            {
                "name": name or getattr(function, "__name__", None),
                "executor": executor,
                "limits": limits,
                "concurrency": concurrency,
            },
        )
        functools.update_wrapper(self, function, updated=())
        super().__init__(function, task.name)
        self.executor: ExecutorName | None = executor
        self.limits = task.limits
        self.concurrency = concurrency
        self._check(task)

    @property
    def description(self) -> str:
        """The function's docstring."""
        return inspect.cleandoc(self.function.__doc__ or "")

    @property
    def signature(self) -> Signature:
        """What the function takes and returns."""
        return signature_of(self.function)

    @functools.cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of a task's ``input``."""
        parameters = self.signature.parameters
        return input_schema(
            {name: RunInput(name, kind, default is MISSING, default, ()) for name, default, kind in parameters}
        )

    def describe(self) -> dict[str, Any]:
        """The tool in the answer of ``GET /tools``: ``{name, description, input_schema}``."""
        return {"name": self.name, "description": self.description, "input_schema": self.input_schema}

    def _check(self, task: Task[P, R]) -> None:
        if not isinstance(self.name, str) or not TOOL_NAME.fullmatch(self.name):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            self._fail(f"its name must be {TOOL_NAME_RULE}: give name=")
        if self.name.split(".")[0] == "reactor":
            self._fail("names that begin with 'reactor' are reserved")
        if (problem := options_problem(task)) is not None:
            self._fail(problem)
        try:
            # not cached: annotations may name classes that are defined further down in the module
            signature = signature_of.__wrapped__(self.function)
        except (TypeError, ValueError) as error:
            self._fail(str(error))
        for name, default, _ in signature.parameters:
            if (problem := default_problem(f"parameter {name!r}", default)) is not None:
                self._fail(problem)

    def _fail(self, problem: str) -> NoReturn:
        raise WorkflowError(f"tool {self.name!r}: {problem}", workflow="", task=None, tool=self.name)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"


def tools() -> Mapping[str, Tool[..., Any]]:
    """A live view of the registered tools by name."""
    return MappingProxyType(_REGISTERED)


def tools_by_name(tools: Iterable[Tool[..., Any]]) -> dict[str, Tool[..., Any]]:
    """Raises TypeError for what is not a tool, ValueError where two tools have the same name."""
    named: dict[str, Tool[..., Any]] = {}
    for one in cast("tuple[Tool[..., Any], ...]", several(tools, Tool, "tools", "a function becomes one with @tool")):
        if named.setdefault(one.name, one) is not one:
            raise ValueError(f"there are two tools named {one.name!r}")
    return named


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    executor: ExecutorName | None = None,
    limits: str | Limit | Sequence[str | Limit] = (),
    concurrency: int | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(function: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Registers a function as a tool; raises WorkflowError if another function has its name.

    If its module is imported again, the new function replaces the old one.
    """

    if unknown := options.keys() - set(_OPTIONS):
        raise unknown_options("@tool", unknown, _OPTIONS)

    def register(function: Callable[P, R]) -> Tool[P, R]:
        made = Tool(function, **options)
        taken = _REGISTERED.get(made.name)
        if taken is not None and not _is_same(taken.function, function):
            raise WorkflowError(
                f"tool {made.name!r}: {_place(taken.function)} is registered under this name already; "
                f"give {_place(function)} another one with name=",
                workflow="",
                task=None,
                tool=made.name,
            )
        _REGISTERED[made.name] = made
        return made

    return register if function is None else register(function)


def _is_same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    if one is other:
        return True
    return _place(one) == _place(other) and "<" not in getattr(one, "__qualname__", "<")  # "<": a lambda or closure


def _place(function: Callable[..., Any]) -> str:
    kind = type(function)
    return f"{getattr(function, '__module__', kind.__module__)}.{getattr(function, '__qualname__', kind.__qualname__)}"
