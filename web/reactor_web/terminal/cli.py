"""The command ``reactor``: run, serve, watch, graph, check, recover, keys, schedule, and what `runs` has.

Exit codes: 0 the run completed, 1 it failed, 3 it was cancelled (also by Ctrl-C or SIGTERM), 4 its stream ended before
it did; 2 the command could not be carried out. 130 and 143: SIGINT or SIGTERM ended the process at once, because it was
the second one or no run was open yet. 141: nobody reads the output any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version as distribution_version
from typing import Annotated, Any
from urllib.parse import unquote

import typer

import reactor
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.logs.schemes import SCHEMES
from reactor_web.client.errors import scheme_hint
from reactor_web.terminal import keys
from reactor_web.terminal.admin import AdminHost, AdminPort, admin_of
from reactor_web.terminal.check import check_file
from reactor_web.terminal.doctor.command import doctor_command
from reactor_web.terminal.ending import exit_after
from reactor_web.terminal.given import Sent, is_http_url, load, load_all, make_engine, parse_input, parse_values, refuse
from reactor_web.terminal.guarding import (
    AllowHost,
    Audience,
    Cors,
    Exposure,
    Insecure,
    Issuer,
    Jwks,
    KeysFile,
    MaxAge,
    MaxStreams,
    Proxy,
    TenantClaim,
    check_allowed,
    check_cors,
    make_guard,
)
from reactor_web.terminal.load import workflows_beside
from reactor_web.terminal.log_lines import Format, Level, log_others_to_stderr, log_to_stderr
from reactor_web.terminal.recover import recover_command
from reactor_web.terminal.reload.command import listening, serve_again_and_again
from reactor_web.terminal.reload.line import GRACE_SECONDS, Line, take_line
from reactor_web.terminal.runs.commands import RUN_COMMANDS
from reactor_web.terminal.schedules.commands import schedule_commands
from reactor_web.terminal.serve import serve
from reactor_web.terminal.settings.group import SettledGroup
from reactor_web.terminal.shown import show_to_end, view_of
from reactor_web.terminal.signals import cancel_on_signals
from reactor_web.terminal.stdout import take_stdout
from reactor_web.terminal.turns import make_loop
from reactor_web.terminal.views import View
from reactor_web.terminal.watch import watch_run

app = typer.Typer(
    cls=SettledGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,  # a local may be a key; earlier versions of typer show them
)
app.add_typer(keys.commands, name="keys")
app.add_typer(schedule_commands, name="schedule")
app.command("recover")(recover_command)
app.command("doctor")(doctor_command)
app.command("check")(check_file)
for name, command in RUN_COMMANDS.items():
    app.command(name)(command)

Store = Annotated[str, typer.Option(help=f"Event log: {' or '.join(scheme.form for scheme in SCHEMES.values())}")]
Json = Annotated[bool, typer.Option("--json", help="One event a line, as JSON.")]
Lines = Annotated[bool, typer.Option("--lines", help="Plain lines instead of the tree, with the text of chunks.")]
LogLevel = Annotated[Level, typer.Option(help="From which level on log lines are shown, on stderr.")]
LogFormat = Annotated[Format, typer.Option(help="How log lines are written.")]
Target = Annotated[str, typer.Argument(metavar="FILE[:WORKFLOW]", help="A Python file or module, or a PLAN.json.")]
Tools = Annotated[
    list[str] | None, typer.Option(metavar="FILE", help="Registers the tools of a plan: Python; repeatable.")
]


def main() -> None:
    """The entry point of the command."""
    app(prog_name="reactor")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"reactor {getattr(reactor, '__version__', None) or distribution_version('reactor-dag')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Runs workflows as live, lossless streams."""


@app.command()
def run(
    target: Target,
    inputs: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="Inputs of the run.")] = None,
    store: Store = "memory://",
    send: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK[:KEY]=VALUE",
            help="A value for a task that asks for one, or for its question of this key; repeatable.",
        ),
    ] = None,
    json: Json = False,
    lines: Lines = False,
    tools: Tools = None,
    log_level: LogLevel = Level.WARNING,
    log_format: LogFormat = Format.TEXT,
) -> None:
    """Runs a workflow here, shows it live and prints its outputs. Ctrl-C and SIGTERM cancel it."""
    log_to_stderr(log_level, log_format)
    out = take_stdout() if json else None  # before the import, which may print
    workflow, options = load(target, tools or [])
    log_others_to_stderr(log_format)
    if workflow.plan is not None and inputs:
        refuse(f"{target} is a plan, which has its inputs in the file: {inputs[0]!r} cannot be given")
    given = parse_input(workflow.validate(), inputs or [])
    values = parse_values(workflow.validate(), send or [])
    engine = make_engine(store, [] if workflow.plan is not None else [workflow, *workflows_beside(workflow)])
    exit_after(_run(engine, workflow, given, options, values, view_of(json=json, lines=lines, out=out)))


