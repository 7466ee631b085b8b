"""``add_agent``: POST starts an AG-UI run or goes on after an interrupt, for ``HttpAgent`` and clients like it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias, cast

from aiohttp import web

from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.errors import RunExists
from reactor.runs.run import Run
from reactor_web.dialects.ag_ui.meta import Request, meta_of, request_of
from reactor_web.dialects.ag_ui.quiet import is_quiet
from reactor_web.guard.admission import author_of, count_stream
from reactor_web.guard.hosts import guard_change
from reactor_web.guard.seen import Seen, engine_of
from reactor_web.http.agent_input import AgentInput, agent_input
from reactor_web.http.command import carry_out
from reactor_web.http.query import StreamOptions
from reactor_web.http.settings import check_settings
from reactor_web.own.resuming import Refused, answer
from reactor_web.own.route import TALKS, add_route, value_of
from reactor_web.own.start import Start, check_start, start_run
from reactor_web.own.starts import json_of
from reactor_web.own.threads import find, remember
from reactor_web.routes.starting import location_of
from reactor_web.streaming.forms.agent_run import Ids, began, stream_agent_run, stream_refusal
from reactor_web.streaming.forms.known import Known

BeginAgent: TypeAlias = Callable[[web.Request, AgentInput], Start | Awaitable[Start]]
"""``begin(request, input) -> Start``. The run has the id that belongs to the thread, whatever ``run_id`` says."""

_DIALECT: Final = "ag-ui"


def add_agent(
    app: web.Application,
    path: str,
    engine: Engine,
    begin: Workflow | str | BeginAgent,
    *,
    heartbeat: float | None = None,
) -> None:
    """Adds ``POST path``, an agent of AG-UI 1.0.

        add_agent(app, "/agents/writer", engine, writer)          # new HttpAgent({url: "http://…/agents/writer"})

    - ``begin``: a workflow, or its name. Of the request it gets the inputs that it takes: ``message`` (the text of the
      user's last message), ``messages``, ``state``, ``tools``, ``context``, ``forwarded_props`` and ``thread_id``; and
      any other input from the member of ``forwardedProps`` of its name. Or a function(request, ``AgentInput``), which
      may be async, and returns a ``Start``.
    - ``heartbeat``: seconds of silence before a comment; None: 15.

    A thread is a run. Its response ends when the run has ended, or can only go on with answers: then it finishes with
    the open questions as interrupts, and the next request brings the answers in ``resume``. What is wrong with those is
    told as ``RUN_ERROR``; anything else that is wrong with a request by its status and a problem document.

    - After the end of its run, the next message on a thread starts the next run of the thread.
    - While its run is open, a request without ``resume`` that brings no new message joins it; one that does is
      ``RUN_ERROR run_open``.

    A request must have a JSON content type and a host name that is allowed here. A client that leaves cancels nothing.
    Raises TypeError and ValueError for an argument that cannot be, WorkflowError for a bad workflow.
    """
    settings: dict[str, Any] = {"dialect": _DIALECT} | ({} if heartbeat is None else {"heartbeat": heartbeat})
    check_settings(settings)
    if isinstance(begin, Workflow):
        begin.validate()
    elif not isinstance(begin, str) and not callable(begin):  # pyright: ignore[reportUnnecessaryIsInstance]  # users without a type checker
        raise TypeError(f"{path}: begin must be a workflow, its name, or a function(request, input)")
    add_route(app, "POST", path, engine, partial(_post, begin, StreamOptions(**settings)), TALKS)
    if isinstance(begin, Workflow):
        engine.register(begin)


async def _post(begin: Workflow | str | BeginAgent, options: StreamOptions, request: web.Request) -> web.StreamResponse:
    guard_change(request)
    given = agent_input(await json_of(request))
    ids = Ids(given.thread_id, given.run_id)
    await count_stream(request)
    try:
        run, after = await _run_of(engine_of(request), begin, options, request, given)
    except Refused as refused:
        return await stream_refusal(request, options, ids, str(refused), refused.code)
    location = location_of(request, run.id)
    headers = {"Location": location} if location else {}
    known = Known(given.messages)
    return await stream_agent_run(request, run, replace(options, after=after), ids, known, headers)


async def _run_of(
    engine: Seen,
    begin: Workflow | str | BeginAgent,
    options: StreamOptions,
    request: web.Request,
    given: AgentInput,
) -> tuple[Run, int]:
    """The run that a request is about, and the cursor before the AG-UI run that answers it. Raises Refused."""
    run, next_id = await find(engine, given.thread_id)
    if given.resume:
        if run is None:
            raise Refused("this thread has no run, so it has no interrupts", "unknown_interrupt")
        before = run.feed.last_seq if is_quiet(run.feed.state) else None
        if await answer(run, given.resume, author_of(request)) and before is not None:
            return run, before
        return run, await began(request, run, options)
    if run is not None and _is_repeat(run, given):
        return run, await began(request, run, options)
    if run is not None and not run.state.has_ended:
        raise Refused(
            f"the run {run.id} of this thread is open: follow it to its end, answer its interrupts, or cancel it",
            "run_open",
        )
    return await _start(engine, begin, request, given, next_id), 0


def _is_repeat(run: Run, given: AgentInput) -> bool:
    """Whether a request asks for what has been started already: the same request again, or a page that comes back."""
    before = request_of(run.state.meta)
    if before is not None and before.run_id == given.run_id:
        return True
    brings_message = given.message_id is not None and (before is None or before.message_id != given.message_id)
    return not run.state.has_ended and not brings_message


async def _start(
    engine: Seen, begin: Workflow | str | BeginAgent, request: web.Request, given: AgentInput, run_id: str
) -> Run:
    start = await _begin(engine, begin, request, given)
    meta: Mapping[str, Any] = start.meta or {}
    kept = meta_of(Request(given.thread_id, given.run_id, given.message_id), given.state)
    try:
        run = await carry_out(start_run(engine, replace(start, run_id=run_id, meta={**meta, **kept})))
    except RunExists:
        run = await engine.get(run_id)  # another request of this thread was faster
        if not _is_repeat(run, given):
            raise Refused(f"the run {run_id} of this thread has just begun: follow it to its end", "run_open") from None
        return run
    await carry_out(remember(engine, given.thread_id, run.id))
    return run


async def _begin(engine: Seen, begin: Workflow | str | BeginAgent, request: web.Request, given: AgentInput) -> Start:
    if not isinstance(begin, Workflow | str):
        start = check_start(await value_of(begin(request, given)), "begin(request, input)")
        if isinstance(start, Start):
            return start
        raise TypeError("begin(request, input) must return a Start: the run has the id that belongs to the thread")
    workflow = engine.workflow(begin) if isinstance(begin, str) else begin
    values = given.values()
    given_props: object = given.forwarded_props
    props = cast("dict[str, Any]", given_props) if isinstance(given_props, dict) else {}
    input: dict[str, Any] = {}
    for name in workflow.validate().inputs:
        if values.get(name) is not None:
            input[name] = values[name]
        elif name in props and name not in values:
            input[name] = props[name]
    return Start(workflow, input)
