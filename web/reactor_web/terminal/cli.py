"""The command ``reactor``: run, serve, watch, graph.

Exit codes: 0 the run completed, 1 it failed, 3 it was cancelled, 4 its stream ended before it did; 2 the command could
not be carried out; 130 it was interrupted.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version as distribution_version
from typing import Annotated, Any, NoReturn

import aiohttp
import orjson
import typer
from rich.console import Console

import reactor
from reactor.definition.graph import Graph
from reactor.definition.workflow import Workflow
from reactor.engine import Engine
from reactor.errors import InputError, LogLost, ReactorError, RunEnded, TaskEnded, WorkflowError
from reactor.events.event import Event
from reactor.runs.run import Run
from reactor_web.client.follow import StreamRefused, StreamUnavailable, follow_url
from reactor_web.guard.hosts import is_loopback
from reactor_web.terminal.load import (
    LoadError,
    is_plan,
    load_plan_file,
    load_workflow,
    load_workflows,
    workflows_beside,
)
from reactor_web.terminal.log_lines import log_to_stderr
from reactor_web.terminal.serve import serve
from reactor_web.terminal.views import View, exit_code, open_view, print_outputs

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

USAGE = 2
START_OPTIONS = ("run_id", "meta", "budget")
"""Members of a plan that are for the start of its run."""

Store = Annotated[str, typer.Option(help="Event log: memory:// or sqlite:///path")]
Json = Annotated[bool, typer.Option("--json", help="One event a line, as JSON.")]
Target = Annotated[str, typer.Argument(metavar="FILE[:WORKFLOW]", help="A Python file or module, or a PLAN.json.")]
Tools = Annotated[
    list[str] | None, typer.Option(metavar="FILE", help="Registers the tools of a plan: Python; repeatable.")
]


def main() -> None:
    """The entry point of the command."""
    log_to_stderr()
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
        list[str] | None, typer.Option(metavar="TASK=VALUE", help="A value for a task that asks for one; repeatable.")
    ] = None,
    json: Json = False,
    tools: Tools = None,
) -> None:
    """Runs a workflow here, shows it live and prints its outputs. Ctrl-C cancels."""
    workflow, options = _load(target, tools or [])
    if workflow.plan is not None and inputs:
        _refuse(f"{target} is a plan, which has its inputs in the file: {inputs[0]!r} cannot be given")
    given = _parse_input(workflow.validate(), inputs or [])
    values = _parse_values(workflow.validate(), send or [])
    engine = _engine(store, [] if workflow.plan is not None else [workflow, *workflows_beside(workflow)])
    _exit(_run(engine, workflow, given, options, values, json=json))


@app.command("serve")
def serve_command(
    targets: Annotated[list[str], typer.Argument(metavar="FILE...", help="Python files or modules.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    store: Store = "sqlite:///reactor.db",
    grace: Annotated[float, typer.Option(min=0, max=3600, help="Seconds open runs get at the end.")] = 2.0,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name under which runs may be started here; repeatable.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond loopback, where anybody who reaches it can start runs.")
    ] = False,
) -> None:
    """Serves the workflows of the files over HTTP, under /api/v1."""
    if not is_loopback(host) and not insecure:
        _refuse(f"{host} is reachable from other machines and there is no authentication; --insecure accepts that")
    workflows = [workflow for target in targets for workflow in _load_all(target)]
    engine = _engine(store, workflows, grace=grace)
    hosts = [*(allow_host or ()), *(() if is_loopback(host) else (host,))]

    def ready(url: str) -> None:
        names = ", ".join([*(workflow.name for workflow in workflows), *(f"tool {name}" for name in engine.tools)])
        start = f"workflows/{workflows[0].name}/runs" if workflows else "runs"
        print(f"reactor: serving on {url}", flush=True)
        print(f"         {names}; start one: POST {url}/api/v1/{start}", flush=True)

    async def main() -> int:
        try:
            await serve(engine, workflows, host, port, allowed_hosts=hosts, ready=ready)
        except OSError as error:
            _refuse(f"cannot listen on {host}:{port}: {error.strerror or error}")
        return 0

    _exit(main())


@app.command()
def watch(
    url: Annotated[str, typer.Argument(help="The URL of a run, with or without /events.")],
    json: Json = False,
) -> None:
    """Follows a run to its end, across lost connections; the exit code is the run's result."""
    if not url.startswith(("http://", "https://")):
        _refuse(f"{url} is not an http:// or https:// URL of a run")
    base, _, query = url.partition("?")
    base = base.rstrip("/").removesuffix("/events") + "/events"
    _exit(_watch(f"{base}?{query}" if query else base, json=json))


