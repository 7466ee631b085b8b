"""`reactor schedule`: ls, pause, resume, trigger."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, NoReturn

import typer

from reactor.definition.schedules import schedule_name_problem
from reactor_web.terminal.ending import exit_after
from reactor_web.terminal.given import load_all, refuse
from reactor_web.terminal.log_lines import Format, Level, log_others_to_stderr, log_to_stderr
from reactor_web.terminal.places.finding import where
from reactor_web.terminal.places.writing import BY
from reactor_web.terminal.runs.options import Json, Store, Url, be_quiet, tell, write_json
from reactor_web.terminal.schedules.here import engine_of, log_of, resume_here
from reactor_web.terminal.schedules.place import SchedulePlace, opened_schedules
from reactor_web.terminal.schedules.shown import print_schedules, say_schedule
from reactor_web.terminal.settings.group import SettledGroup
from reactor_web.terminal.shown import show_to_end, view_of
from reactor_web.terminal.signals import cancel_on_signals
from reactor_web.terminal.stdout import take_stdout

schedule_commands = typer.Typer(
    cls=SettledGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Schedules: what starts runs at which times.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a schedule.")]
File = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="The workflow, where the log is given and not a server.")
]


@schedule_commands.command("ls")
def list_schedules(url: Url = None, store: Store = None, json: Json = False) -> None:
    """Lists schedules by name, with their next times."""

    async def work(place: SchedulePlace) -> int:
        print_schedules(await place.all(), json)
        return 0

    _at_place(url, store, work)


@schedule_commands.command("pause")
def pause_schedule(name: Name, url: Url = None, store: Store = None, json: Json = False) -> None:
    """It starts nothing until it is resumed; its runs go on."""
    _check(name)

    async def work(place: SchedulePlace) -> int:
        return say_schedule(await place.pause(name), json)

    _at_place(url, store, work)


@schedule_commands.command("resume")
def resume_schedule(name: Name, file: File = None, url: Url = None, store: Store = None, json: Json = False) -> None:
    """Goes on with its next time. In a log FILE shows that its workflow is there and takes its input."""
    _check(name)
    if file is not None:
        out = take_stdout() if json else None  # before the import, which may print
        workflows = load_all(file)

        async def carry_out() -> int:
            return say_schedule(await resume_here(log_of(where(url, store)), name, workflows), json, out)

        _quietly(carry_out())

    async def work(place: SchedulePlace) -> int:
        return say_schedule(await place.resume(name), json)

    _at_place(url, store, work)


@schedule_commands.command("trigger")
def trigger_schedule(
    name: Name,
    file: File = None,
    lines: Annotated[bool, typer.Option("--lines", help="With FILE: plain lines instead of the tree.")] = False,
    url: Url = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Starts a run of it now; its times stay as they are. With FILE here, shown to its end."""
    _check(name)
    if file is not None:
        _trigger_here(name, file, url, store, lines=lines, json=json)

    async def work(place: SchedulePlace) -> int:
        run_id = await place.trigger(name)
        if json:
            write_json({"run_id": run_id})
        else:
            tell(f"run {run_id} is started")
        return 0

    _at_place(url, store, work)


def _trigger_here(name: str, file: str, url: str | None, store: str | None, *, lines: bool, json: bool) -> NoReturn:
    log_to_stderr(Level.WARNING, Format.TEXT)
    out = take_stdout() if json else None  # before the import, which may print
    workflows = load_all(file)
    log_others_to_stderr(Format.TEXT)

    async def carry_out() -> int:
        async with engine_of(log_of(where(url, store)), name, workflows) as engine:
            with cancel_on_signals() as signals:
                run = await engine.trigger_schedule(name, by=BY)
                return await show_to_end(engine, run, view_of(json=json, lines=lines, out=out), signals)

    exit_after(carry_out())


def _at_place(url: str | None, store: str | None, work: Callable[[SchedulePlace], Awaitable[int]]) -> NoReturn:
    async def carry_out() -> int:
        async with opened_schedules(where(url, store)) as place:
            return await work(place)

    _quietly(carry_out())


def _quietly(work: Coroutine[Any, Any, int]) -> NoReturn:
    be_quiet()
    exit_after(work)


def _check(name: str) -> None:
    if (problem := schedule_name_problem(name)) is not None:
        refuse(f"the name of a schedule {problem}")
