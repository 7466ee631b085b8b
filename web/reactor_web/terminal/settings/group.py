"""``SettledGroup``: gives the commands of the table their settings, whatever options they have.

An option of a command whose name stands in the table is read from its flag, else from the environment, else from the
file. Nothing has to be said of that where the option is declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from reactor_web.terminal.given import is_http_url, refuse
from reactor_web.terminal.settings.file import NAME, SettingsError, SettingsFile, read_settings
from reactor_web.terminal.settings.shown import Used, show_settings
from reactor_web.terminal.settings.table import SETTINGS, Setting

_OTHERS: Final = {("cancel", "grace")}
"""Options that have the name of a setting and another meaning: how long this run gets is said each time."""
_PLACES: Final = ("url", "store")
"""Two ways to say where runs are. A command takes one of them; only `doctor` looks at both."""
_FILE: Final = "reactor.settings"
"""Where the file that was read is kept, in the ``meta`` of a context."""


def _declared(
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            is_eager=True,
            envvar="REACTOR_CONFIG",
            help=f"Where settings are, by the names of these flags; else {NAME} of the working directory.",
        ),
    ] = None,
    show_settings: Annotated[
        bool,
        typer.Option(
            "--show-settings", is_eager=True, help="Say what each setting is and where it comes from, and end."
        ),
    ] = False,
) -> None:
    """Declares the two options that every command with settings has; typer makes them of it."""


class SettledGroup(TyperGroup):
    """A group of commands, and of groups, whose commands have settings."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command: Any = super().get_command(ctx, cmd_name)
        if command is not None and not hasattr(command, "commands"):
            _settle(command)
        return command


def _settle(command: Any) -> None:
    """Gives a command its settings, once."""
    settings = _settings_of(command)
    if not settings or any("--show-settings" in parameter.opts for parameter in command.params):
        return
    for option, setting in settings:
        option.envvar = setting.env
        option.show_envvar = True
    declaring = typer.Typer(add_completion=False)
    declaring.command()(_declared)
    config, show = (option for option in get_command(declaring).params if option.name != "help")
    config.handle_parse_result = partial(_take_config, config)
    show.handle_parse_result = partial(_take_show, show, config)
    command.params += [config, show]
    if {name for _, setting in settings if (name := setting.name) in _PLACES} == {
        *_PLACES
    } and command.name != "doctor":
        command.parse_args = partial(_take_one_place, command.parse_args)


def _take_config(option: Any, ctx: Any, opts: Mapping[str, Any], args: list[str]) -> tuple[None, list[str]]:
    """``--config``. The file is read before all other options, which it has defaults for."""
    given, _ = option.consume_value(ctx, opts)
    if _FILE not in ctx.meta:
        try:
            ctx.meta[_FILE] = read_settings(given)
        except SettingsError as error:
            refuse(str(error))
        names = {setting.name: parameter.name for parameter, setting in _settings_of(ctx.command)}
        values = ctx.meta[_FILE].values.items()
        ctx.default_map = {names[name]: value for name, value in values if name in names}
    return None, args


def _take_show(option: Any, config: Any, ctx: Any, opts: Mapping[str, Any], args: list[str]) -> tuple[None, list[str]]:
    """``--show-settings``: says what the command would use, and ends. It needs none of the command's arguments."""
    if opts.get(option.name) and not ctx.resilient_parsing:
        config.handle_parse_result(ctx, opts, args)
        file: SettingsFile = ctx.meta[_FILE]
        used = [_used(ctx, opts, option, setting, file) for option, setting in _settings_of(ctx.command)]
        print(show_settings(used, file.path))
        raise typer.Exit
    return None, args


def _settings_of(command: Any) -> list[tuple[Any, Setting]]:
    """The options of a command that are settings."""
    return [
        (option, SETTINGS[name])
        for option in command.params
        if isinstance(option, TyperOption)
        and (name := option.opts[0].removeprefix("--")) in SETTINGS
        and is_setting(command.name, name)
    ]


def is_setting(command: str, name: str) -> bool:
    """Whether the option of this name means what the setting does."""
    return (command, name) not in _OTHERS


def _used(ctx: Any, opts: Mapping[str, Any], option: Any, setting: Setting, file: SettingsFile) -> Used:
    option.handle_parse_result(ctx, opts, [])
    source = ctx.get_parameter_source(option.name)
    return Used(setting, _plain(ctx.params[option.name]), _sources(setting, file).get(source.name, "default"))


def _sources(setting: Setting, file: SettingsFile) -> dict[str, str]:
    """What can say a setting, by the name of the source."""
    return {"COMMANDLINE": f"--{setting.name}", "ENVIRONMENT": setting.env, "DEFAULT_MAP": str(file.path)}


def _take_one_place(parse: Callable[[Any, list[str]], list[str]], ctx: Any, args: list[str]) -> list[str]:
    """Parses, and keeps of ``url`` and ``store`` what is said where most counts: by a flag, else in the environment,
    else in the file. Refuses both at once. A run that is given by its URL has its place."""
    rest = parse(ctx, args)
    given = {name: ctx.get_parameter_source(name).name for name in _PLACES if ctx.params.get(name)}
    levels = (
        ["COMMANDLINE"] if is_http_url(str(ctx.params.get("run"))) else ["COMMANDLINE", "ENVIRONMENT", "DEFAULT_MAP"]
    )
    kept = next((level for level in levels if level in given.values()), None)
    if list(given.values()) == [kept, kept]:
        file: SettingsFile = ctx.meta[_FILE]
        sources = [_sources(SETTINGS[name], file)[str(kept)] for name in _PLACES]
        said = f"url and store in {file.path}" if kept == "DEFAULT_MAP" else " and ".join(sources)
        refuse(f"{said} are two places: give one of them")
    for name in _PLACES:
        if given.get(name) != kept:
            ctx.params[name] = None
    return rest


def _plain(value: Any) -> Any:
    """A value of an option as TOML has it. A list that is empty is not set."""
    if isinstance(value, list | tuple):
        return [str(one) for one in value] or None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # of texts
    return value
