"""Random DAGs as plain data, the workflow each describes, and what must come of it.

``expected`` is a second, independent reading of the semantics (not of the engine): it knows no event, no loop and no
order of time, only what depends on what.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from reactor import Context, Retry, Workflow

MAX_TASKS = 25
MAX_THREADS = 3
"""``def`` bodies a DAG has at most: a thread costs more than the rest of an example."""


class Boom(Exception):
    """What a body raises that fails on purpose."""


@dataclass(frozen=True)
class TaskSpec:
    """One task as data. ``map_over`` is the upstream it maps; ``upstreams`` are the others."""

    name: str
    upstreams: tuple[str, ...] = ()
    map_over: str | None = None
    is_async: bool = True
    behaviour: str = "value"
    """Of a task: ``value`` (no list), ``list`` (of ``length``), ``echo`` (the first list it was given), ``fail``."""
    length: int = 0
    fails_at: frozenset[int] = frozenset()
    """Of a mapped task: the children that fail."""
    turns: int = 0
    """Times it gives way to others before it ends."""
    delay_ms: int = 0
    when: str | None = None
    """``true false raise``, or ``even``: false for children whose item is odd."""
    runs_on_failure: bool = False
    concurrency: int | None = None
    fails_first: int = 0
    """Attempts that fail and are retried, before the one that does what ``behaviour`` says."""
    receives: int = 0
    """Values each of its bodies waits for; it says ``value.got`` of each."""
    checkpoints: int = 0
    runs_child: bool = False
    """Each of its bodies waits for a child run, of two tasks."""

    @property
    def taken(self) -> tuple[str, ...]:
        """The upstreams whose output is a parameter; the others are only waited for."""
        return self.upstreams[::2]

    @property
    def everything_upstream(self) -> tuple[str, ...]:
        return self.upstreams if self.map_over is None else (self.map_over, *self.upstreams)


Spec = tuple[TaskSpec, ...]


# --- the strategy -----------------------------------------------------------------------------------------------


@st.composite
def dags(draw: st.DrawFn, max_tasks: int = MAX_TASKS) -> Spec:
    """DAGs of up to ``max_tasks`` tasks: maps, maps over maps, failures, conditions, threads, limits, delays."""
    count = draw(st.integers(1, max_tasks))
    tasks: list[TaskSpec] = []
    threads = 0
    for i in range(count):
        names = [task.name for task in tasks]
        upstreams = draw(st.lists(st.sampled_from(names), max_size=min(4, len(names)), unique=True)) if names else []
        map_over = upstreams.pop(0) if upstreams and draw(st.integers(0, 2)) == 0 else None
        is_async = threads >= MAX_THREADS or draw(st.integers(0, 11)) > 0
        threads += not is_async
        tasks.append(
            TaskSpec(
                name=f"t{i}",
                upstreams=tuple(upstreams),
                map_over=map_over,
                is_async=is_async,
                behaviour=draw(st.sampled_from(["list", "list", "list", "echo", "value", "fail"])),
                length=draw(st.integers(0, 5)),
                fails_at=draw(st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 4), max_size=2))),
                turns=draw(st.integers(0, 3)),
                delay_ms=draw(st.sampled_from([0, 0, 0, 1, 3])),
                when=draw(st.sampled_from([None, None, None, None, "true", "false", "raise", "even", "even"])),
                runs_on_failure=draw(st.integers(0, 2)) == 0,
                concurrency=draw(st.sampled_from([None, None, 1, 2])),
            )
        )
    return tuple(tasks)


@st.composite
def controlled_dags(draw: st.DrawFn, max_tasks: int = 8) -> Spec:
    """Smaller ones whose bodies wait, fail and try again, pass checkpoints, and ask for child runs."""
    return tuple(
        replace(
            task,
            fails_first=draw(st.sampled_from([0, 0, 0, 1, 2])),
            receives=draw(st.sampled_from([0, 0, 1, 1, 2])),
            checkpoints=draw(st.integers(0, 2)),
            runs_child=draw(st.sampled_from([False, False, False, True])),
            length=min(task.length, 3),
        )
        for task in draw(dags(max_tasks))
    )


# --- the workflow -----------------------------------------------------------------------------------------------


def build(spec: Spec) -> Workflow:
    """The workflow of a spec."""
    flow = Workflow("random")
    child = child_workflow()
    for task in spec:
        options: dict[str, Any] = {
            "name": task.name,
            "after": tuple(name for name in task.upstreams if name not in task.taken),
            "on_upstream_failure": "run" if task.runs_on_failure else "skip",
            "concurrency": task.concurrency,
        }
        if task.fails_first:
            options["retry"] = Retry(attempts=task.fails_first + 1, delay=0.0005, jitter=0)
        if task.map_over is not None:
            options["map"] = {"item": task.map_over}
        if task.when is not None:
            options["when"] = _condition(task)
        flow.task(_body(task, child), **options)
    return flow


def child_workflow() -> Workflow:
    """a -> b, which passes a checkpoint."""
    flow = Workflow("kid")

    @flow.task
    async def a(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @flow.task
    async def b(a: int, ctx: Context) -> int:
        await ctx.checkpoint()
        return a + 1

    return flow


def _with_parameters(function: Callable[..., Any], names: Iterable[str]) -> Callable[..., Any]:
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def _condition(task: TaskSpec) -> Callable[..., Any]:
    def condition(**given: Any) -> bool:
        if task.when == "raise":
            raise Boom(f"condition of {task.name}")
        return task.when == "true" or (task.when == "even" and not _is_odd(given.get("item")))

    return _with_parameters(condition, ["item"] if task.map_over is not None else [])


def _is_odd(item: Any) -> bool:
    return isinstance(item, int) and item % 2 == 1


def _body(task: TaskSpec, child: Workflow) -> Callable[..., Any]:
    async def async_body(**given: Any) -> Any:
        ctx: Context = given["ctx"]
        _note(ctx)
        for k in range(task.receives):
            await ctx.emit("value.got", {"k": k, "value": await ctx.receive(f"value {k}")})
        for _ in range(task.checkpoints):
            await ctx.checkpoint()
            await asyncio.sleep(0)
        if task.runs_child:
            assert await ctx.run(child, {"n": 1}) == {"b": 2}
        for _ in range(task.turns):
            await asyncio.sleep(0)
        if task.delay_ms:
            await asyncio.sleep(task.delay_ms / 1000)
        return _result(task, given)

    def thread_body(**given: Any) -> Any:
        ctx: Context = given["ctx"]
        _note(ctx)
        for k in range(task.receives):
            ctx.emit("value.got", {"k": k, "value": ctx.receive(f"value {k}")})
        for _ in range(task.checkpoints):
            ctx.checkpoint()
        if task.runs_child:
            assert ctx.run(child, {"n": 1}) == {"b": 2}
        time.sleep(task.delay_ms / 1000)
        return _result(task, given)

    names = [*task.taken, "ctx"] if task.map_over is None else [*task.taken, "item", "ctx"]
    return _with_parameters(async_body if task.is_async else thread_body, names)


def _note(ctx: Context) -> None:
    """That a body really runs, for whoever gave the engine a list for it."""
    if "ran" in ctx.resources:
        ctx.resources["ran"].append(ctx.task_id)


def _result(task: TaskSpec, given: dict[str, Any]) -> Any:
    if given["ctx"].attempt <= task.fails_first:
        raise Boom(f"attempt {given['ctx'].attempt} of {task.name}")
    if task.map_over is not None:
        index = given["ctx"].map_index
        if index in task.fails_at:
            raise Boom(f"{task.name}[{index}]")
        return index
    if task.behaviour == "fail":
        raise Boom(task.name)
    return _value(task, [given[name] for name in task.taken])


def _value(task: TaskSpec, given: list[Any]) -> Any:
    if task.behaviour == "list":
        return list(range(task.length))
    if task.behaviour == "echo":
        return next((value for value in given if isinstance(value, list)), [])
    return 7


# --- what must come of it ---------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """How one task ends. ``origins``: the (reason, because) that whoever it skips may carry."""

    status: str
    output: Any = None
    origins: set[tuple[str, str]] = field(default_factory=set)
    children: list[Outcome] | None = None
    """Of a mapped task that fanned out."""

    @property
    def is_left_out(self) -> bool:
        """Skipped by a condition, which a list does without."""
        return self.status == "skipped" and {reason for reason, _ in self.origins} == {"condition"}


@dataclass
class Expected:
    """``statuses`` by task id, children included; ``totals`` of tasks that run a body."""

    statuses: dict[str, str]
    run_status: str
    totals: dict[str, int]
    outcomes: dict[str, Outcome]
    """By task id, children included."""
    outputs: dict[str, Any]
    """Of the tasks nobody depends on that completed."""


def expected(spec: Spec) -> Expected:
    """What the semantics say comes of a spec, whatever the interleaving."""
    ends: dict[str, Outcome] = {}
    for task in spec:
        ends[task.name] = _end_of_task(task, ends) if task.map_over is None else _end_of_map(task, ends)
    outcomes = dict(ends)
    bodies: list[Outcome] = []
    for task in spec:
        children = ends[task.name].children or []
        outcomes.update({f"{task.name}[{i}]": child for i, child in enumerate(children)})
        bodies += [ends[task.name]] if task.map_over is None else children
    totals = {"total_tasks": len(bodies)} | {
        status: sum(body.status == status for body in bodies)
        for status in ("completed", "failed", "skipped", "cancelled")
    }
    taken = {name for task in spec for name in task.everything_upstream}
    return Expected(
        statuses={id: outcome.status for id, outcome in outcomes.items()},
        run_status="failed" if _unhandled(spec, ends) else "completed",
        totals=totals,
        outcomes=outcomes,
        outputs={
            task.name: ends[task.name].output
            for task in spec
            if task.name not in taken and ends[task.name].status == "completed"
        },
    )


def _failed(id: str) -> Outcome:
    return Outcome("failed", origins={("upstream_failed", id)})


def _own_condition(task: TaskSpec, id: str, item: Any = None) -> Outcome | None:
    if task.when == "raise":
        return _failed(id)
    if task.when == "false" or (task.when == "even" and _is_odd(item)):
        return Outcome("skipped", origins={("condition", id)})
    return None


def _skipped_by(blockers: Iterable[Outcome]) -> Outcome:
    return Outcome("skipped", origins=set[tuple[str, str]]().union(*(blocker.origins for blocker in blockers)))


def _end_of_task(task: TaskSpec, ends: dict[str, Outcome]) -> Outcome:
    blockers = [ends[name] for name in task.upstreams if ends[name].status != "completed"]
    if blockers and not task.runs_on_failure:
        return _skipped_by(blockers)
    if (decided := _own_condition(task, task.name)) is not None:
        return decided
    if task.behaviour == "fail":
        return _failed(task.name)
    return Outcome("completed", _value(task, [ends[name].output for name in task.taken]))


def _end_of_map(task: TaskSpec, ends: dict[str, Outcome]) -> Outcome:
    source = ends[task.map_over or ""]
    if source.children is None and source.status != "completed":
        return _skipped_by([source])  # no list, whatever the policy
    blockers = [ends[name] for name in task.upstreams if ends[name].status != "completed"]
    if blockers and not task.runs_on_failure:
        return _skipped_by(blockers)
    if source.children is not None:
        children = [_end_of_child(task, i, pair.output, pair) for i, pair in enumerate(source.children)]
    elif isinstance(source.output, list):
        children = [_end_of_child(task, i, item, None) for i, item in enumerate(source.output)]
    else:
        return _failed(task.name)
    failed = [child for child in children if child.status == "failed"]
    blocked = [child for child in children if child.status == "skipped" and not child.is_left_out]
    if failed:
        return Outcome("failed", origins=_skipped_by([*failed, *blocked]).origins, children=children)
    if blocked:
        return Outcome("skipped", origins=_skipped_by(blocked).origins, children=children)
    return Outcome("completed", [c.output for c in children if c.status == "completed"], children=children)


def _end_of_child(task: TaskSpec, index: int, item: Any, pair: Outcome | None) -> Outcome:
    id = f"{task.name}[{index}]"
    if pair is not None and pair.status != "completed" and not task.runs_on_failure:
        return _skipped_by([pair])
    if (decided := _own_condition(task, id, item)) is not None:
        return decided
    return _failed(id) if index in task.fails_at else Outcome("completed", index)


def _unhandled(spec: Spec, ends: dict[str, Outcome]) -> list[str]:
    """Failed tasks of which no dependent, looked for through skipped ones, ran with ``on_upstream_failure="run"``."""
    dependents = {task.name: [d for d in spec if task.name in d.everything_upstream] for task in spec}

    def is_handled(name: str) -> bool:
        for dependent in dependents[name]:
            if ends[dependent.name].status == "skipped":
                if is_handled(dependent.name):
                    return True
            elif dependent.runs_on_failure:
                return True
        return False

    return [task.name for task in spec if ends[task.name].status == "failed" and not is_handled(task.name)]
