"""Child runs: ``ctx.run`` starts one, or takes it up again. What happens to the parent happens to its children."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from reactor.bounds import CHILD_DEPTH, RUN_ID
from reactor.definition.policy import Budget
from reactor.errors import LogLost, TooDeep
from reactor.runs.parent import ChildRun, ParentRun
from reactor.supervision.ending import EndReason
from reactor.tasks.scope import Body

OpenChild = Callable[["ParentRun", str, str, Any, Mapping[str, Any], "Budget | None", bool], Awaitable[Any]]
"""Opens a child run: (parent, its task id, the child's id, workflow, input, budget, whether again) -> Run."""

_READABLE_CHARS: Final = 31
"""How much of the parent's id a child's id keeps where the whole would be too long."""
_GRACE_PART: Final = 0.8
"""A child gets this part of its parent's grace, so that it has ended when the parent has to."""


def child_id(run_id: str, task_id: str, name: str) -> str:
    """``<run>.<task>.<k or key>``, always the same; with a digest where that would not be a valid run id."""
    whole = f"{run_id}.{task_id.replace('[', '~').replace(']', '')}.{name}"
    if RUN_ID.fullmatch(whole):
        return whole
    digest = hashlib.sha256(f"{run_id}/{task_id}/{name}".encode("utf-8", "replace")).hexdigest()[:32]
    return f"{run_id[:_READABLE_CHARS]}.{digest}"


class Children:
    """The child runs of one open run. Loop thread only."""

    def __init__(self, parent: ParentRun, open_child: OpenChild) -> None:
        self._parent = parent
        self._open_child = open_child
        self.open: dict[str, ChildRun] = {}
        """By id."""

    async def run(
        self, body: Body, workflow: Any, input: Mapping[str, Any], name: str, budget: Budget | None, *, again: bool
    ) -> dict[str, Any]:
        """The outputs of a child run. It is cancelled with the body that waits for it, which waits for its end.

        ``again``: this attempt has asked for this name before, so it cannot mean another child.
        """
        parent, id = self._parent, child_id(self._parent.run_id, body.task_id, name)
        self._check_depth(body.task_id)
        while parent.is_paused:  # its tasks would be new ones
            await parent.resumed()
        try:
            while True:
                try:
                    return await (await self._open_child(parent, body.task_id, id, workflow, input, budget, again))
                except LogLost:  # of the child alone: asked for again, it goes on when its log answers
                    if parent.is_closed:
                        raise
        except asyncio.CancelledError:
            if not parent.is_closed:  # else the engine leaves both for its next start
                await self._stop(id)
            raise

    async def _stop(self, id: str) -> None:
        """Cancels an open child and waits until that is proven."""
        child = self.open.get(id)
        if child is None or child.is_closed:
            return
        # the reason must be in the log first: after a crash in between the body would take up a cancelled child
        await self._parent.committed()
        child.cancel(EndReason.PARENT, by=None, grace=_GRACE_PART * self._parent.grace)
        while not child.is_closed:
            await child.next_commit()

    def leave(self, task_id: str) -> None:
        """Cancels the child runs that a task has not waited for. The task has ended."""
        for child in self.open.values():
            if child.parent is not None and child.parent.task_id == task_id and not (child.ending or child.is_sealed):
                child.cancel(EndReason.PARENT, by=None, grace=_GRACE_PART * self._parent.grace)

    def pause(self) -> None:
        """Pauses them with their parent."""
        for child in self.open.values():
            if child.ending is None:
                child.pause(EndReason.PARENT, by=None)

    def resume(self) -> None:
        """Resumes those that were paused with their parent."""
        for child in self.open.values():
            if child.ending is None and child.pause_reason == EndReason.PARENT:
                child.resume(EndReason.PARENT, by=None)

    def _check_depth(self, task_id: str) -> None:
        depth, run = 1, self._parent
        while run.parent is not None:
            depth, run = depth + 1, run.parent.run
        if depth > CHILD_DEPTH:
            run_id = self._parent.run_id
            raise TooDeep(
                f"task {task_id} of run {run_id} is {CHILD_DEPTH} child runs deep and asks for another",
                run_id=run_id,
                task_id=task_id,
            )
