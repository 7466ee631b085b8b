"""`reactor export`: a run as its events, or as a trace."""

from __future__ import annotations

import sys
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import orjson
import typer

from reactor_web.terminal.given import refuse
from reactor_web.terminal.lines import json_line
from reactor_web.terminal.places.place import Place
from reactor_web.terminal.runs.options import RunId, Store, Url, at_run, tell
from reactor_web.terminal.runs.trace import Trace


class Form(StrEnum):
    """What a run is written as."""

    NDJSON = "ndjson"
    TRACE = "trace"


def export_run(
    run: RunId,
    form: Annotated[
        Form, typer.Option("--format", help="ndjson: its events, one a line; trace: a Chrome trace, for Perfetto.")
    ] = Form.NDJSON,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="A new file; else stdout.")] = None,
    url: Url = None,
    store: Store = None,
) -> None:
    """Writes a run: all of its events as they are in the log, or what it did when as a trace."""

    async def work(place: Place, run_id: str) -> int:
        await place.state(run_id)  # an unknown run leaves no file
        if out is None:
            await _write(place, run_id, form, sys.stdout)
            return 0
        try:
            with out.open("x", encoding="utf-8") as file:
                await _write(place, run_id, form, file)
        except FileExistsError:
            refuse(f"{out} is there already: name another file")
        except OSError as error:
            refuse(f"{out} cannot be written: {error.strerror}")
        return 0

    at_run(run, url, store, work)


async def _write(place: Place, run_id: str, form: Form, file: TextIO) -> None:
    trace = Trace()
    async with aclosing(place.events(run_id, 0, follow=False)) as messages:
        async for message in messages:
            if message.type == "stream.gap":
                tell(f"the log does not have events {message.data.get('from')} to {message.data.get('to')} any more")
            elif form is Form.NDJSON:
                file.write(json_line(message) + "\n")
            else:
                trace.take(message)
    if form is Form.TRACE:
        file.write(orjson.dumps(trace.document()).decode() + "\n")
    file.flush()
