"""The kinds of executors, by the name a task gives: ``executor="process"``. A table users can add to."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from reactor import bounds
from reactor.definition.executors import EXECUTORS, BodyCheck
from reactor.definition.names import TASK_NAME_RULE
from reactor.executors.local import LocalExecutor
from reactor.executors.processes.executor import ProcessExecutor
from reactor.executors.threads import ThreadExecutor
from reactor.ports.executor import Executor, Work

Blocked = Callable[[Work, float], None]
"""Is told of a body that held the loop, and for how many seconds."""


class Kind(NamedTuple):
    """One kind of executor: how an engine makes its own, and what it must know of the bodies there."""

    make: Callable[[AbstractEventLoop, Blocked], Executor]
    slots: int | None
    """How many bodies run there at once in one engine; None: no limit."""
    waiting: int | None
    """How many bodies may wait there for an answer at once, each without its slot; None: no limit."""
    can_kill: bool
    """Whether ``abandon`` really ends a body that ignores a cancel."""


def _make_threads(loop: AbstractEventLoop, _: Blocked) -> ThreadExecutor:
    return ThreadExecutor(loop)


def _make_processes(loop: AbstractEventLoop, _: Blocked) -> ProcessExecutor:
    return ProcessExecutor(loop)


KINDS: Final[dict[str, Kind]] = {
    "loop": Kind(LocalExecutor, slots=None, waiting=None, can_kill=False),
    "thread": Kind(_make_threads, slots=bounds.THREADS, waiting=bounds.WAITING_THREADS, can_kill=False),
    "process": Kind(_make_processes, slots=os.cpu_count() or 1, waiting=bounds.WAITING_PROCESSES, can_kill=True),
}
"""By name."""


def register_kind(name: str, kind: Kind, *, check: BodyCheck | None = None) -> None:
    """Makes ``executor="name"`` run bodies in an executor of your own, in every engine of this process.

    - ``name``: like that of a task: one of ``A-Z a-z _``, then up to 63 of ``A-Z a-z 0-9 . _ ~ -``.
    - ``check``: gets a body and whether it is ``async def``; returns why it cannot run there, or None. Called when a
      workflow is validated.

    Raises ValueError for a name that is not valid or is registered already.

    Example: ``register_kind("gpu", Kind(GpuExecutor, slots=1, waiting=None, can_kill=False))``
    """
    if not bounds.TASK_NAME.fullmatch(name):
        raise ValueError(f"{name[:100]!r} is not a valid name of an executor: {TASK_NAME_RULE}")
    if name in KINDS:
        raise ValueError(f"there is an executor {name!r} already")
    EXECUTORS[name] = check or _accept
    KINDS[name] = kind


def _accept(body: Callable[..., Any], is_async: bool) -> None:
    """The check of an executor that can run every body."""
