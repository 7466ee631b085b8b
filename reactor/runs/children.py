"""Child runs: ``ctx.run`` starts one, or takes it up again. What happens to the parent happens to its children."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Generator, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from reactor.bounds import CHILD_DEPTH, RUN_ID
from reactor.definition.policy import Budget
from reactor.errors import LogLost, RunExists, TooDeep
from reactor.runs.child_records import RecordedEnd
from reactor.runs.parent import ChildRun, ParentRun
from reactor.supervision.ending import EndReason
from reactor.tasks.scope import Body


class ChildRequest(NamedTuple):
    """What a body asks for with ``ctx.run``."""

    task_id: str
    name: str
    """The key, or the number of the child run."""
    workflow: Any
    input: Mapping[str, Any]
    budget: Budget | None
    again: bool
    """This attempt has asked for this name before, so it cannot mean another child."""

    @property
    def workflow_name(self) -> str | None:
        return self.workflow if isinstance(self.workflow, str) else getattr(self.workflow, "name", None)


class OpenedChild(Protocol):
    """A child run that is awaited: for its end, and for its outputs."""

    def ended(self) -> Awaitable[Any]: ...
    def __await__(self) -> Generator[Any, None, dict[str, Any]]: ...


class ChildRuns(Protocol):
    """Opens and ends child runs, wherever they are: in this process, in the log, or not started yet."""

    async def open_child(self, parent: ParentRun, request: ChildRequest) -> OpenedChild | None:
        """Starts a child run, or takes it up; None for one whose end is in the parent's log and that is gone."""
        ...

    def waits_for_log(self, child_id: str) -> bool:
        """Whether the log of a child run has failed, and nobody goes on with the child yet."""
        ...

    async def restore_outputs(
        self, parent: ParentRun, request: ChildRequest, recorded: RecordedEnd
    ) -> dict[str, Any] | None:
        """The outputs of a completed child run, as they were; None where nobody can say what they were."""
        ...

    def end_children(self, parent: ParentRun) -> None:
        """Sees to it that the parent's log has the end of each child run; calls ``children_ended`` of the parent."""
        ...


_READABLE_CHARS: Final = 31
"""How much of the parent's id a child's id keeps where the whole would be too long."""
_GRACE_PART: Final = 0.8
"""A child gets this part of its parent's grace, so that it has ended when the parent has to."""


def child_ids(run_id: str, task_id: str, name: str, digest_key: bytes) -> Iterator[str]:
    """The ids that a child run may have, always the same; it has the first that is not another run's.

    First ``<run>.<task>.<k or key>``, or a digest where that would not be a valid run id. Tasks ``a[0]`` and ``a~0``
    have the same, and anybody may have started a run of that id. Then one that only who has the key of the log knows.
    """
    whole = f"{run_id}.{task_id.replace('[', '~').replace(']', '')}.{name}"
    # a run id has no /, and neither has a task id: no two children have the same text
    text = f"{run_id}/{task_id}/{name}".encode("utf-8", "replace")
    short = run_id[:_READABLE_CHARS]
    yield whole if RUN_ID.fullmatch(whole) else f"{short}.{hashlib.sha256(text).hexdigest()[:32]}"
    yield f"{short}.{hmac.digest(digest_key, text, 'sha256').hex()[:32]}"


