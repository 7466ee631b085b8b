"""``Task``: a function and the options it is run with; ``Group``: tasks that are one part of a workflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, ParamSpec, TypedDict, TypeVar, cast, get_args

from reactor.definition.functions import AnyFunction
from reactor.definition.policy import Cache, Limit, Retry
from reactor.events.values import named
from reactor.events.vocabulary.run import GroupData

P = ParamSpec("P")
R = TypeVar("R")

ExecutorName = Literal["loop", "thread", "process"] | str
"""One of ``definition.executors.EXECUTORS``."""
OnUpstreamFailure = Literal["skip", "run"]

ON_UPSTREAM_FAILURE: Final[tuple[str, ...]] = get_args(OnUpstreamFailure)


class UnnamedOptions(TypedDict, total=False):
    """The options of a task but its name; the docstring of ``Workflow.task`` explains each."""

    after: str | Task[..., Any] | Group | Sequence[str | Task[..., Any] | Group]
    needs: Mapping[str, str | Task[..., Any]]
    when: AnyFunction[Any] | None
    map: str | Task[..., Any] | Mapping[str, str | Task[..., Any]] | None
    retry: Retry | int | None
    timeout: float | None
    executor: ExecutorName | None
    concurrency: int | None
    limits: str | Limit | Sequence[str | Limit]
    cache: Cache | AnyFunction[Any] | bool | None
    on_upstream_failure: OnUpstreamFailure
    meta: Mapping[str, Any]


class TaskOptions(UnnamedOptions, total=False):
    """All options of a task."""

    name: str | None


class NamedFunction(Generic[P, R]):
    """A function under a name: a task or a tool. Calling it calls the function."""

    __slots__ = ("function", "name")

    def __init__(self, function: Callable[P, R], name: str) -> None:
        self.function = function
        self.name = name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)


class Task(NamedFunction[P, R]):
    """One task of a workflow: a function and its options. Calling it calls the function, as a unit test does."""

    __slots__ = (
        "after",
        "cache",
        "concurrency",
        "executor",
        "given",
        "group",
        "limits",
        "map",
        "meta",
        "needs",
        "on_upstream_failure",
        "retry",
        "timeout",
        "tool",
        "when",
    )

    def __init__(self, function: Callable[P, R], options: TaskOptions) -> None:
        super().__init__(function, options.get("name") or getattr(function, "__name__", type(function).__name__))
        self.after: tuple[str | Task[..., Any] | Group, ...] = _several(options.get("after", ()))
        self.needs = _members(options.get("needs"))
        self.when = options.get("when")
        self.map = options.get("map")
        self.retry = _retry(options.get("retry"))
        self.timeout = options.get("timeout")
        self.executor = options.get("executor")
        self.concurrency = options.get("concurrency")
        self.limits: tuple[str | Limit, ...] = _several(options.get("limits", ()))
        self.cache = _cache(options.get("cache"))
        self.on_upstream_failure: str = options.get("on_upstream_failure", "skip")
        self.meta = _members(options.get("meta"))
        self.given: Mapping[str, Any] = {}
        """Parameter -> value, with references to upstreams. Only a task that comes from a plan has any."""
        self.tool: str | None = None
        """The name of the tool it runs, for a task that comes from a plan."""
        self.group: GroupData | None = None
        """Its place in the innermost group it is part of. The fingerprint does not depend on it."""

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


class Group(NamedTuple):
    """What ``flow.sequence`` and ``flow.parallel`` return: the tasks the group begins with, and those it ends with."""

    first: tuple[Task[..., Any], ...]
    last: tuple[Task[..., Any], ...]


def _several(option: Any) -> tuple[Any, ...]:
    """A tuple from one value or several. ``options_problem`` checks the types."""
    if isinstance(option, (str, Group)) or not isinstance(option, Iterable):
        return (option,)
    return tuple(cast(Iterable[Any], option))


def _members(option: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy of an object. ``options_problem`` checks the type."""
    if option is None:
        return {}
    return dict(option) if isinstance(option, Mapping) else option  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker


def _retry(option: Retry | int | None) -> Retry | None:
    """A whole number is the number of attempts. ``options_problem`` checks the type."""
    if isinstance(option, int) and not isinstance(option, bool) and option > 0:
        return Retry(attempts=option)
    return cast("Retry | None", option)


def _cache(option: Cache | Callable[..., Any] | bool | None) -> Any:
    """True is a default Cache, a function is its key. ``options_problem`` checks the type."""
    if option is True:
        return Cache()
    if option is False:
        return None
    if option is None or isinstance(option, Cache) or not callable(option):
        return option
    return Cache(key=option)


def task_id_of(task: object) -> str:
    """The id of a task that is given by its id or as the Task itself. Raises TypeError for anything else."""
    if isinstance(task, Task):
        return task.name
    if isinstance(task, str):
        return task
    raise TypeError(f"a task is named by its id, like measure or measure[3], or is the Task itself, not {named(task)}")
