"""Child runs: ``ctx.run`` starts one, or takes it up again; what happens to the parent happens to it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reactor.bounds import CHILD_DEPTH, RUN_ID
from reactor.definition.policy import Budget
from reactor.errors import TooDeep

if TYPE_CHECKING:
    from reactor.runs.execution import Execution
    from reactor.tasks.body import TaskActor

_PREFIX = 31
"""Characters of the parent's id that stay readable where the whole would be too long."""
_STOP_PART = 0.8
"""Of the parent's grace, so that the child has ended when the parent has to."""


def child_id(run_id: str, task_id: str, name: str) -> str:
    """``<run>.<task>.<k or key>``, always the same; shortened by a digest where it would be no run id."""
    whole = f"{run_id}.{task_id.replace('[', '~').replace(']', '')}.{name}"
    if RUN_ID.fullmatch(whole):
        return whole
    digest = hashlib.sha256(f"{run_id}/{task_id}/{name}".encode("utf-8", "replace")).hexdigest()[:32]
    return f"{run_id[:_PREFIX]}.{digest}"


async def run_child(
    parent: Execution,
    actor: TaskActor,
    id: str,
    workflow: Any,
    input: Mapping[str, Any],
    budget: Budget | None,
    *,
    again: bool,
) -> dict[str, Any]:
    """The outputs of a child run. Cancelled with the body that waits for it, and waited for until it has ended.

    ``again``: this attempt has asked for it before, so it cannot be meant to be another one.
    """
    check_depth(parent, actor.task_id)
    while parent.is_paused:  # its tasks would be new ones
        await parent.resumed()
    try:
        return await (await parent.host.open_child(parent, actor.task_id, id, workflow, input, budget, again))
    except asyncio.CancelledError:
        if not parent.feed.closed:  # else the engine leaves both for its next start
            await stop_child(parent, id)
        raise


async def stop_child(parent: Execution, id: str) -> None:
    """Cancels an open child and waits until that is proven."""
    child = parent.children.get(id)
    if child is None or child.feed.closed:
        return
    await parent.committed()  # the reason first: after a crash in between the body would take up a cancelled child
    child.control.cancel("parent", by=None, grace=_STOP_PART * parent.control.grace)
    while not child.feed.closed:
        await child.commits.next()


def leave_children(parent: Execution, task_id: str) -> None:
    """A task has ended: cancels the child runs it did not wait for."""
    for child in parent.children.values():
        if child.parent is not None and child.parent.task_id == task_id and not (child.ending or child.is_sealed):
            child.control.cancel("parent", by=None, grace=_STOP_PART * parent.control.grace)


def check_depth(parent: Execution, task_id: str) -> None:
    """Raises TooDeep."""
    depth, execution = 1, parent
    while execution.parent is not None:
        depth, execution = depth + 1, execution.parent.execution
    if depth > CHILD_DEPTH:
        raise TooDeep(
            f"task {task_id} of run {parent.run_id} is {CHILD_DEPTH} child runs deep and asks for another",
            run_id=parent.run_id,
            task_id=task_id,
        )
