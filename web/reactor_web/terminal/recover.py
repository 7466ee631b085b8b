"""The command ``reactor recover``: copies what can be read of a damaged log into a new file, and says what is missing.

Exit codes: 0 all runs are whole, 1 some are cut or lost, 2 nothing was written, 130 and 143 it was interrupted.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from reactor.errors import LogUnavailable
from reactor.logs.sqlite.salvage.copy import recover
from reactor.logs.sqlite.salvage.whole import RecoveredRun
from reactor_web.terminal.given import refuse
from reactor_web.terminal.lines import printable

_SOME_ARE_MISSING: Final = 1
_QUIET_SECONDS: Final = 1.0
"""Of a short file no progress is shown."""


def recover_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The damaged log. It is only read.")],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The new file, NAME.recovered.db if it is not given.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One run a line, as JSON, also those that are whole.")] = False,
) -> None:
    """Copies what can be read of a damaged log into a new file, and says which runs are cut or lost."""
    out = out or file.with_name(f"{file.stem}.recovered{file.suffix or '.db'}")
    signal.signal(signal.SIGTERM, _interrupt)
    progress = _Progress()
    try:
        runs = recover(file, out, progress)
    except LogUnavailable as error:
        progress.end()
        refuse(str(error))
    except KeyboardInterrupt:
        progress.end()
        raise typer.Exit(130) from None
    progress.end()
    for run in runs:
        if json:
            print(orjson.dumps(_shown(run)).decode())
        elif run.verdict != "whole":
            print(printable(_sentence(run)))
    count = Counter(run.verdict for run in runs)
    print(
        f"reactor: wrote {out}: of {len(runs):,} runs {count['whole']:,} are whole, {count['cut']:,} are cut and"
        f" {count['lost']:,} are lost",
        file=sys.stderr,
    )
    raise typer.Exit(0 if count["whole"] == len(runs) else _SOME_ARE_MISSING)


def _interrupt(*_: object) -> None:
    raise typer.Exit(143)


def _shown(run: RecoveredRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "tenant": run.tenant,
        "is": run.verdict,
        "last_seq": run.last_seq,
        "had": run.had,
        "has_ended": run.has_ended,
    }


def _sentence(run: RecoveredRun) -> str:
    who = f"run {run.run_id}" + (f" of tenant {run.tenant}" if run.tenant else "")
    if not run.run_id:
        return f"a run of at least {run.had or 1:,} events is lost, and so is its id"
    if run.verdict == "lost":
        return f"{who} is lost"
    if run.had is not None:
        return f"{who} is cut: it has its events up to {run.last_seq:,}, of at least {run.had:,}"
    return f"{who} may be cut: it has its events up to {run.last_seq:,}, and nobody can say whether there were more"


class _Progress:
    """One line on stderr: written over on a terminal, else a new one every ten seconds."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._last = time.monotonic()
        self._every = _QUIET_SECONDS if self._is_terminal else 10 * _QUIET_SECONDS
        self._is_shown = False

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        begin, end = ("\r", "") if self._is_terminal else ("", "\n")
        print(f"{begin}reactor: {done:,} of {total:,} {what} ", end=end, file=sys.stderr, flush=True)
        self._is_shown = self._is_terminal

    def end(self) -> None:
        if self._is_shown:
            print(file=sys.stderr)
