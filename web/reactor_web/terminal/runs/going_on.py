"""`reactor resume` and `reactor retry`: on a server, or here with the file of the workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated, NoReturn

import typer

from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.errors import RunEnded, RunNotHere
from reactor.logs.sqlite.log import SqliteLog
from reactor.requests import check_reason, check_run_id
from reactor.runs.run import Run
from reactor_web.terminal.ending import exit_after
from reactor_web.terminal.given import load_all, refuse
from reactor_web.terminal.log_lines import Format, Level, log_others_to_stderr, log_to_stderr
from reactor_web.terminal.places.file import check_no_owner, root_of
from reactor_web.terminal.places.finding import log_at, where_is
from reactor_web.terminal.places.place import CannotDo, Place
from reactor_web.terminal.places.writing import BY, engine_on_file, needs_file
from reactor_web.terminal.runs.options import Json, Reason, RunId, Store, Url, at_run, say_done
from reactor_web.terminal.shown import show_to_end, view_of
from reactor_web.terminal.signals import cancel_on_signals
from reactor_web.terminal.stdout import take_stdout

File = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="The workflow: the run goes on here, and not on a server.")
]
Lines = Annotated[bool, typer.Option("--lines", help="With FILE: plain lines instead of the tree.")]


def resume_run(
    run: RunId,
    file: File = None,
    reason: Reason = "requested",
    lines: Lines = False,
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Goes on with a run that is paused. With FILE also with one that nobody executes: here, shown to its end."""
    try:
        check_reason(reason, None)
    except ValueError as error:
        refuse(str(error))
    if file is not None:
        _here(run, file, url, store, lambda engine, run_id: _resumed(engine, run_id, reason), lines=lines, json=json)

    async def work(place: Place, run_id: str) -> int:
        async with place.commands() as commands:
            try:
                done = await commands.resume(run_id, reason=reason)
            except RunNotHere as error:
                raise needs_file("resume") from error
        return say_done(done, f"run {run_id} is {done.status}", json)

    at_run(run, url, store, work)


async def _resumed(engine: Engine, run_id: str, reason: str) -> Run:
    run = await engine.get(run_id)
    if run.state.has_ended:
        raise RunEnded(f"run {run_id} is {run.status} already", run_id=run_id, status=run.status)
    if (why := engine.not_recovered.get(run_id)) is not None:
        raise CannotDo(f"run {run_id} cannot go on here: {why}")
    if run.state.paused_at is not None:
        await run.resume(reason=reason, by=BY)
    return run


def retry_run(
    run: RunId,
    file: File = None,
    from_task: Annotated[
        str | None, typer.Option("--from", metavar="TASK", help="It, and what depends on it, runs again in any case.")
    ] = None,
    new_run_id: Annotated[str | None, typer.Option("--run-id", metavar="ID", help="The id of the new run.")] = None,
    lines: Lines = False,
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Starts a run that has ended anew, with its input and what completed in it. With FILE here, shown to its end."""
    if new_run_id is not None:
        try:
            check_run_id(new_run_id)
        except ValueError as error:
            refuse(f"--run-id: {error}")
    if file is not None:
        begin = partial(_retried, new_run_id=new_run_id, from_task=from_task)
        _here(run, file, url, store, begin, lines=lines, json=json)

    async def work(place: Place, run_id: str) -> int:
        async with place.commands() as commands:
            done = await commands.retry(run_id, new_run_id=new_run_id, from_task=from_task)
        return say_done(done, f"run {done.run_id} is the retry of run {run_id}", json)

    at_run(run, url, store, work)


async def _retried(engine: Engine, run_id: str, *, new_run_id: str | None, from_task: str | None) -> Run:
    return await engine.retry(run_id, new_run_id=new_run_id, from_task=from_task, by=BY)


def _here(
    run: str,
    file: str,
    url: str | None,
    store: str | None,
    begin: Callable[[Engine, str], Awaitable[Run]],
    *,
    lines: bool,
    json: bool,
) -> NoReturn:
    """Executes a run in this process, with the workflows of a file, and shows it to its end."""
    log_to_stderr(Level.WARNING, Format.TEXT)
    out = take_stdout() if json else None  # before the import, which may print
    workflows = load_all(file)
    log_others_to_stderr(Format.TEXT)

    async def carry_out() -> int:
        at, run_id = where_is(run, url, store)
        if at.store is None:
            raise CannotDo("a server has its workflows itself: leave out FILE, or give --store")
        async with await _engine(at.store, run_id, workflows) as engine:
            with cancel_on_signals() as signals:
                begun = await begin(engine, run_id)
                return await show_to_end(engine, begun, view_of(json=json, lines=lines, out=out), signals)

    exit_after(carry_out())


async def _engine(store: str, run_id: str, workflows: list[Workflow]) -> AbstractAsyncContextManager[Engine]:
    """On a file, it goes on with the tree of this run alone. On a shared log it is one more node."""
    log = log_at(store)
    if not isinstance(log, SqliteLog):
        return Engine(log, workflows=workflows)
    check_no_owner(log.path)
    return engine_on_file(log.path, root=await root_of(log.path, run_id), workflows=workflows)
