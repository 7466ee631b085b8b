"""Groups of tasks: parts of a workflow that run one after the other (``sequence``) or side by side (``parallel``)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, NoReturn, Protocol

from reactor.definition.names import did_you_mean, known_names
from reactor.definition.task import Group, Task
from reactor.errors import WorkflowError
from reactor.events.values import short_repr


class Tasks(Protocol):
    """What groups need to know of a ``Workflow``."""

    name: str

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]: ...
    @property
    def is_frozen(self) -> bool: ...


Part = str | Task[..., Any] | Group
"""A task, its name, or a group."""


def in_sequence(flow: Tasks, parts: tuple[Part, ...]) -> Group:
    """Makes each part wait for the one before; raises WorkflowError for a part that is not of this workflow."""
    groups = [_group(flow, part, "sequence") for part in parts]
    if not groups:
        _fail(flow, "flow.sequence needs at least one task")
    if flow.is_frozen:
        _fail(flow, "flow.sequence comes too late, the workflow has been frozen by its first use")
    _place(parts, groups, "sequence")
    for before, following in pairwise(groups):
        for task in following.first:
            task.after = tuple(dict.fromkeys((*task.after, *before.last)))
    return Group(groups[0].first, groups[-1].last)


def in_parallel(flow: Tasks, parts: tuple[Part, ...]) -> Group:
    """One group of all parts, with no order between them; raises WorkflowError for a part not of this workflow."""
    groups = [_group(flow, part, "parallel") for part in parts]
    if not groups:
        _fail(flow, "flow.parallel needs at least one task")
    if not flow.is_frozen:
        _place(parts, groups, "parallel")
    first = tuple(dict.fromkeys(task for group in groups for task in group.first))
    return Group(first, tuple(dict.fromkeys(task for group in groups for task in group.last)))


def _place(parts: tuple[Part, ...], groups: list[Group], kind: Literal["parallel", "sequence"]) -> None:
    """Tells each task that is a part of the group itself; one that is in a group already stays there."""
    for index, (part, group) in enumerate(zip(parts, groups, strict=True)):
        if not isinstance(part, Group) and group.first[0].group is None:
            group.first[0].group = {"kind": kind, "index": index, "total": len(parts)}


def _group(flow: Tasks, part: Part, of: str) -> Group:
    if isinstance(part, Group):
        if any(flow.tasks.get(task.name) is not task for task in (*part.first, *part.last)):
            _fail(flow, f"flow.{of} was given a group of another workflow")
        return part
    if not isinstance(part, (str, Task)):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        _fail(flow, f"flow.{of} takes tasks, names of tasks and groups, not {_described(part)}")
    name = part.name if isinstance(part, Task) else part
    task = flow.tasks.get(name)
    if task is None or (isinstance(part, Task) and part is not task):
        known = did_you_mean(name, flow.tasks) or f"; its tasks so far are {known_names(flow.tasks)}"
        _fail(flow, f"flow.{of} names {name!r}, which is not a task of this workflow (yet){known}")
    return Group((task,), (task,))


def _described(part: object) -> str:
    if type(part) in (list, tuple):
        return f"a {type(part).__name__} of them: write each as an argument of its own"
    return "a function: make it a task first, with @flow.task" if callable(part) else short_repr(part)


def _fail(flow: Tasks, problem: str) -> NoReturn:
    raise WorkflowError(f"workflow {flow.name!r}: {problem}", workflow=flow.name, task=None)
