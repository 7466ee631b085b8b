"""The command ``reactor doctor``. Exit codes: 0 nothing to say, 1 there are findings, 2 it could not look."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any, Final

import orjson
import typer

from reactor_web.terminal.doctor.facts import Facts
from reactor_web.terminal.doctor.findings import Finding, findings
from reactor_web.terminal.doctor.server import CannotLook, facts_of_server
from reactor_web.terminal.doctor.store import facts_of_store
from reactor_web.terminal.given import refuse
from reactor_web.terminal.lines import printable

_FOUND: Final = 1
_TOKEN: Final = "REACTOR_TOKEN"


def doctor_command(
    url: Annotated[str | None, typer.Option(metavar="URL", help="A server, http://127.0.0.1:8080.")] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="A log, sqlite:///reactor.db; it is only read.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One finding a line, as JSON.")] = False,
) -> None:
    """Says what is wrong with a server, or with a log, and what to do. Give --url, --store or both."""
    if url is None and store is None:
        refuse("say what to look at: --url of a server, --store of a log, or both")
    try:
        facts = asyncio.run(_gather(url, store))
    except CannotLook as error:
        refuse(printable(str(error)))
    found = findings(facts)
    for finding in found:
        print(orjson.dumps(finding._asdict()).decode() if json else _text(finding))
    if not found and not json:
        print("Nothing is wrong.")
    raise typer.Exit(_FOUND if found else 0)


async def _gather(url: str | None, store: str | None) -> Facts:
    seen: dict[str, Any] = {}
    if url is not None:
        seen |= await facts_of_server(url, os.environ.get(_TOKEN) or None)
    if store is not None:  # what the server says of its log counts: it knows what it was opened with
        seen = {**await facts_of_store(store), **seen}
    return Facts(**seen)


def _text(finding: Finding) -> str:
    wrong = finding.wrong[:1].upper() + finding.wrong[1:]
    return printable(f"{wrong.rstrip('.')}.") + f"\n    {finding.remedy}"