class Children:
    """The child runs of one open run. Loop thread only."""

    def __init__(self, parent: ParentRun, runs: ChildRuns) -> None:
        self._parent = parent
        self._runs = runs
        self.open: dict[str, ChildRun] = {}
        """By id."""
        self._of_task: dict[str, dict[str, ChildRun]] = {}
        """The same by task: one that ends does not look at those of 10,000 others."""
        self._has_ended_left = False

    def add(self, child: ChildRun, task_id: str) -> None:
        self.open[child.run_id] = child
        self._of_task.setdefault(task_id, {})[child.run_id] = child

    def remove(self, child: ChildRun, task_id: str) -> None:
        self.open.pop(child.run_id, None)
        of_task = self._of_task.get(task_id, {})
        of_task.pop(child.run_id, None)
        if not of_task:
            self._of_task.pop(task_id, None)

    async def run(
        self, body: Body, workflow: Any, input: Mapping[str, Any], name: str, budget: Budget | None, *, again: bool
    ) -> dict[str, Any]:
        """The outputs of a child run. It is cancelled with the body that waits for it, which waits for its end.

        ``again``: this attempt has asked for this name before, so it cannot mean another child.
        """
        parent = self._parent
        self._check_depth(body.task_id)
        while parent.is_paused:  # its tasks would be new ones
            await parent.resumed()
        request = ChildRequest(body.task_id, name, workflow, input, budget, again)
        if not again and (recorded := await self._recall(request)) is not None:
            return await self._outputs_of_ended(request, recorded)
        try:
            while True:
                try:
                    child = await self._runs.open_child(parent, request)
                    if child is None:
                        return await self._outputs_of_gone(request)
                    await child.ended()
                    await parent.committed()  # child.ended
                    return await child
                except LogLost:  # of the child alone: asked for again, it goes on when its log answers
                    id = self._id_of(request)
                    if parent.is_closed or id is None or not self._runs.waits_for_log(id):
                        raise
        except asyncio.CancelledError:
            if not parent.is_closed:  # else the engine leaves both for its next start
                await self._stop(self._id_of(request))
            raise

    def _id_of(self, request: ChildRequest) -> str | None:
        """The id of a child run that was asked for before."""
        return self._parent.child_records.id_of(request.task_id, request.name)

    async def _recall(self, request: ChildRequest) -> RecordedEnd | None:
        id = self._id_of(request)
        if id is None:
            return None
        return await self._parent.child_records.recall(request.task_id, id, request.workflow_name)

    async def _outputs_of_ended(self, request: ChildRequest, recorded: RecordedEnd) -> dict[str, Any]:
        """The outputs of a child run that ended before this attempt, as the attempt before was given them."""
        recorded.outputs()  # raises what it ended with
        restored = await self._runs.restore_outputs(self._parent, request, recorded)
        if restored is None:
            raise self._outputs_are_lost(request)
        return restored

    async def _outputs_of_gone(self, request: ChildRequest) -> dict[str, Any]:
        """The outputs of a child run that was deleted, from the parent's log."""
        recorded = await self._recall(request)
        if recorded is None:
            raise self._outputs_are_lost(request)
        return await self._outputs_of_ended(request, recorded)

    def _outputs_are_lost(self, request: ChildRequest) -> RunExists:
        id = self._id_of(request) or ""
        return RunExists(
            f"child run {id!r} has ended and was deleted, and the log does not have its outputs "
            f"for workflow {request.workflow_name!r} any more: another child run needs a key of its own",
            run_id=id,
        )

    async def _stop(self, id: str | None) -> None:
        """Cancels an open child and waits until that is proven."""
        child = self.open.get(id or "")
        if child is None or child.is_closed:
            return
        # the reason must be in the log first: after a crash in between the body would take up a cancelled child
        await self._parent.committed()
        child.cancel(EndReason.PARENT, by=None, grace=_GRACE_PART * self._parent.grace)
        while not child.is_closed:
            await child.next_commit()

    def end_left(self) -> bool:
        """Ends the child runs that are open in no process; False where that is done, or there are none."""
        if self._has_ended_left or not any(self._parent.child_records.unended()):
            return False
        self._has_ended_left = True
        self._runs.end_children(self._parent)
        return True

    def leave(self, task_id: str) -> None:
        """Cancels the child runs that a task has not waited for. The task has ended."""
        for child in tuple(self._of_task.get(task_id, {}).values()):
            if not (child.ending or child.is_sealed):
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
