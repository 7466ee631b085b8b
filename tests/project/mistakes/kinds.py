"""How a row is run. Each function returns what whoever wrote it is told."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
import textwrap
from collections.abc import Awaitable, Generator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp.test_utils import TestClient, TestServer

from reactor import Engine, RunFailed, Workflow
from reactor.logger import warn_once
from reactor_web import create_app
from tests.helpers.command import reactor
from tests.helpers.log_lines import log_lines

SECONDS = 20
NOTHING = "(nothing)"


def run_python(setup: str, row: str, folder: Path, then: str = "") -> str:
    """The error of Python code, or else its warnings in the log. It may await, and finds ``folder`` as its directory.

    ``then``: code that runs after the row and is not shown.
    """
    code = "\n".join((setup, row, then))
    compiled = compile(code, "<mine>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    warn_once.cache_clear()
    with chdir(folder), said_in_log() as warnings:
        try:
            done = eval(compiled, {"__name__": "mine"})  # with an await in it, this is a coroutine
            if inspect.isawaitable(done):
                asyncio.run(_in_time(done))
        except Exception as error:
            return _sentence(error)
    return "\n".join(warnings) or NOTHING


async def _in_time(done: Awaitable[Any]) -> None:
    async with asyncio.timeout(SECONDS):
        await done


def run_body(row: str, folder: Path) -> str:
    """What a body that consists of this row fails with. ``await run`` raises it as the cause of RunFailed."""
    body = f"async def job(ctx: Context, item: int = 1):\n{textwrap.indent(row, '    ')}"
    return run_python(f"from reactor import *\nflow = Workflow('census')\n@flow.task\n{body}", _RUN, folder)


def run_thread(row: str, folder: Path) -> str:
    """The same for a ``def`` body."""
    body = f"def job(ctx: Context):\n{textwrap.indent(row, '    ')}"
    return run_python(f"from reactor import *\nflow = Workflow('census')\n@flow.task\n{body}", _RUN, folder)


_RUN = """
async with Engine(workflows=[flow]) as engine:
    run = await engine.start(flow, run_id='r1')
    await run
"""


def run_command(row: str, folder: Path) -> str:
    """What the command ``reactor`` prints on stderr, and its exit code."""
    done = reactor(*shlex.split(row)[1:], cwd=folder)
    return f"{' '.join(done.stderr.split())} (exit code {done.returncode})"


def run_request(flow: Workflow, row: str, folder: Path) -> str:
    """The status and the sentence of an answer. ``row``: a request line, then headers, then a body."""
    return asyncio.run(_request(flow, row))


async def _request(flow: Workflow, row: str) -> str:
    first, *rest = row.strip("\n").splitlines()
    method, path = first.split(" ", 1)
    headers = dict(line.split(": ", 1) for line in rest if not line.startswith(("{", "[")))
    body = "\n".join(line for line in rest if line.startswith(("{", "[")))
    if method != "GET":
        headers = {"Content-Type": "application/json", **headers}
    async with Engine(workflows=[flow], tools=[], grace=0.0) as engine:  # tools: other tests register some
        await (await engine.start(flow, {"root": "src"}, run_id="r1"))
        async with TestClient(TestServer(create_app(engine, [flow]))) as client:
            answer = await client.request(method, f"/api/v1{path}", headers=headers, data=body or None)
            said = orjson.loads(await answer.read()) if answer.status >= 400 else {"detail": NOTHING}
            return f"{answer.status}: {said['detail']}"


@contextmanager
def said_in_log() -> Generator[list[str]]:
    """The warnings and errors that the library logs inside of the block, as text."""
    found: list[str] = []
    with log_lines() as lines:
        yield found
        for line in lines:
            level, event = line.pop("log_level"), line.pop("event")
            if level in ("warning", "error"):
                found.append(f"log, {level.upper()}: {event}")


def _sentence(error: BaseException) -> str:
    cause = error.__cause__
    if isinstance(error, RunFailed) and cause is not None:
        error = cause
    text = re.sub(r"process \d+", "process 4711", str(error))
    return f"{type(error).__name__}: {text}"
