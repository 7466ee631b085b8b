"""Writes ``docs/commands.md``: ``python -m tests.web.terminal.describe``. Its screens are those of the commands."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from typer.core import TyperGroup

from reactor import Engine
from reactor.logs.sqlite.log import SqliteLog
from reactor_web.terminal.cli import app
from tests.helpers.command import reactor
from tests.helpers.paths import ROOT
from tests.helpers.stored_runs import FLOW, store_runs, store_schedule

PAGE = ROOT / "docs" / "commands.md"

INTRODUCTION = """\
# Commands

Everything that `reactor` can do on a command line. This page is made by the tests; do not edit it: run `python -m
tests.web.terminal.describe`.

## Where the runs are

A command about runs that are there already takes `--url` or `--store`:

- `--url http://127.0.0.1:8080`, or `REACTOR_URL`: a server. The key of `reactor keys` is in `REACTOR_TOKEN`, so that
  it is in no list of processes. RUN may also be the URL of a run, as `reactor watch` takes it.
- `--store sqlite:///runs.db`, or `REACTOR_STORE`: the log itself, also one in Redis.
- Flags count before the environment. Without either it is `reactor.db` in this folder if it is there, else
  `http://127.0.0.1:8080`: what `reactor serve` takes by default. Both in one place are refused.

**A file is read beside its owner.** A server that has the file open is not disturbed and does not notice. What
changes something is asked of the owner: the sentence that refuses it has its URL. **Without an owner** `send`,
`cancel`, `pause`, `rm` and `prune` write to the file: an answer or a pause waits in the log for who goes on with the
run, a cancel ends it. `resume RUN FILE` and `retry RUN FILE` execute the run here, to its end; other open runs of the
file stay as they are. **In Redis** a command is carried out by whichever node executes the run; `resume` and `retry`
with FILE make this process one more node.

With `--json` a command prints one JSON document, or one a line for lists and events. Without a terminal lists are
lines with tabs and no titles. Times are UTC. What comes from runs is shown as text: nothing in it can move a cursor
or change a colour.

`reactor run` asks on the terminal when a task asks: it shows the choices and asks again where a value does not fit.
Without a terminal it says on stderr how to answer.

`events` prints the lines that `watch` prints where there is no terminal; `-f` goes on to the end of the run, across
lost connections and restarts, also on a file whose server is gone. `export` writes the events as they are in the log,
byte for byte; outputs above 32 KiB stay references (`output_ref`). `--format trace` makes a Chrome trace: open it
with <https://ui.perfetto.dev>. Attempts that run at once are on lanes of their own, waits for answers inside of them.

`schedule ls` reads as the others do, and `schedule pause` writes to a file without an owner. `schedule resume NAME
FILE` and `schedule trigger NAME FILE` want the file of the workflow there: to see that the next time can start, and to
execute the run here, to its end. No time of any schedule starts meanwhile.

`prune` keeps open runs with all that belongs to them. In a file `--keep-days` counts from the end of a run; on a
server, which is asked run by run, from its start.
"""

CODES = """\
## Exit codes

| code | |
|---|---|
| 0 | done. Of `run`, `watch`, and `resume` and `retry` with FILE: the run completed. Of `check`: nothing is wrong |
| 1 | the run failed; `check` found something wrong; `recover` found runs that are cut or lost |
| 2 | the command could not be carried out: one sentence on stderr says why |
| 3 | the run was cancelled, also by Ctrl-C or SIGTERM |
| 4 | the stream ended before the run did, at `watch` |
| 130, 143 | Ctrl-C or SIGTERM ended the command at once |
| 141 | nobody reads stdout any more (`\\| head`) |
"""

SCREENS = [
    "reactor check release.py",
    "reactor ls",
    "reactor ls --status failed --json",
    "reactor show bad",
    "reactor questions",
    "reactor send asks deploy soon",
    "reactor send asks deploy now",
    "reactor resume asks",
    "reactor resume asks release.py",
    "reactor logs done",
    "reactor events done",
    "reactor cancel done",
    "reactor schedule ls",
    "reactor schedule pause daily",
    "reactor schedule trigger daily",
    "reactor schedule resume daily release.py",
    "reactor prune --keep-runs 1",
    "reactor rm asks --json",
]
OF_OWNER = "reactor rm asks"
URL = "http://127.0.0.1:8080"

_CHANGING = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "2026-12-01T08:00:00Z"),
    (re.compile(r"\d\d:\d\d:\d\d\.\d{3}"), "08:00:00.000"),
    (re.compile(r" +\d+(?:\.\d)? (?:ms|s|min \d\d s)(?!\w)"), " 1.0 ms"),
    (re.compile(r"(?<=\S) {2,}(?=\S)"), "  "),  # columns are as wide as the durations in them
    (re.compile(r"process \d+"), "process 4711"),
]
"""What is different each time, and what the page has in its place."""


def page() -> str:
    """The whole page."""
    with TemporaryDirectory() as folder:
        log = asyncio.run(store_runs(Path(folder)))
        log.rename(log.with_name("reactor.db"))
        asyncio.run(store_schedule(log.with_name("reactor.db"), "daily", "0 7 * * 1-5"))
        owned = asyncio.run(_owned(Path(folder)))
        screens = [_screen(line, Path(folder)) for line in SCREENS]
    return "\n".join(
        [
            INTRODUCTION, _table(), CODES, "## What they print\n", "The workflow of these screens:\n",
            f"```python\n{FLOW}```\n", "```console", *screens[:-1], owned, screens[-1] + "```", "",
        ]
    ).replace("\n\n\n", "\n\n")  # fmt: skip


async def _owned(folder: Path) -> str:
    async with Engine("sqlite:///" + str(folder / "reactor.db")) as engine:
        assert isinstance(engine.log, SqliteLog)
        engine.log.announce(URL)
        return _screen(OF_OWNER, folder)


def _screen(line: str, folder: Path) -> str:
    done = reactor(*line.split()[1:], cwd=folder)
    shown = f"{done.stdout}{done.stderr}".replace(f"{folder}/", "")
    for pattern, text in _CHANGING:
        shown = pattern.sub(text, shown)
    return f"$ {line}\n{shown}" + (f"(exit code {done.returncode})\n" if done.returncode else "")


def _table() -> str:
    """Every command, with the first sentence of its help."""
    commands = typer.main.get_command(app)
    assert isinstance(commands, TyperGroup)
    rows = ["## All commands\n", "| command | |", "|---|---|"]
    for name, command in sorted(commands.commands.items()):
        words = (command.help or "").replace("|", "\\|").splitlines()[0]
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        given = " ".join(one.metavar or (one.name or "").upper() for one in arguments)
        rows.append(f"| `reactor {name}{' ' + given if given else ''}` | {words} |")
    return "\n".join(
        [*rows, "", "`reactor COMMAND --help` has the options. `python -m reactor` is the same command.", ""]
    )


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