@app.command("serve")
def serve_command(
    targets: Annotated[list[str], typer.Argument(metavar="FILE...", help="Python files or modules.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    store: Store = "sqlite:///reactor.db",
    grace: Annotated[float, typer.Option(min=0, max=3600, help="Seconds open runs get at the end.")] = 2.0,
    keys: KeysFile = None,
    jwks: Jwks = None,
    jwt_audience: Audience = None,
    jwt_issuer: Issuer = None,
    jwt_tenant_claim: TenantClaim = None,
    allow_host: AllowHost = None,
    cors: Cors = None,
    trusted_proxy: Proxy = None,
    max_streams: MaxStreams = None,
    max_stream_age: MaxAge = None,
    insecure: Insecure = False,
    admin_port: AdminPort = None,
    admin_host: AdminHost = "127.0.0.1",
    reload: Annotated[bool, typer.Option("--reload", help="Start again when a file of the workflows changes.")] = False,
    log_level: LogLevel = Level.INFO,
    log_format: LogFormat = Format.TEXT,
) -> None:
    """Serves the workflows of the files over HTTP, under /api/v1."""
    log_to_stderr(log_level, log_format)
    exposure = Exposure(
        keys, jwks, jwt_audience, jwt_issuer, jwt_tenant_claim,
        trusted_proxy or (), max_stream_age, max_streams, insecure,
    )  # fmt: skip
    guard, hosts, origins = make_guard(exposure, host, store), check_allowed(allow_host or ()), check_cors(cors or ())
    line = take_line()
    if reload and line is None:
        exit_after(serve_again_and_again(targets, host, port, store))
    workflows = [workflow for target in targets for workflow in load_all(target, line and line.tell_failure)]
    if line is not None:
        line.tell_imports()
    log_others_to_stderr(log_format)
    engine = make_engine(store, workflows, grace=grace if line is None else min(grace, GRACE_SECONDS))
    options = {"guard": guard, "allowed_hosts": hosts, "cors": origins, "admin": admin_of(admin_port, admin_host)}
    exit_after(_serve(engine, workflows, host, port, line, **options), make_loop)


@app.command()
def watch(
    url: Annotated[str, typer.Argument(help="The URL of a run, with or without /events.")],
    json: Json = False,
    lines: Lines = False,
    log_level: LogLevel = Level.WARNING,
    log_format: LogFormat = Format.TEXT,
) -> None:
    """Follows a run to its end, across lost connections; the exit code is the run's result."""
    _begin_with_url(url, log_level, log_format)
    base, _, query = url.partition("?")
    base = base.rstrip("/").removesuffix("/events") + "/events"
    view = view_of(json=json, lines=lines, run_id=unquote(base.removesuffix("/events").rpartition("/")[2]))
    exit_after(watch_run(f"{base}?{query}" if query else base, view))


@app.command()
def graph(
    target: Target,
    tools: Tools = None,
    log_level: LogLevel = Level.WARNING,
    log_format: LogFormat = Format.TEXT,
) -> None:
    """Prints a workflow as a Mermaid flowchart."""
    log_to_stderr(log_level, log_format)
    out = take_stdout()  # a file that prints while it is imported must not spoil the chart
    workflow, _ = load(target, tools or [])
    print(workflow.validate().mermaid(), file=out, flush=True)


# --- carry out --------------------------------------------------------------------------------------------------


def _begin_with_url(url: str, log_level: Level, log_format: Format) -> None:
    """What the commands do first that ask a server."""
    log_to_stderr(log_level, log_format)
    log_others_to_stderr(log_format)
    if not is_http_url(url):
        refuse(f"{url} is not an http:// or https:// URL of a run{scheme_hint(url)}")


async def _run(
    engine: Engine,
    workflow: Workflow,
    given: dict[str, Any],
    options: dict[str, Any],
    values: list[Sent],
    shown: AbstractContextManager[View],
) -> int:
    async with engine:
        with cancel_on_signals() as signals:
            return await show_to_end(engine, await engine.start(workflow, given, **options), shown, signals, values)


async def _serve(
    engine: Engine, workflows: Sequence[Workflow], host: str, port: int, line: Line | None, **options: Any
) -> int:
    def ready(url: str) -> None:
        names = ", ".join([*(workflow.name for workflow in workflows), *(f"tool {name}" for name in engine.tools)])
        start = f"workflows/{workflows[0].name}/runs" if workflows else "runs"
        print(f"reactor: serving on {url}", flush=True)
        print(f"         {names}; start one: POST {url}/api/v1/{start}", flush=True)
        print(f"         look at the runs: {url}/", flush=True)
        if line is not None:
            line.begin()

    def admin_ready(url: str) -> None:
        print(f"         {url}/metrics, /healthz and /readyz need no key", flush=True)

    options |= {"sockets": line.sockets if line else (), "admin_ready": admin_ready}
    with listening(host, port):
        await serve(engine, workflows, host, port, ready=ready, **options)
    return 0
