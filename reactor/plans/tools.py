"""Tools: functions that a DAG which is data (``plans.load``) may name.

    @tool
    async def fetch(url: str, limit: int = 10) -> dict: ...

    @tool(name="text.count", executor="process")
    def count(text: str, ctx: Context) -> int: ...

A tool is a function at module level, registered for the whole process when its module is imported. It stays callable.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn, overload

from reactor.bounds import TOOL_NAME
from reactor.definition.binding import MISSING, RunInput, Signature, input_schema, signature_of
from reactor.definition.options import options_problem
from reactor.definition.policy import Limit
from reactor.definition.task import NamedFunction, P, R, Task
from reactor.errors import WorkflowError
from reactor.events.values import dumps

Where = Literal["loop", "thread", "process"]

_REGISTERED: Final[dict[str, Tool[..., Any]]] = {}


class Tool(NamedFunction[P, R]):
    """A function under a name, and how it is run; calling it calls the function. Not registered by being made.

    ``executor``, ``limits`` and ``concurrency`` are those of ``Workflow.task``. Raises WorkflowError for a name that
    is none, for parameters that cannot be given by name, and for options that cannot be.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        executor: Where | None = None,
        limits: str | Limit | Sequence[str | Limit] = (),
        concurrency: int | None = None,
    ) -> None:
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
        self.executor: Where | None = executor
        self.limits = task.limits
        self.concurrency = concurrency
        self._check(task)

    @property
    def description(self) -> str:
        """The function's docstring."""
        return inspect.cleandoc(self.function.__doc__ or "")

    @property
    def signature(self) -> Signature:
        """The parameters by name, without the context."""
        return signature_of(self.function)

    @functools.cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of what a document gives it."""
        parameters = self.signature.parameters
        return input_schema(
            {name: RunInput(name, kind, default is MISSING, default, ()) for name, default, kind in parameters}
        )

    def describe(self) -> dict[str, Any]:
        """As it stands in ``GET /tools``."""
        return {"name": self.name, "description": self.description, "input_schema": self.input_schema}

    def _check(self, task: Task[P, R]) -> None:
        if not isinstance(self.name, str) or not TOOL_NAME.fullmatch(self.name):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
            self._fail("its name must be a letter or _, then up to 63 letters, digits, _ . -; give name=")
        if self.name.split(".")[0] == "reactor":
            self._fail("names that begin with 'reactor' are reserved")
        if (problem := options_problem(task)) is not None:
            self._fail(problem)
        try:
            # not from the cache: annotations may name what is only defined further down the module
            signature = signature_of.__wrapped__(self.function)
        except (TypeError, ValueError) as error:
            self._fail(str(error))
        for name, default, _ in signature.parameters:
            self._check_default(name, default)

    def _check_default(self, name: str, default: Any) -> None:
        try:
            dumps(None if default is MISSING else default)
        except (TypeError, RecursionError):
            self._fail(f"the default of parameter {name!r} is not JSON: {type(default).__name__}")

    def _fail(self, problem: str) -> NoReturn:
        raise WorkflowError(f"tool {self.name!r}: {problem}", workflow="", task=None, tool=self.name)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"


def tools() -> Mapping[str, Tool[..., Any]]:
    """The registered tools by name, as they are at any time."""
    return MappingProxyType(_REGISTERED)


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    executor: Where | None = None,
    limits: str | Limit | Sequence[str | Limit] = (),
    concurrency: int | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(function: Callable[P, R] | None = None, /, **options: Any) -> Any:
    """Registers a function as a tool; raises WorkflowError where another function has its name.

    The same function again, as when its module is imported anew, takes the place of the old one.
    """

    def register(function: Callable[P, R]) -> Tool[P, R]:
        made = Tool(function, **options)
        taken = _REGISTERED.get(made.name)
        if taken is not None and not _is_same(taken.function, function):
            raise WorkflowError(
                f"tool {made.name!r}: {_place(taken.function)} is registered under this name, "
                f"{_place(function)} needs another (name=)",
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
    return _place(one) == _place(other) and "<" not in getattr(one, "__qualname__", "<")  # no lambdas, no closures


def _place(function: Callable[..., Any]) -> str:
    kind = type(function)
    return f"{getattr(function, '__module__', kind.__module__)}.{getattr(function, '__qualname__', kind.__qualname__)}"