@app.command()
def graph(target: Target, tools: Tools = None) -> None:
    """Prints a workflow as a Mermaid flowchart."""
    workflow, _ = _load(target, tools or [])
    print(workflow.validate().mermaid())


# --- carry out --------------------------------------------------------------------------------------------------


async def _run(
    engine: Engine,
    workflow: Workflow,
    given: dict[str, Any],
    options: dict[str, Any],
    values: list[tuple[str, Any]],
    *,
    json: bool,
) -> int:
    async with engine:
        started = await engine.start(workflow, given, **options)
        for task, value in values:
            await _send(started, task, value)
        stopping: set[asyncio.Task[None]] = set()

        def cancel() -> None:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)  # a second Ctrl-C ends the process at once
            stopping.add(asyncio.ensure_future(started.request_cancel(reason="interrupted", by="keyboard")))

        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, cancel)
        with _view(json) as view:
            async for message in started:
                if isinstance(message, Event):  # pyright: ignore[reportUnnecessaryIsInstance]  # or a Notice: stream.gap
                    view.show(message)
        if not json and started.status == "completed":
            print_outputs(Console(), await started.outputs())
        return exit_code(started.status)


async def _send(run: Run, task: str, value: Any) -> None:
    try:
        await run.send(task, value)
    except (TaskEnded, RunEnded) as late:  # for example, the task was skipped and needs no value
        print(f"reactor: {late}", file=sys.stderr)


async def _watch(url: str, *, json: bool) -> int:
    # no total timeout: a run may take days, and follow_url has a timeout for silence
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    notice = Console(stderr=True)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with _view(json) as view:
            async for frame in follow_url(
                url, session=session, on_connection=lambda text: notice.print(text, markup=False)
            ):
                if frame.event != "stream.end":
                    view.show(orjson.loads(frame.data))
            status = view.state.status if view.state.seq else await _status(session, url)
    return exit_code(status)


async def _status(session: aiohttp.ClientSession, url: str) -> str:
    """The status of a run whose events were all seen before (204)."""
    async with session.get(url.partition("?")[0].removesuffix("/events")) as response:
        return (await response.json())["status"]


def _view(json: bool) -> AbstractContextManager[View]:
    return open_view(Console(), json=json)


# --- read the command line --------------------------------------------------------------------------------------


def _refuse(sentence: str) -> NoReturn:
    print(f"reactor: {sentence}", file=sys.stderr)
    raise typer.Exit(USAGE)


def _load(target: str, tools: list[str]) -> tuple[Workflow, dict[str, Any]]:
    """The workflow, and the options for its start that the document of a plan has."""
    try:
        if is_plan(target):
            workflow, document = load_plan_file(target, tools)
            return workflow, {name: document[name] for name in START_OPTIONS if document.get(name) is not None}
        if tools:
            _refuse(f"--tools is for a plan, and {target} is not a .json file")
        workflow = load_workflow(target)
        workflow.validate()
    except (LoadError, WorkflowError) as error:
        _refuse(str(error))
    return workflow, {}


def _load_all(target: str) -> list[Workflow]:
    try:
        workflows = load_workflows(target)
        for workflow in workflows:
            workflow.validate()
    except (LoadError, WorkflowError) as error:
        _refuse(str(error))
    return workflows


def _engine(store: str, workflows: Sequence[Workflow], **options: Any) -> Engine:
    try:
        return Engine(store, workflows=workflows, **options)
    except ValueError as error:
        _refuse(str(error))


def _parse_input(graph: Graph, pairs: Sequence[str]) -> dict[str, Any]:
    texts: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            _refuse(f"{pair!r} is not an input: write KEY=VALUE")
        if key in texts:
            _refuse(f"the input {key!r} is given twice")
        texts[key] = text
    try:
        return graph.parse_input(texts)
    except InputError as error:
        _refuse(str(error))


def _parse_values(graph: Graph, pairs: Sequence[str]) -> list[tuple[str, Any]]:
    """``task=value`` of ``--send``. A value that is not JSON is text."""
    values: list[tuple[str, Any]] = []
    for pair in pairs:
        task, equals, text = pair.partition("=")
        if not equals:
            _refuse(f"--send {pair!r} has no value: write TASK=VALUE")
        if task not in graph.by_name:
            _refuse(f"--send {pair!r} names no task of this workflow; it has {', '.join(graph.by_name)}")
        try:
            values.append((task, orjson.loads(text)))
        except orjson.JSONDecodeError:
            values.append((task, text))
    return values


def _exit(main: Coroutine[Any, Any, int]) -> NoReturn:
    try:
        code = asyncio.run(main)
    except KeyboardInterrupt:
        code = 130
    except (StreamRefused, StreamUnavailable, LogLost, ReactorError) as error:
        _refuse(str(error))
    raise typer.Exit(code)
