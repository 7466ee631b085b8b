"""What ``reactor run`` and ``reactor watch`` show: a live tree on a terminal, plain lines or JSON lines elsewhere.

Names, messages and errors come from users and from what their tasks read. They are shown, never obeyed: nothing of
them is markup, and whatever could move a cursor, change a colour or reorder text is shown as its escape.
"""

from __future__ import annotations

import json as stdlib_json
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from heapq import nsmallest
from threading import Lock
from typing import Any, Final, Protocol, Self, TypeAlias, cast

import orjson
from rich.console import Console, Group, RenderableType
from rich.highlighter import JSONHighlighter
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reactor.events import PROGRESS_LIKE, Control, Event
from reactor.state import RUN_STATUS, TASK_STATUS, RunState, TaskState, evolve

Message: TypeAlias = Event | Control
Shown: TypeAlias = Message | dict[str, Any]
"""What a view takes: an event, a control message, or the envelope of either as a dict."""

EXIT_CODES: Final = {"completed": 0, "failed": 1, "cancelled": 3}
"""Status of the run -> exit code. 2 is bad input, as in every command; 130 is the shell's own for an interrupt."""
NOT_ENDED: Final = 4
"""Exit code where the following ended before the run did."""

LOOKS: Final = {
    "pending": ("·", "dim"),
    "running": ("▶", "cyan"),
    "paused": ("‖", "yellow"),
    "waiting": ("?", "yellow"),
    "retrying": ("↻", "yellow"),
    "cancelling": ("■", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("↷", "dim"),
    "cancelled": ("■", "yellow"),
}
"""Status of a run or a task -> its symbol and style."""

REFRESHES_PER_SECOND: Final = 10
CHILD_LINES: Final = 8
"""Children of one mapped task on the screen at most."""
BAR_WIDTH: Final = 20
DATA_CHARS: Final = 200
"""Of a custom event's data in a plain line."""
_QUIET: Final = PROGRESS_LIKE | {"task.chunk", "task.spent", "run.state", "stream.end", "stream.closing"}
"""Types without a plain line: there is one for everything that changes, not for everything that moves."""
_STATUS: Final = {
    "run.paused": "paused",
    "task.retrying": "retrying",
    "task.waiting": "waiting",
    **RUN_STATUS,
    **TASK_STATUS,
}
_RANK: Final = {"running": 0, "waiting": 0, "retrying": 0, "failed": 1, "cancelled": 2, "completed": 2, "skipped": 2}
"""Who gets a line first where there is not one for everybody; what has not begun comes last."""
_LATER: Final = 3


def exit_code(status: str) -> int:
    """The exit code of a run's status (``EXIT_CODES``); ``NOT_ENDED`` for one that has not ended."""
    return EXIT_CODES.get(status, NOT_ENDED)


# --- text -------------------------------------------------------------------------------------------------------


def printable(text: str, *, keep: str = "") -> str:
    """``text`` with everything a terminal would obey as a JSON escape, line ends included unless in ``keep``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep or c in "\u200c\u200d" else _escape(c) for c in text)


def _escape(c: str) -> str:
    # spaces of other widths are no danger; json, unlike orjson, escapes DEL, C1 and direction marks too
    return " " if unicodedata.category(c) == "Zs" else stdlib_json.dumps(c)[1:-1]


def duration(ms: float | None) -> str:
    """``4.1 ms``, ``1.2 s``, ``3 min 05 s``, ``2 h 07 min``; empty for None."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms:.1f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(int(ms / 1000), 60)
    return f"{minutes} min {seconds:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _told(error: Any) -> str:
    """``ValueError: no such file`` of ``{type, message}``."""
    if not isinstance(error, dict):
        return ""
    fields = cast("dict[str, Any]", error)
    return ": ".join(str(fields[name]) for name in ("type", "message") if fields.get(name))


# --- lines ------------------------------------------------------------------------------------------------------


def json_line(event: Message) -> str:
    """The event's JSON exactly, as it is in the log."""
    return event.json.decode()


def plain_line(event: Message) -> str | None:
    """``12:00:01.123 ✓ measure[3] completed in 4.1 ms``, in UTC; None for what has no line (progress, chunks)."""
    if event.type in _QUIET:
        return None
    status = _STATUS.get(event.type)
    symbol = LOOKS[status][0] if status else LOOKS["pending"][0]
    words = _SAY.get(event.type, _say_status if status else _say_custom)(event, event.data)
    return printable(f"{event.time[11:23]} {symbol} {event.task_id or 'run'} {words}").rstrip()


def _say_status(event: Message, data: dict[str, Any]) -> str:
    """Status, duration, error or reason, of a run or a task."""
    words = _STATUS[event.type]
    spent = data.get("duration_ms", data.get("stop_ms"))
    if spent is not None:
        words += f" {'after' if event.type.endswith(('failed', 'cancelled')) else 'in'} {duration(spent)}"
    if data.get("cached"):
        words += " (cached)"
    if data.get("stopped") is False:
        words += " (its thread did not answer and was abandoned)"
    why = _told(data.get("error")) or data.get("reason")
    because = f", because of {data['because']}" if data.get("because") else ""
    return f"{words}: {why}{because}" if why else words + because


def _say_log(event: Message, data: dict[str, Any]) -> str:
    fields = cast("dict[str, Any]", data.get("fields") or {})
    return " ".join([f"{data.get('level')}: {data.get('message')}", *(f"{k}={v}" for k, v in fields.items())])


def _say_custom(event: Message, data: dict[str, Any]) -> str:
    text = orjson.dumps(data).decode()
    return f"{event.type} {text if len(text) <= DATA_CHARS else text[:DATA_CHARS] + '…'}"


_SAY: Final[dict[str, Callable[[Message, dict[str, Any]], str]]] = {
    "run.started": lambda event, data: f"{event.run_id} of {data['workflow']} started, {data['total_tasks']} tasks",
    "task.started": lambda event, data: "started" + (f", attempt {event.attempt}" if event.attempt != 1 else ""),
    "task.mapped": lambda event, data: f"mapped over {data.get('count')} items",
    "log.created": _say_log,
    "stream.gap": lambda event, data: f"events {data.get('from')} to {data.get('to')} missing: {data.get('reason')}",
}


# --- the tree ---------------------------------------------------------------------------------------------------


def render_run(state: RunState, *, now: float, height: int) -> RenderableType:
    """A run as at most ``height`` lines: header, bar, tasks. ``now`` is in Unix seconds; nothing else is read.

    Tasks stand in the order of their definition. Where there are more than lines, what runs comes first, then what
    failed, then what ended last, and the rest is counted. Of mapped children those that run or failed show.
    """
    ended = state.completed + state.failed + state.skipped + state.cancelled
    symbol, style = LOOKS.get(state.status, LOOKS["pending"])
    header = Text(no_wrap=True, overflow="ellipsis")
    header.append(f"{symbol} ", style)
    header.append(printable(state.workflow or "run"), "bold")
    elapsed = _elapsed(state.started, state.duration_ms, now)
    header.append(printable(f" {state.run_id} {state.status} {elapsed} {ended}/{state.total_tasks}"))
    bar = ProgressBar(total=1.0, completed=state.progress, width=3 * BAR_WIDTH)
    parts: list[RenderableType] = [header, bar]
    if error := _told(state.error):
        parts.append(_line(error, "red"))
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    # one line for what is counted, and one below for the cursor
    tasks, hidden = _visible(state, max(0, height - len(parts) - 2))
    for task in tasks:
        table.add_row(*_cells(task, now))
    if tasks:
        parts.append(table)
    if hidden:
        parts.append(_line(f"… {', '.join(f'{count} more {status}' for status, count in hidden.items())}", "dim"))
    return Group(*parts)


def _line(text: str, style: str = "") -> Text:
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")


def _visible(state: RunState, room: int) -> tuple[list[TaskState], Counter[str]]:
    """The tasks that get a line, each followed by its children that do, and how many others there are by status."""
    tasks: list[TaskState] = []
    children: dict[str, list[TaskState]] = {}
    for task in state.tasks.values():
        if task.map_index is None:
            tasks.append(task)
        elif _RANK.get(task.status, _LATER) < _RANK["completed"]:
            children.setdefault(task.task, []).append(task)
    chosen = tasks if len(tasks) <= room else nsmallest(room, tasks, key=_urgency)
    hidden = Counter(task.status for task in tasks)
    hidden.subtract(task.status for task in chosen)
    spare = room - len(chosen)
    lines: list[TaskState] = []
    for task in chosen:
        below = nsmallest(min(CHILD_LINES, spare), children.get(task.id, ()), key=_urgency)
        spare -= len(below)
        lines += [task, *below]
    return lines, +hidden


def _urgency(task: TaskState) -> tuple[int, int]:
    """What has run longest first, what ended last first."""
    rank = _RANK.get(task.status, _LATER)
    return rank, -task.seq if rank in (1, 2) else task.seq


def _cells(task: TaskState, now: float) -> tuple[RenderableType, ...]:
    symbol, style = LOOKS.get(task.status, LOOKS["pending"])
    name = Text(("  " if task.map_index is not None else "") + symbol + " ", style)
    name.append(printable(task.id), "default")
    status = task.status + (f", attempt {task.attempt}" if task.attempt > 1 else "")
    spent = "" if task.status == "pending" else _elapsed(task.started, task.duration_ms, now, task.ended)
    return name, Text(printable(status), style), Text(spent), _bar(task), _line(_remark(task))


def _bar(task: TaskState) -> RenderableType:
    if task.count is not None:
        return ProgressBar(total=max(task.count, 1), completed=_done(task) if task.count else 1, width=BAR_WIDTH)
    if task.status == "running" and task.progress is not None:
        return ProgressBar(total=1.0, completed=task.progress, width=BAR_WIDTH)
    return ""


def _done(task: TaskState) -> int:
    return sum((task.tally or {}).values())


def _remark(task: TaskState) -> str:
    if task.count is not None:
        others = [f", {n} {outcome}" for outcome, n in sorted((task.tally or {}).items()) if outcome != "completed"]
        return f"{_done(task)}/{task.count}{''.join(others)}"
    if task.status == "skipped":
        return f"{task.reason or ''}{f', because of {task.because}' if task.because else ''}"
    return _told(task.error) or (task.reason if task.status == "cancelled" else task.message) or ""


def _elapsed(started: str | None, duration_ms: float | None, now: float, ended: str | None = None) -> str:
    if duration_ms is not None or started is None:
        return duration(duration_ms)
    until = datetime.fromisoformat(ended).timestamp() if ended else now
    return duration(max(0.0, until - datetime.fromisoformat(started).timestamp()) * 1000)


# --- views ------------------------------------------------------------------------------------------------------


class View(Protocol):
    """Shows a run while it happens: ``with open_view(console, json=False) as view: view.show(event)``."""

    @property
    def state(self) -> RunState: ...

    def show(self, event: Shown) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def open_view(console: Console, *, json: bool) -> View:
    """The live tree on a terminal, plain lines elsewhere, JSON lines if asked for."""
    if json:
        return LineView(console, json_line)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console)
    return LineView(console, plain_line)


