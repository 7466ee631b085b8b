"""``Start``: what a function of the host says about a request that starts a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from aiohttp import web

from reactor.definition.policy import Budget
from reactor.definition.workflow import Workflow
from reactor.errors import RunExists
from reactor.events.values import named
from reactor.runs.run import Run
from reactor_web.guard.seen import Seen

AnswerKind: TypeAlias = Literal["auto", "stream", "batch", "created"]
"""``stream``: the run as it happens. ``batch``: its result, once it has ended. ``created``: its id, at once.
``auto``: a stream where ``Accept`` names ``text/event-stream``, else ``batch``."""

ANSWERS: Final[tuple[AnswerKind, ...]] = ("auto", "stream", "batch", "created")


@dataclass(frozen=True, slots=True)
class Start:
    """A run to start. The first five are those of ``engine.start``."""

    workflow: Workflow | str
    input: Mapping[str, Any] | None = None
    run_id: str | None = None
    """None: a new id."""
    meta: Mapping[str, Any] | None = None
    budget: Budget | Mapping[str, Any] | None = None
    dialect: str | None = None
    """For this request only; None: the dialect of the route."""
    answer: AnswerKind | None = None
    """For this request only; None: the answer of the route."""


Begin: TypeAlias = Callable[[web.Request, Any], Start | Run | Awaitable[Start | Run]]
"""``begin(request, body)``, where ``body`` is the JSON of the request. It may also return a run that it has started."""

BeginGet: TypeAlias = Callable[[web.Request], Start | Awaitable[Start]]
"""``start(request)`` of a GET. The run has the id that the request asks for, whatever ``run_id`` says."""


def check_start(start: object, where: str) -> Start | Run:
    """Raises TypeError for what is neither a Start nor a Run, ValueError for an answer that there is not."""
    if not isinstance(start, Start | Run):
        raise TypeError(f"{where} must return a Start, not {named(start)}: Start(workflow, input)")
    if isinstance(start, Start) and start.answer is not None:
        check_answer(start.answer)
    return start


def check_answer(answer: object) -> None:
    """Raises ValueError for an answer that there is not."""
    if answer not in ANSWERS:
        raise ValueError(f"answer= must be {', '.join(ANSWERS[:-1])} or {ANSWERS[-1]}, not {answer!r}")


async def start_run(engine: Seen, start: Start, *, again: bool = False) -> Run:
    """Starts a run. One with an id may have been started before: the same start gives the same run.

    Raises RunExists where it was started differently; with ``again`` that run is the answer, too.
    """
    flow, inputs, meta, budget = start.workflow, start.input, start.meta, start.budget
    if start.run_id is None:
        return await engine.start(flow, inputs, meta=meta, budget=budget)
    try:
        run, _ = await engine.ensure(flow, inputs, run_id=start.run_id, meta=meta, budget=budget)
    except RunExists:
        if not again:
            raise
        return await engine.get(start.run_id)
    return run
