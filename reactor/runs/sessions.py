"""``engine.session``: opens a session, or finds the one that was opened before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from reactor.definition.names import names_options
from reactor.definition.policy import Budget
from reactor.errors import RunExists
from reactor.events.exact import is_same_json
from reactor.requests import check_by, check_meta, check_new_run_id, seconds_problem
from reactor.runs.beginning import Beginning
from reactor.runs.host import Host
from reactor.runs.open_runs import OpenRuns
from reactor.runs.run import Run
from reactor.runs.session import SESSION_GRAPH, Session
from reactor.trace_context import TraceContext
from reactor.waiting import methods_must_be_awaited


@methods_must_be_awaited("engine")
class SessionStarts:
    """How an engine opens sessions."""

    _runs: OpenRuns

    if TYPE_CHECKING:

        def _open_host(self) -> Host: ...
        def _trace_of(self, traceparent: str | TraceContext | None) -> TraceContext | None: ...

    @names_options("engine.session")
    async def session(
        self,
        run_id: str,
        *,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        idle: float | None = None,
        by: str | None = None,
        traceparent: str | TraceContext | None = None,
    ) -> Session:
        """A run without tasks, whose events come from outside; the same call again gives the same session.

        ``idle``: it is closed as failed when nothing was said in it for so many seconds. Returns once its
        ``run.started`` is in the log. Raises RunExists where there is a run of this id that was started in another way;
        EngineClosed; ValueError for an id, meta, a budget or an ``idle`` that is not valid, and for a budget that
        pauses, since a session cannot be paused.
        """
        session, _ = await self.ensure_session(
            run_id, meta=meta, budget=budget, idle=idle, by=by, traceparent=traceparent
        )  # fmt: skip
        return session

    @names_options("engine.ensure_session")
    async def ensure_session(
        self,
        run_id: str,
        *,
        meta: Mapping[str, Any] | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        idle: float | None = None,
        by: str | None = None,
        traceparent: str | TraceContext | None = None,
    ) -> tuple[Session, bool]:
        """The same, and whether the session is new."""
        host = self._open_host()
        check_by(by)
        beginning = _beginning(meta, budget, idle)._replace(by=by, trace=self._trace_of(traceparent))
        try:
            await self._runs.check_new(check_new_run_id(run_id))
            run, is_new = await self._runs.start(host, SESSION_GRAPH, run_id, beginning), True
        except RunExists as exists:
            run, is_new = await self._runs.get_existing(run_id, exists), False
        if not isinstance(run, Session) or not (is_new or _is_same(run, beginning)):
            what = "of another kind" if not isinstance(run, Session) else "opened with another meta, budget or idle"
            hint = "" if not isinstance(run, Session) else "; engine.get gives it as it is"
            raise RunExists(f"there is a run {run_id!r} already, {what}{hint}", run_id=run_id)
        return run, is_new


def _beginning(
    meta: Mapping[str, Any] | None, budget: Budget | Mapping[str, Any] | None, idle: float | None
) -> Beginning:
    if idle is not None and (problem := seconds_problem(idle)) is not None:
        raise ValueError(f"the idle of a session {problem}")
    allowed = None if budget is None else Budget.of(budget)
    if allowed is not None and allowed.on_exceeded == "pause":
        raise ValueError("the budget of a session cannot pause it, since it has no tasks; on_exceeded is fail or tell")
    seconds = None if idle is None else float(idle)
    return Beginning({}, check_meta(meta or {}), allowed, session=True, idle=seconds)


def _is_same(session: Run, beginning: Beginning) -> bool:
    """Whether a session was opened like this. The state says so also where ``run.started`` was trimmed."""
    state, budget = session.state, beginning.budget
    given = [dict(beginning.meta) or None, None if budget is None else budget.to_dict(), beginning.idle]
    return is_same_json(orjson.loads(orjson.dumps(given)), [state.meta, state.budget, state.idle])
