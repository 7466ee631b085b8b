"""Groups of tasks for readability: what comes one after the other, and what side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NoReturn, Protocol

from reactor.definition.task import Group, Task
from reactor.errors import WorkflowError


class Tasks(Protocol):
    """The workflow whose tasks are grouped."""

    name: str

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]: ...
    @property
    def is_frozen(self) -> bool: ...


Part = str | Task[..., Any] | Group
"""A task, its name, or a group."""


def in_sequence(flow: Tasks, parts: tuple[Part, ...]) -> Group:
    """Adds the edges from each part to the next; raises WorkflowError for what is no part of this workflow."""
    groups = [_group(flow, part, "sequence") for part in parts]
    if not groups:
        _fail(flow, "a sequence of no tasks")
    if flow.is_frozen:
        _fail(flow, "a sequence comes too late, the workflow is frozen since its first use")
    for before, following in pairwise(groups):
        for task in following.first:
            task.after = tuple(dict.fromkeys((*task.after, *before.last)))
    return Group(groups[0].first, groups[-1].last)


def in_parallel(flow: Tasks, parts: tuple[Part, ...]) -> Group:
    """The parts as one, without edges between them; raises WorkflowError for what is no part of this workflow."""
    groups = [_group(flow, part, "parallel") for part in parts]
    if not groups:
        _fail(flow, "parallel of no tasks")
    first = tuple(dict.fromkeys(task for group in groups for task in group.first))
    return Group(first, tuple(dict.fromkeys(task for group in groups for task in group.last)))


def _group(flow: Tasks, part: Part, of: str) -> Group:
    if isinstance(part, Group):
        if any(flow.tasks.get(task.name) is not task for task in (*part.first, *part.last)):
            _fail(flow, f"{of} is given a group of another workflow")
        return part
    if not isinstance(part, (str, Task)):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        _fail(flow, f"{of} takes tasks, their names and groups, not a {type(part).__name__}")
    name = part.name if isinstance(part, Task) else part
    task = flow.tasks.get(name)
    if task is None or (isinstance(part, Task) and part is not task):
        _fail(flow, f"{of} names {name!r}, which is no task of this workflow (yet)")
    return Group((task,), (task,))


def _fail(flow: Tasks, problem: str) -> NoReturn:
    raise WorkflowError(f"workflow {flow.name!r}: {problem}", workflow=flow.name, task=None)
