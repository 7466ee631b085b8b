"""The commands about runs that are there, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reactor_web.terminal.runs.changing import cancel_run, pause_run, prune_runs, remove_runs, send_value
from reactor_web.terminal.runs.exporting import export_run
from reactor_web.terminal.runs.going_on import resume_run, retry_run
from reactor_web.terminal.runs.listing import list_questions, list_runs
from reactor_web.terminal.runs.showing import show_events, show_logs, show_run

RUN_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "ls": list_runs,
    "show": show_run,
    "events": show_events,
    "logs": show_logs,
    "questions": list_questions,
    "send": send_value,
    "cancel": cancel_run,
    "pause": pause_run,
    "resume": resume_run,
    "retry": retry_run,
    "export": export_run,
    "prune": prune_runs,
    "rm": remove_runs,
}
"""In the order in which `reactor --help` lists them."""
