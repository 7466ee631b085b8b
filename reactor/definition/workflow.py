"""``Workflow``: a DAG of tasks, defined with decorators.

    flow = Workflow("census")

    @flow.task
    async def modules(root: str) -> list[str]: ...

    @flow.task(map="modules")
    def measure(modules: str) -> dict: ...

A name may refer to a task that is defined further down. At its first use, or by ``flow.validate()``, the workflow is
validated and frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Never, TypeVar, Unpack, overload

from reactor.bounds import TASK_NAME, WORKFLOW_NAME
from reactor.definition.functions import AnyFunction
from reactor.definition.graph import Graph
from reactor.definition.groups import Part, in_parallel, in_sequence
from reactor.definition.names import (
    TASK_NAME_RULE,
    WORKFLOW_NAME_RULE,
    is_name,
    names_its_options,
    unknown_options,
)
from reactor.definition.options import count_problem, function_problem, options_problem, timeout_problem
from reactor.definition.schedules import CatchUp, Overlap, ScheduleRule, schedule_name_problem
from reactor.definition.task import Group, NamedFunction, P, R, Task, TaskOptions, UnnamedOptions
from reactor.errors import WorkflowError
from reactor.events.shown import plain_copy
from reactor.events.values import short_repr

D = TypeVar("D")

_RESERVED = frozenset({"ctx", "run"})
"""Names a task cannot have: ``ctx`` is the parameter for the Context, ``run`` stands for the whole run in streams."""


RunOnce = Callable[["Workflow", Mapping[str, Any]], dict[str, Any]]
"""Runs a workflow with an input to its end and returns its outputs by task name."""

_run_once: RunOnce | None = None


def provide_run_once(run_once: RunOnce) -> None:
    """Sets what ``Workflow.run`` calls. The engine does this, because this file cannot import the engine above it."""
    global _run_once
    _run_once = run_once


@names_its_options(run="flow.run", schedule="flow.schedule")
class Workflow:
    """A DAG of tasks with a name and a version; a run is recovered only by a workflow with the same two.

    - ``timeout``: seconds a run may take before it is stopped and fails; pauses do not count.
    - ``concurrency``: how many bodies may run at once, in all runs of this workflow in one engine together.

    Raises WorkflowError for a bad name or option. Errors in the DAG as a whole (a cycle, an unknown upstream) are
    raised by ``validate()``.
    """

    def __init__(
        self, name: str, version: str = "1", *, timeout: float | None = None, concurrency: int | None = None
    ) -> None:
        if not is_name(WORKFLOW_NAME, name):
            raise WorkflowError(
                f"{short_repr(name)} is not a valid workflow name: {WORKFLOW_NAME_RULE}", workflow=str(name), task=None
            )
        for problem in (
            _version_problem(version),
            timeout_problem("timeout", timeout),
            count_problem("concurrency", concurrency),
        ):
            if problem is not None:
                raise WorkflowError(f"workflow {name!r}: {problem}", workflow=name, task=None)
        self.name = name
        self.version = version
        self.timeout = timeout
        self.concurrency = concurrency
        self.plan: dict[str, Any] | None = None
        """The plan (``plans.load``) it was made from, which is stored with each run; None if written in Python."""
        self.schedules: dict[str, tuple[ScheduleRule, dict[str, Any]]] = {}
        """What ``schedule`` was given: name -> its rule and the input of its runs."""
        self._tasks: dict[str, Task[..., Any]] = {}
        self._graph: Graph | None = None

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks by name, in the order of their definition."""
        return self._tasks

    @overload
    def task(self, function: Callable[P, R], /, **options: Unpack[UnnamedOptions]) -> Task[P, R]: ...

    # a lambda needs a name, and types for its parameters
    @overload
    def task(
        self, function: AnyFunction[R], /, *, name: str | None, **options: Unpack[UnnamedOptions]
    ) -> Task[..., R]: ...

    @overload
    def task(self, function: Callable[P, R], /, **options: Unpack[TaskOptions]) -> Task[P, R]: ...

    @overload
    def task(self, /, **options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...

    def task(
        self, function: Callable[..., Any] | None = None, /, *misplaced: Never, **options: Unpack[TaskOptions]
    ) -> Any:
        """Adds a task. A parameter with the name of a task takes its output; any other is an input of the run.

        - ``name``: the name of the task; the default is the function's name.
        - ``after``: tasks to wait for without taking their output.
        - ``needs``: parameter -> the task whose output it takes, where the two names differ.
        - ``when``: a function whose parameters bind like those of the body; if it returns false, the task is skipped.
        - ``map``: an upstream, or ``{parameter: upstream}``, that returns a list: the body runs once for each item, as
          child ``name[i]``. If the upstream is mapped itself, child i follows child i.
        - ``retry``: a ``Retry``, or the number of attempts.
        - ``timeout``: seconds an attempt may take before it is stopped and fails with ``TaskTimeout``.
        - ``executor``: ``"thread"`` (the default for ``def``) or ``"process"``, which a cancel can kill and for which
          the function must be at module level. An ``async def`` body runs on the loop.
        - ``concurrency``: how many bodies of this task may run at once in one run.
        - ``limits``: names of limits of the engine (``Engine(limits=[Limit("openai", 60, per=60)])``), or Limits.
        - ``cache``: a ``Cache``, a key function for one, or True: a known output is used and the body does not run.
        - ``on_upstream_failure``: ``"skip"`` (default) or ``"run"``: run once all upstreams have ended in any way.
        - ``meta``: JSON that events and descriptions carry for people.
        """
        if misplaced:
            example = f"flow.task(function, name={short_repr(misplaced[0])})"
            raise TypeError(f"flow.task takes one function, and its options by name, such as {example}")
        if unknown := options.keys() - TaskOptions.__annotations__.keys():
            raise unknown_options("flow.task", unknown, ("name", *UnnamedOptions.__annotations__))

        def add(function: Callable[..., Any]) -> Task[..., Any]:
            # a tool and a task of another workflow may be given like a function
            task = Task(function.function if isinstance(function, NamedFunction) else function, options)
            self._add(task)
            return task

        return add if function is None else add(function)

    def _add(self, task: Task[..., Any]) -> None:
        if problem := self._problem(task):
            raise WorkflowError(f"workflow {self.name!r}: {problem}", workflow=self.name, task=task.name)
        self._tasks[task.name] = task

    def _problem(self, task: Task[..., Any]) -> str | None:
        if self._graph is not None:
            return f"task {task.name!r} comes too late, the workflow has been frozen by its first use; define it before"
        if (problem := function_problem(repr(task.name), task.function)) is not None:
            return problem
        if not is_name(TASK_NAME, task.name):
            return f"{short_repr(task.name)} is not a valid task name ({TASK_NAME_RULE}): give name="
        if task.name in _RESERVED:
            return f"the task name {task.name!r} is reserved; give name="
        if task.name in self._tasks:
            return f"there are two tasks named {task.name!r}; give one of them another name="
        if (problem := options_problem(task)) is not None:
            return problem
        task.meta = plain_copy(task.meta)
        return None

    def schedule(
        self,
        cron: str | None = None,
        *,
        every: timedelta | None = None,
        tz: str = "UTC",
        input: Mapping[str, Any] | None = None,
        name: str | None = None,
        overlap: Overlap = "skip",
        catch_up: CatchUp = "one",
    ) -> Callable[[D], D]:
        """Each engine with this workflow starts runs of it at these times; options: those of ``engine.schedule``.

        ``flow.schedule("0 7 * * *")`` alone does it; as a decorator it leaves what it decorates as it is. When the code
        says it no longer, the schedule is paused. Raises WorkflowError.
        """
        name = self.name if name is None else name
        problem = schedule_name_problem(name)
        if problem is None and name in self.schedules:
            problem = "must be one of its own: this workflow has two of that name; give name="
        if problem is not None:
            raise WorkflowError(
                f"workflow {self.name!r}: the name of a schedule {problem}", workflow=self.name, task=None
            )
        try:
            rule = ScheduleRule.of(cron, every, tz, overlap, catch_up)
        except (TypeError, ValueError) as error:
            raise WorkflowError(f"workflow {self.name!r}: {error}", workflow=self.name, task=None) from None
        self.schedules[name] = rule, plain_copy(dict(input or {}))
        return lambda decorated: decorated

    @property
    def is_frozen(self) -> bool:
        """Whether tasks can no longer be added: true after the first use, or ``validate()``."""
        return self._graph is not None

    def sequence(self, *parts: Part) -> Group:
        """Makes each part wait for the one before it: ``flow.sequence(fetch, flow.parallel(left, right), store)``.

        It only adds to the ``after`` of existing tasks; outputs are still bound by parameter names. The group it
        returns can be a part of another group, or be given to ``after=``.
        """
        return in_sequence(self, parts)

    def parallel(self, *parts: Part) -> Group:
        """A group of parts that run side by side, to be a part of a ``sequence`` or given to ``after=``."""
        return in_parallel(self, parts)

    def validate(self) -> Graph:
        """The frozen graph; raises WorkflowError for a cycle, an unknown upstream, a parameter that cannot be bound."""
        if self._graph is None:
            self._graph = Graph.of(self)
        return self._graph

    def run(self, input: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Runs the workflow to its end, with its own event loop and memory log.

        Returns the outputs, by name, of the tasks that no other task depends on. Raises InputError or RunFailed, and
        RuntimeError inside a running loop, where you use ``await engine.start(...)`` instead.
        """
        if _run_once is None:
            raise RuntimeError("Workflow.run needs the engine: import reactor first")
        return _run_once(self, {} if input is None else input)

    def __repr__(self) -> str:
        return f"<Workflow {self.name} {self.version}, {len(self._tasks)} tasks>"


def _version_problem(version: object) -> str | None:
    return (
        None if isinstance(version, str) and version else f'version must be text, like "2", not {short_repr(version)}'
    )
