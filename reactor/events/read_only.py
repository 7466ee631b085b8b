"""The state of a run as its users see it: always current, and nobody can change it.

The fold changes one ``RunState`` in place. A user who changed that would change it for everybody, so users get a view
of it. Making a view copies nothing; it looks up each field when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn, SupportsIndex, cast

from reactor.events.state import RUN_FIELDS, TASK_FIELDS, RunState, TaskState, own_copy

_RUN: Final = frozenset(RUN_FIELDS)
_TASK: Final = frozenset(TASK_FIELDS)
_live = cast("Any", object.__getattribute__)


def _same(state: Any) -> Any:
    """What a copied or pickled view becomes: an ordinary state."""
    return state


def _refuse(view: object, name: str, *_: object) -> NoReturn:
    raise AttributeError(f"run.state is read-only, so {name!r} cannot be set; run.state.copy() is yours to change")


class TaskStateView(TaskState):
    """A ``TaskState`` that nobody can change. ``copy()`` is an ordinary one."""

    __slots__ = ("_of",)

    def __init__(self, of: TaskState) -> None:
        object.__setattr__(self, "_of", of)

    def __getattribute__(self, name: str) -> Any:
        if name in _TASK:
            return own_copy(getattr(_live(self, "_of"), name))
        return _live(self, name)

    __setattr__ = __delattr__ = _refuse

    def copy(self) -> TaskState:
        return _live(self, "_of").copy()

    def to_dict(self) -> dict[str, Any]:
        return _live(self, "_of").to_dict()

    def __eq__(self, other: object) -> bool:
        return bool(_live(self, "_of") == (_live(other, "_of") if isinstance(other, TaskStateView) else other))

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return (_same, (self.copy(),))

    def __repr__(self) -> str:
        return repr(_live(self, "_of"))


class _Tasks(Mapping[str, TaskState]):
    """The tasks of a state, each as a view."""

    __slots__ = ("_tasks",)

    def __init__(self, tasks: Mapping[str, TaskState]) -> None:
        self._tasks = tasks

    def __getitem__(self, id: str) -> TaskState:
        return TaskStateView(self._tasks[id])

    def __contains__(self, id: object) -> bool:
        return id in self._tasks

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, ({id: task.copy() for id, task in self._tasks.items()},))

    def __repr__(self) -> str:
        return repr(self._tasks)


class RunStateView(RunState):
    """A ``RunState`` that is always current and that nobody can change. ``copy()`` is an ordinary one.

    ``tasks`` is a Mapping, and its values are views too. Lists and dicts in fields are copies.
    """

    __slots__ = ("_of",)

    def __init__(self, of: RunState) -> None:
        object.__setattr__(self, "_of", of)

    def __getattribute__(self, name: str) -> Any:
        if name == "tasks":
            return _Tasks(_live(self, "_of").tasks)
        if name in _RUN:
            return own_copy(getattr(_live(self, "_of"), name))
        return _live(self, name)

    __setattr__ = __delattr__ = _refuse

    def count_progress(self) -> None:
        _refuse(self, "graph_tasks")

    def copy(self) -> RunState:
        return _live(self, "_of").copy()

    def to_dict(self) -> dict[str, Any]:
        return _live(self, "_of").to_dict()

    def __eq__(self, other: object) -> bool:
        return bool(_live(self, "_of") == (_live(other, "_of") if isinstance(other, RunStateView) else other))

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return (_same, (self.copy(),))

    def __repr__(self) -> str:
        return repr(_live(self, "_of"))
