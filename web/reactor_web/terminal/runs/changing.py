"""`reactor send`, `cancel`, `pause`, `rm` and `prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from reactor.bounds import CANCEL_GRACE_SECONDS
from reactor.events.values import short_repr
from reactor.requests import check_grace, check_reason
from reactor_web.terminal.given import parse_value, refuse
from reactor_web.terminal.places.place import Place, Retention
from reactor_web.terminal.runs.options import (
    Json,
    Reason,
    RunId,
    Store,
    Url,
    at_place,
    at_run,
    say_done,
    tell,
    write_json,
)  # fmt: skip

_NAMED_BY = {"key": "the key of the question", "run": "the run that asks"}


def send_value(
    run: RunId,
    task: Annotated[str, typer.Argument(help="The task that asks.")],
    value: Annotated[str, typer.Argument(help="JSON, or text.")],
    key: Annotated[str | None, typer.Option(help="The key of the question.")] = None,
    below: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="A run below that run: the task is one of its.")
    ] = None,
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Sends a value to a task that asks for one, or to a task of a run below; `reactor questions` shows who asks."""
    for name, given in {"key": key, "run": below}.items():
        if given == "":  # for example of a shell variable that is not set: the value would go to another question
            refuse(f"--{name} is empty: name {_NAMED_BY[name]}, or leave it out")
    parsed = parse_value(value)

    async def work(place: Place, run_id: str) -> int:
        async with place.commands() as commands:
            done = await commands.send(run_id, task, parsed, key=key, below=below)
        named = f", key {key}," if key is not None else ""
        return say_done(done, f"sent {short_repr(parsed)} to task {task}{named} of run {below or run_id}", json)

    at_run(run, url, store, work)


def cancel_run(
    run: RunId,
    task: Annotated[str | None, typer.Option(help="Only this task; the run goes on.")] = None,
    reason: Reason = "requested",
    grace: Annotated[float, typer.Option(help="Seconds that bodies get to stop.")] = CANCEL_GRACE_SECONDS,
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Asks a run, or one task of it, to end. A run that nobody executes ends at once."""
    _check(reason, grace)

    async def work(place: Place, run_id: str) -> int:
        async with place.commands() as commands:
            done = await commands.cancel(run_id, task=task, reason=reason, grace=grace)
        what = f"task {task} of run {run_id}" if task is not None else f"run {run_id}"
        is_over = task is None and done.status == "cancelled"
        return say_done(done, f"{what} is {'cancelled' if is_over else 'being cancelled'}", json)

    at_run(run, url, store, work)


def pause_run(
    run: RunId, reason: Reason = "requested", url: Url = None, store: Store = None, json: Json = False
) -> None:
    """Pauses a run: no more of its tasks start. `reactor resume` goes on."""
    _check(reason, 0)

    async def work(place: Place, run_id: str) -> int:
        async with place.commands() as commands:
            done = await commands.pause(run_id, reason=reason)
        return say_done(done, f"run {run_id} is {done.status}", json)

    at_run(run, url, store, work)


def remove_runs(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs that have ended.")],
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Deletes runs that have ended, with all that is stored of them. One that is not there is an error."""

    async def work(place: Place) -> int:
        async with place.commands() as commands:
            for run_id in dict.fromkeys(runs):
                await commands.delete(run_id)
                if json:
                    write_json({"run_id": run_id, "deleted": True})
                else:
                    tell(f"run {run_id} is deleted")
        return 0

    at_place(url, store, work)


def prune_runs(
    keep_days: Annotated[float | None, typer.Option(min=0, max=100_000, help="Older ended runs are deleted.")] = None,
    keep_runs: Annotated[
        int | None, typer.Option(min=0, max=1_000_000_000, help="Ended runs beyond these are deleted, oldest first.")
    ] = None,
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Deletes ended runs by age or number. Open runs stay, with all that belongs to them."""
    if keep_days is None and keep_runs is None:
        refuse("say what to keep: --keep-days 30, or --keep-runs 1000, or both")

    async def work(place: Place) -> int:
        async with place.commands() as commands:
            deleted = await commands.prune(Retention(keep_days, keep_runs))
        if json:
            write_json({"deleted": deleted})
        else:
            tell(f"{deleted:,} {'run is' if deleted == 1 else 'runs are'} deleted")
        return 0

    at_place(url, store, work)


def _check(reason: str, grace: float) -> None:
    try:
        check_reason(reason, None)
        check_grace(grace)
    except ValueError as error:
        refuse(str(error))