def _message(shown: Shown) -> Message:
    if not isinstance(shown, dict):
        return shown
    if shown.get("seq") is not None:
        return Event.from_json(orjson.dumps(shown))
    return Control(shown["type"], shown["run_id"], shown["time"], shown["data"])


def _fold(state: RunState, message: Message) -> None:
    if not isinstance(message, Event):
        return
    state.run_id = message.run_id
    if message.map_index is not None and message.task is not None:
        # who joins in the middle, or after a gap, meets children whose task was never announced
        state.tasks.setdefault(message.task, TaskState(message.task, message.task))
    evolve(state, message)


def _write(console: Console, line: str) -> None:
    """Past rich: no wrapping, no colours; what the file's encoding lacks is a question mark."""
    encoding = getattr(console.file, "encoding", None) or "utf-8"
    console.file.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    console.file.flush()


class LineView:
    """One line per event, as ``line`` makes it, or none."""

    def __init__(self, console: Console, line: Callable[[Message], str | None]) -> None:
        self.state = RunState("")
        self._console = console
        self._line = line

    def show(self, event: Shown) -> None:
        message = _message(event)
        _fold(self.state, message)
        if (line := self._line(message)) is not None:
            _write(self._console, line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class LiveView:
    """The tree, redrawn in place at most ten times a second; the last one stays on the screen."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.time) -> None:
        self.state = RunState("")
        self._console = console
        self._clock = clock
        self._lock = Lock()  # rich redraws from a thread of its own
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=REFRESHES_PER_SECOND, transient=False
        )

    def show(self, event: Shown) -> None:
        with self._lock:
            _fold(self.state, _message(event))

    def _render(self) -> RenderableType:
        with self._lock:
            return render_run(self.state, now=self._clock(), height=self._console.size.height)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()


# --- the result -------------------------------------------------------------------------------------------------


def print_outputs(console: Console, outputs: dict[str, Any]) -> None:
    """The outputs of a run by task: strings as they are, anything else as JSON; named if there are several.

    On a terminal control characters of a string, other than line ends and tabs, are shown as escapes; a file or a pipe
    gets them unchanged.
    """
    for name, value in outputs.items():
        if len(outputs) > 1:
            console.print(Text(f"{printable(name)}:", "bold"))
        if not isinstance(value, str):
            console.print(_json_text(value), soft_wrap=True)
        elif console.is_terminal:
            console.print(Text(printable(value, keep="\n\t")), soft_wrap=True)
        else:
            _write(console, value)


def _json_text(value: Any) -> Text:
    try:
        shown = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode()
    except TypeError:
        shown = repr(value)  # an output that flowed in memory only: a 128-bit int, a cycle
    text = Text(printable(shown, keep="\n"))
    JSONHighlighter().highlight(text)
    return text
