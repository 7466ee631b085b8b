"""``workflow.run(input)``: one run on a loop, an engine and a memory log of its own; how such a loop ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from reactor.bounds import LAST_CANCEL_SECONDS
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.executors.local import LocalJob
from reactor.logger import get_logger

logger = get_logger()

T = TypeVar("T")

NAMED: Final = 10
"""Tasks that a log line names."""

_left: Final[list[asyncio.Task[Any]]] = []
"""What did not end. Were it collected, its code would run once more, to be told of that."""


def run_once(workflow: Workflow, input: Mapping[str, Any]) -> dict[str, Any]:
    """Runs a workflow to its end and returns its outputs. Raises RuntimeError inside a running loop."""

    async def main() -> dict[str, Any]:
        async with Engine(workflows=[workflow]) as engine:
            return await (await engine.start(workflow, input))

    loop = None
    with suppress(RuntimeError):  # there is none, as it should be
        loop = asyncio.get_running_loop()
    if loop is not None:
        raise RuntimeError(f"{workflow.name}.run() needs its own loop; here: await (await engine.start(...))")
    return run_on_own_loop(main())


def run_on_own_loop(
    main: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    *,
    left: Callable[[str], object] = lambda what: None,
) -> T:
    """As ``asyncio.run``, which waits for ever for a task that swallows its cancel; this waits a second.

    What has not ended by then is named in the log and left behind. ``left(what)`` is called with that, if it is so.
    """
    runner = asyncio.Runner(loop_factory=loop_factory)
    try:
        return runner.run(main)
    finally:
        loop = runner.get_loop()
        what = loop.run_until_complete(_end_all(loop))
        if what is None:
            runner.close()
        else:  # which the runner would wait for
            asyncio.set_event_loop(None)
            loop.close()
            left(what)


async def _end_all(loop: asyncio.AbstractEventLoop) -> str | None:
    """Ends what a loop still has, as ``asyncio.run`` does it; what has not ended in time."""
    if (what := await end_others()) is not None:
        return what
    closing = [loop.create_task(loop.shutdown_asyncgens()), loop.create_task(loop.shutdown_default_executor())]
    _, late = await asyncio.wait(closing, timeout=LAST_CANCEL_SECONDS)
    if not late:
        return None
    _keep(late)
    return _left_behind("threads of asyncio.to_thread" if closing[1] in late else "asynchronous generators")


async def end_others() -> str | None:
    """Cancels all other tasks of this loop and gives them a second; names those that do not end, also in the log."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    # a little longer than a body has, which leaves by itself then (``LocalJob``)
    late = (await asyncio.wait(others, timeout=1.5 * LAST_CANCEL_SECONDS))[1] if others else set[asyncio.Task[Any]]()
    for task in others - late:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task failed as its loop ended", what=_name_of(task), exc_info=error)
    if not late:
        return None
    _keep(late)
    return _left_behind(_names_of(late))


def _left_behind(what: str) -> str:
    logger.error("what does not stop is left behind", what=what)
    return what


def _keep(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task._log_destroy_pending = False  # pyright: ignore  # it is known, and was said
        _left.append(task)


def _names_of(tasks: Iterable[asyncio.Task[Any]]) -> str:
    names = sorted(_name_of(task) for task in tasks)
    return "; ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _name_of(task: asyncio.Task[Any]) -> str:
    work = task.get_coro()
    return work.name if isinstance(work, LocalJob) else getattr(work, "__qualname__", repr(work))
