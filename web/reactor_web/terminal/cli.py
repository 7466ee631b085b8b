"""The command ``reactor``: run, serve, watch, send, graph, recover, keys.

Exit codes: 0 the run completed, 1 it failed, 3 it was cancelled (also by Ctrl-C or SIGTERM), 4 its stream ended before
it did; 2 the command could not be carried out. 130 and 143: SIGINT or SIGTERM ended the process at once, because it was
the second one or no run was open yet. 141: nobody reads the output any more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version as distribution_version
from typing import Annotated, Any, NoReturn, TextIO
from urllib.parse import unquote

import typer
from rich.console import Console

import reactor
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.errors import LogLost, LogUnavailable, ReactorError, RunEnded, TaskEnded, WrongQuestion
from reactor.events.event import Event, Message
from reactor.events.values import short_repr
from reactor.logs.schemes import SCHEMES
from reactor.run_once import run_on_own_loop
from reactor.runs.run import Run
from reactor_web.client.errors import StreamRefused, StreamUnavailable, scheme_hint
from reactor_web.terminal import keys
from reactor_web.terminal.admin import AdminHost, AdminPort, AdminPortTaken, admin_of
from reactor_web.terminal.doctor.command import doctor_command
from reactor_web.terminal.given import Sent, load, load_all, make_engine, parse_input, parse_value, parse_values, refuse
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
from reactor_web.terminal.lines import printable
from reactor_web.terminal.load import workflows_beside
from reactor_web.terminal.log_lines import Format, Level, log_others_to_stderr, log_to_stderr
from reactor_web.terminal.recover import recover_command
from reactor_web.terminal.reload.command import listening, serve_again_and_again
from reactor_web.terminal.reload.line import GRACE_SECONDS, Line, take_line
from reactor_web.terminal.remote import CommandRefused, post_command
from reactor_web.terminal.serve import serve
from reactor_web.terminal.settings.group import SettledGroup
from reactor_web.terminal.signals import cancel_on_signals
from reactor_web.terminal.stdout import take_stdout
from reactor_web.terminal.turns import make_loop
from reactor_web.terminal.views import View, exit_code, open_view, print_outputs
from reactor_web.terminal.watch import watch_run

app = typer.Typer(
    cls=SettledGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,  # a local may be a key; earlier versions of typer show them
)
app.add_typer(keys.commands, name="keys")
app.command("recover")(recover_command)
app.command("doctor")(doctor_command)

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
    _exit(_run(engine, workflow, given, options, values, _view(json=json, lines=lines, out=out)))


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
        _exit(serve_again_and_again(targets, host, port, store))
    workflows = [workflow for target in targets for workflow in load_all(target, line and line.tell_failure)]
    if line is not None:
        line.tell_imports()
    log_others_to_stderr(log_format)
    engine = make_engine(store, workflows, grace=grace if line is None else min(grace, GRACE_SECONDS))
    options = {"guard": guard, "allowed_hosts": hosts, "cors": origins, "admin": admin_of(admin_port, admin_host)}
    _exit(_serve(engine, workflows, host, port, line, **options), make_loop)


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
    view = _view(json=json, lines=lines, run_id=unquote(base.removesuffix("/events").rpartition("/")[2]))
    _exit(watch_run(f"{base}?{query}" if query else base, view))


@app.command("send")
def send_command(
    url: Annotated[str, typer.Argument(help="The URL of a run.")],
    task: Annotated[str, typer.Argument(help="The task that asks.")],
    value: Annotated[str, typer.Argument(help="JSON, or text.")],
    key: Annotated[str | None, typer.Option(help="The key of the question.")] = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="A run below that run: the task is one of its.")] = None,
    log_level: LogLevel = Level.WARNING,
    log_format: LogFormat = Format.TEXT,
) -> None:
    """Sends a value to a task that asks for one, or to a task of a run below; `reactor watch` shows who asks."""
    _begin_with_url(url, log_level, log_format)
    given = {name: text for name, text in {"key": key, "run": run}.items() if text is not None}
    for name in given:
        if not given[name]:  # for example of a shell variable that is not set: the value would go to another question
            refuse(f"--{name} is empty: name {_NAMED_BY[name]}, or leave it out")
    _exit(_send_to_server(url.rstrip("/"), {"task": task, "value": parse_value(value), **given}))


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


_NAMED_BY = {"key": "the key of the question", "run": "the run that asks"}


# --- carry out --------------------------------------------------------------------------------------------------


def _begin_with_url(url: str, log_level: Level, log_format: Format) -> None:
    """What the commands do first that ask a server."""
    log_to_stderr(log_level, log_format)
    log_others_to_stderr(log_format)
    if not url.startswith(("http://", "https://")):
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
            started = await engine.start(workflow, given, **options)
            signals.cancel(started)
            for sent in values:
                await _send(started, sent)
            with shown as view:
                signals.leave = view.leave
                await _show(engine, started, view)
        if view.is_for_people and started.status == "completed":
            print_outputs(Console(), await started.shown_outputs())
        return exit_code(started.status)


async def _show(engine: Engine, run: Run, view: View) -> None:
    async for message in _messages(engine, run, only_own=not view.is_for_people):
        if isinstance(message, Event):
            view.show(message)


async def _serve(
    engine: Engine, workflows: Sequence[Workflow], host: str, port: int, line: Line | None, **options: Any
) -> int:
    def ready(url: str) -> None:
        names = ", ".join([*(workflow.name for workflow in workflows), *(f"tool {name}" for name in engine.tools)])
        start = f"workflows/{workflows[0].name}/runs" if workflows else "runs"
        print(f"reactor: serving on {url}", flush=True)
        print(f"         {names}; start one: POST {url}/api/v1/{start}", flush=True)
        if line is not None:
            line.begin()

    def admin_ready(url: str) -> None:
        print(f"         {url}/metrics, /healthz and /readyz need no key", flush=True)

    options |= {"sockets": line.sockets if line else (), "admin_ready": admin_ready}
    with listening(host, port):
        await serve(engine, workflows, host, port, ready=ready, **options)
    return 0


async def _messages(engine: Engine, run: Run, *, only_own: bool) -> AsyncIterator[Message]:
    """The events of a run, with those of the runs below it where the log keeps their order."""
    if only_own or not engine.has_tree_events:
        async for message in run:
            yield message
        return
    async for event in await engine.tree_events(run.id):
        yield event.message


async def _send(run: Run, sent: Sent) -> None:
    try:
        await run.send(sent.task, sent.value, key=sent.key)
    except (TaskEnded, RunEnded, WrongQuestion) as late:  # for example, the task was skipped and needs no value
        print(f"reactor: {late}", file=sys.stderr)


async def _send_to_server(url: str, body: dict[str, Any]) -> int:
    await post_command(f"{url}/input", body)
    key = f", key {printable(body['key'])}," if "key" in body else ""
    run = body.get("run") or unquote(url.rpartition("/")[2])
    sent = f"sent {short_repr(body['value'])} to task {body['task']}{key} of run {run}"
    print(f"reactor: {printable(sent)}", file=sys.stderr)
    return 0


def _view(*, json: bool, lines: bool, out: TextIO | None = None, run_id: str = "") -> AbstractContextManager[View]:
    if json and lines:
        refuse("--json and --lines are two ways to show a run: give one of them")
    return open_view(Console(file=out), json=json, lines=lines, run_id=run_id)


def _exit(
    main: Coroutine[Any, Any, int], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> NoReturn:
    code, left = 2, list[str]()
    try:
        code = run_on_own_loop(main, loop_factory, left=left.append)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # ``reactor run … | head``: the run has been cancelled, and there is nobody to tell
        os._exit(128 + 13)  # without another flush, which would fail, too
    except LogUnavailable as error:
        refuse(f"--store: {error}")
    except (AdminPortTaken, StreamRefused, StreamUnavailable, CommandRefused, LogLost, ReactorError) as error:
        refuse(str(error))
    finally:
        if left:  # a thread or a task that does not stop must not keep the process
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    raise typer.Exit(code)
