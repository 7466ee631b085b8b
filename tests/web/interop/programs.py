"""Clients that are programs, each in a process: what they print are lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.helpers.node import node_script
from tests.web.interop.seen import Seen

CURL = Path(__file__).parent / "curl.sh"


def node(name: str, *arguments: str, newest: bool = False) -> list[str]:
    """The command of a script of ``tests/node/interop``."""
    return [*node_script(f"interop/{name}.mjs", newest=newest), *arguments]


def curl(url: str) -> list[str]:
    """The command of the loop around curl. Skips the test where there is no curl."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"follows with {program}, which is not here")
    return ["bash", str(CURL), url]


async def run(command: Sequence[str], authority: Path | None, seen: Mapping[str, Seen]) -> None:
    """Runs one to its end. Where it is several clients (``seen``), each of its lines names its ``client``."""
    pipe = asyncio.subprocess.PIPE
    trusted = {} if authority is None else {"NODE_EXTRA_CA_CERTS": str(authority), "CURL_CA_BUNDLE": str(authority)}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=pipe, stderr=pipe, limit=1 << 22, env={**os.environ, **trusted}
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.ensure_future(process.stderr.read())
    (only, *_) = seen.values()
    try:
        async for text in process.stdout:
            line = json.loads(text)
            (seen[line.pop("client")] if "client" in line else only).note(line)
        status = await process.wait()
        failed = None if status == 0 else f"status {status}: {(await errors).decode()[-500:]}"
        for one in seen.values():
            one.close(failed)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await errors
