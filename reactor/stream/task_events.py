"""``run.task_events("measure")``: one task of a run, as an Observable that completes when the task has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection

from reactivex import Observable, abc

from reactor.definition.names import child_task_id, did_you_mean, known_names
from reactor.errors import UnknownTask
from reactor.events.event import Event, Notice
from reactor.events.state import RunState
from reactor.events.vocabulary import TASK_ENDS
from reactor.operators.attached import Sink, Stage, operator_of
from reactor.operators.guarded import guarded
from reactor.stream.feed import Feed
from reactor.stream.follow import Follow, log_error_of
from reactor.stream.views import views


class TaskEvents(Observable[Event]):
    """The committed events of one task, from its first one on, for any number of subscribers.

    Completes when the task has ended: a mapped task when all its children have, and every task with its run. Where the
    log is lost it ends with LogLost. ``task_id`` is a task, ``measure``, which includes the children of a mapped one;
    or one child, ``measure[3]``.
    """

    def __init__(self, feed: Feed, task_id: str) -> None:
        super().__init__()
        self.task_id = task_id
        self._events = Follow(feed).pipe(
            views(),
            operator_of(lambda sink: Selecting(sink, lambda: feed.state, task_id)),
            guarded(log_error_of(feed.run_id), run_id=feed.run_id),
        )

    def _subscribe_core(
        self, observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._events.subscribe(observer, scheduler=scheduler)


class Selecting(Stage[Event, Event]):
    """Passes the events of one task, and a ``stream.gap``; completes with the last of them.

    The state of the run, ``state_of()``, is never behind what is passed here. So a task that it says is open has not
    ended for good: its output was lost in a crash, and it runs again.
    """

    __slots__ = ("_children", "_ended_children", "_prefix", "_state_of", "_task_id")

    def __init__(self, sink: Sink[Event], state_of: Callable[[], RunState], task_id: str) -> None:
        super().__init__(sink)
        self._state_of = state_of
        self._task_id = task_id
        self._prefix = f"{task_id}["
        self._children: int | None = None
        """How many children it has, once it has fanned out."""
        self._ended_children: set[str] = set()

    def on_next(self, message: Event, /) -> None:
        if isinstance(message, Notice):
            self.sink.on_next(message)
            if message.type == "stream.gap" and self._ended_before(message.data["to"]):
                self._complete()
            return
        task_id = message.task_id
        is_own = task_id == self._task_id
        if not is_own and (task_id is None or not task_id.startswith(self._prefix)):
            return
        self.sink.on_next(message)
        if is_own and message.type == "task.mapped":
            self._children = message.data["count"]
        elif is_own and message.type in TASK_ENDS:
            self._complete_if_ended()
            return
        elif not is_own:
            (self._ended_children.add if message.type in TASK_ENDS else self._ended_children.discard)(task_id or "")
        if self._children == len(self._ended_children):
            self._complete_if_ended()

    def _ended_before(self, seq: int) -> bool:
        """Whether the last event of the task is one of those that a gap stands for."""
        tasks = self._state_of().tasks.values()
        own = [task for task in tasks if task.id == self._task_id or task.id.startswith(self._prefix)]
        return bool(own) and all(task.has_ended and task.seq <= seq for task in own)

    def _complete_if_ended(self) -> None:
        task = self._state_of().tasks.get(self._task_id)
        if task is None or task.has_ended:
            self._complete()

    def _complete(self) -> None:
        if not self.is_disposed:
            self.dispose()
            self.sink.on_completed()


def check_task(
    run_id: str, task_id: str, state: RunState, known: Collection[str], is_plain: Callable[[str], bool]
) -> None:
    """Raises UnknownTask for a task that the run does not have and will not have.

    ``known``: the names of its tasks. ``is_plain(name)``: whether the task has no children and will have none.
    """
    name = task_id.partition("[")[0]
    mapped = state.tasks.get(name)
    count = None if mapped is None else mapped.count
    index = None if name == task_id else _index_of(name, task_id)
    is_missing = index is not None and (is_plain(name) if count is None else index >= count)
    if name not in known or index == -1 or is_missing:
        hint = did_you_mean(task_id, known) or f"; its tasks are {known_names(known)}"
        raise UnknownTask(f"run {run_id} has no task {task_id[:100]!r}{hint}", run_id=run_id, task_id=task_id)


def _index_of(name: str, task_id: str) -> int:
    """The index in the id of a child, ``measure[3]``; -1 for what cannot be one."""
    digits = task_id.removeprefix(f"{name}[").removesuffix("]")
    index = int(digits[:9]) if digits.isascii() and digits.isdigit() else -1
    return index if index >= 0 and child_task_id(name, index) == task_id else -1
