"""``Task``: a function and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, ParamSpec, TypedDict, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class TaskOptions(TypedDict, total=False):
    """The options of a task; ``Workflow.task`` says what each does."""

    name: str | None
    after: str | Task[..., Any] | Sequence[str | Task[..., Any]]
    needs: Mapping[str, str | Task[..., Any]]
    when: Callable[..., Any] | None
    map: str | Task[..., Any] | Mapping[str, str | Task[..., Any]] | None
    concurrency: int | None
    on_upstream_failure: Literal["skip", "run"]
    meta: Mapping[str, Any]


class Task(Generic[P, R]):
    """One task of a workflow: a function and how it is run. Calling it calls the function, as in a unit test."""

    __slots__ = ("after", "concurrency", "function", "map", "meta", "name", "needs", "on_upstream_failure", "when")

    def __init__(self, function: Callable[P, R], options: TaskOptions) -> None:
        after = options.get("after", ())
        self.function = function
        self.name = options.get("name") or getattr(function, "__name__", type(function).__name__)
        self.after: tuple[str | Task[..., Any], ...] = (after,) if isinstance(after, (str, Task)) else tuple(after)
        self.needs = dict(options.get("needs") or {})
        self.when = options.get("when")
        self.map = options.get("map")
        self.concurrency = options.get("concurrency")
        self.on_upstream_failure: str = options.get("on_upstream_failure", "skip")
        self.meta = dict(options.get("meta") or {})

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"
