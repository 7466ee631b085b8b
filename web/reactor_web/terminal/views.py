"""Shows a run while it happens: a live tree on a terminal, plain lines or JSON lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, Protocol, Self, TypeAlias

import orjson
from rich.console import Console, RenderableType
from rich.highlighter import JSONHighlighter
from rich.live import Live
from rich.text import Text

from reactor.events.event import Event, Message, Notice
from reactor.events.shown import show
from reactor.events.state import RunState
from reactor_web.terminal.family import Family
from reactor_web.terminal.lines import full_line, json_line, plain_line, printable
from reactor_web.terminal.tree import render_run

Showable: TypeAlias = Message | dict[str, Any]
"""What a view takes: an event, a notice, or the envelope of either as a dict."""

REFRESHES_PER_SECOND: Final = 10

EXIT_CODES: Final = {"completed": 0, "failed": 1, "cancelled": 3}
"""Status of the run -> exit code. 2 is for a bad command line, 130 for an interrupt, as in every command."""
NOT_ENDED: Final = 4
"""Exit code if the stream ended before the run."""


def exit_code(status: str) -> int:
    """The exit code for the status of a run; ``NOT_ENDED`` if the run has not ended."""
    return EXIT_CODES.get(status, NOT_ENDED)


class View(Protocol):
    """Shows a run while it happens: ``with open_view(console, json=False) as view: view.show(event)``."""

    @property
    def state(self) -> RunState: ...

    @property
    def is_for_people(self) -> bool:
        """Whether the outputs of the run belong below it."""
        ...

    def leave(self) -> None:
        """Gives the terminal back. Called at the end, or before the process ends at once."""
        ...

    def go_on(self) -> None:
        """Takes it again after ``leave``: somebody has been asked something."""
        ...

    def show(self, event: Showable) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def open_view(console: Console, *, json: bool, lines: bool = False, run_id: str = "") -> View:
    """The live tree on a terminal, plain lines elsewhere; JSON lines, or plain lines with chunks, if asked for.

    ``run_id``: the run whose stream it is; the events of other runs are those below it. Without it: that of the first
    event.
    """
    if json:
        return LineView(console, json_line, run_id, is_for_people=False)
    if lines:
        return LineView(console, full_line, run_id)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, run_id)
    return LineView(console, plain_line, run_id)


def _message(item: Showable) -> Message:
    if not isinstance(item, dict):
        return item
    if item.get("seq") is not None:
        return Event.from_json(orjson.dumps(item))
    return Notice(item["type"], item["run_id"], item["time"], item["data"])


def _write(console: Console, line: str) -> None:
    """Writes a line without rich: no wrapping, no colours, and ``?`` for what the file's encoding lacks."""
    encoding = getattr(console.file, "encoding", None) or "utf-8"
    console.file.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    console.file.flush()


class LineView:
    """Writes one line for each event for which ``line`` gives one."""

    def __init__(
        self,
        console: Console,
        line: Callable[[Message], str | None],
        run_id: str = "",
        *,
        is_for_people: bool = True,
    ) -> None:
        self._family = Family(run_id)
        self.is_for_people = is_for_people
        self._console = console
        self._line = line

    @property
    def state(self) -> RunState:
        return self._family.top

    def show(self, event: Showable) -> None:
        message = _message(event)
        self._family.fold(message)
        if (line := self._line(message)) is not None:
            top = self.state.run_id
            below = "" if message.run_id == top or self._line is json_line else message.run_id.removeprefix(f"{top}.")
            _write(self._console, f"{printable(below)}: {line}" if below else line)

    def leave(self) -> None:
        """Every line is written whole."""

    def go_on(self) -> None:
        """Nothing was kept back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()


class LiveView:
    """Redraws the tree in place, at most ten times a second. The last tree stays on the screen."""

    is_for_people = True

    def __init__(self, console: Console, run_id: str = "", *, clock: Callable[[], float] = time.time) -> None:
        self._family = Family(run_id)
        self._console = console
        self._clock = clock
        self._lock = Lock()  # rich redraws from a thread of its own
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=REFRESHES_PER_SECOND, transient=False
        )

    @property
    def state(self) -> RunState:
        return self._family.top

    def show(self, event: Showable) -> None:
        message = _message(event)
        with self._lock:
            self._family.fold(message)
        if self.state.session and (line := plain_line(message)) is not None:
            self._console.print(Text(line))  # above the header: a session has no tasks that a tree could show

    def _render(self) -> RenderableType:
        with self._lock:
            return render_run(self.state, now=self._clock(), height=self._console.size.height, family=self._family)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def leave(self) -> None:
        self._live.stop()

    def go_on(self) -> None:
        self._live.start(refresh=True)

    def __exit__(self, *error: object) -> None:
        self.leave()


def print_outputs(console: Console, outputs: dict[str, Any]) -> None:
    """Prints the outputs of a run: strings as they are, all other values as JSON; with the task names if several.

    On a terminal, control characters of a string other than line ends and tabs are shown as escapes; a file or a pipe
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
    content = orjson.dumps(show(value), option=orjson.OPT_INDENT_2).decode()
    text = Text(printable(content, keep="\n"))
    JSONHighlighter().highlight(text)
    return text
