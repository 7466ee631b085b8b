"""What a person sees of a run, on a terminal and in a pipe."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import orjson
import pytest
from rich.console import Console

from reactor.bounds import MAX_EVENT_BYTES
from reactor.clock import SystemClock
from reactor.events.event import Draft, Event, Notice, task_head
from reactor.events.fold import replay
from reactor.events.state import RunState
from reactor.logs.memory import MemoryLog
from reactor.stream.feed import Feed
from reactor_web.dialects import find
from reactor_web.sse.parser import Parser
from reactor_web.streaming.following.snapshot import encode_state
from reactor_web.terminal.family import Family
from reactor_web.terminal.lines import duration, json_line, plain_line, printable
from reactor_web.terminal.tree import render_run
from reactor_web.terminal.views import LineView, LiveView, exit_code, open_view, print_outputs

NASTY = "[red]x[/red] \x1b[31m\x1b]0;title\x07 \r\n\t \x9b2J \u202egnp.exe \x7f"
SHOWN = r"[red]x[/red] \u001b[31m\u001b]0;title\u0007 \r\n\t \u009b2J \u202egnp.exe \u007f"
NOON = 1795262400.0
"""2026-11-21T12:00:00Z."""


class Recorder:
    """Numbers events as the engine does, one millisecond apart, from 12:00:00.001 on."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(
        self, type: str, data: dict[str, Any] | None = None, task: str | None = None, index: int | None = None,
        attempt: int = 1,
    ) -> Event:  # fmt: skip
        seq = len(self.events) + 1
        id = task if task is None or index is None else f"{task}[{index}]"
        head = task_head(id, task, index, attempt) if id and task else b""
        time = f"2026-11-21T12:00:{seq // 1000:02d}.{seq % 1000:03d}456Z".encode()
        event = Event.from_draft(seq, "run-1", time, Draft(type, orjson.dumps(data or {}), id, head))
        self.events.append(event)
        return event

    def started(self, *tasks: str) -> Event:
        described = [{"id": name, "kind": "task", "depends_on": []} for name in tasks]
        return self(
            "run.started", {"workflow": "census", "version": "1", "tasks": described, "total_tasks": len(tasks)}
        )

    def completed(self, **totals: int) -> Event:
        return self("run.completed", {"outputs": {}, "duration_ms": 1234.0, **totals})


def a_console(*, terminal: bool = True, height: int = 25) -> Console:
    return Console(file=StringIO(), force_terminal=terminal, width=100, height=height, _environ={"TERM": "xterm"})


def text_of(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def screen(state: RunState, *, height: int = 25, now: float = NOON + 5) -> list[str]:
    """The lines of the tree, without styles."""
    console = Console(file=StringIO(), width=100, height=height, color_system=None)
    console.print(render_run(state, now=now, height=height))
    return [line.rstrip() for line in text_of(console).splitlines()]


def a_map(count: int, *, running: range = range(0), failed: range = range(0), done: range = range(0)) -> RunState:
    """A run of ``modules`` (completed), ``measure`` mapped over ``count`` items, and ``report`` (pending)."""
    say = Recorder()
    say.started("modules", "measure", "report")
    say("task.started", task="modules")
    say("task.completed", {"duration_ms": 4.0}, task="modules")
    say("task.mapped", {"count": count}, task="measure")
    for index in (*running, *failed, *done):
        say("task.started", task="measure", index=index)
    for index in failed:
        error = {"type": "OSError", "message": f"no module {index}"}
        say("task.failed", {"error": error, "duration_ms": 2.0}, task="measure", index=index)
    for index in done:
        say("task.completed", {"duration_ms": 1.0}, task="measure", index=index)
    return replay("run-1", say.events)


def lines_of(say: Recorder) -> list[str | None]:
    return [plain_line(event) for event in say.events]


def test_plain_lines_one_per_transition():
    """Every transition is one line: time, symbol, task, what happened."""
    say = Recorder()
    say.started("modules", "measure")
    say("task.started", task="modules")
    say("task.completed", {"duration_ms": 4.1, "output": 1}, task="modules")
    say("task.mapped", {"count": 2}, task="measure")
    say("task.started", task="measure", index=1, attempt=2)
    say("task.failed", {"error": {"type": "OSError", "message": "gone"}, "duration_ms": 1500}, "measure", 1)
    say("task.skipped", {"reason": "upstream_failed", "because": "measure"}, "report")
    say("task.cancelled", {"reason": "timeout", "stop_ms": 2.0, "stopped": False}, "slow")
    say("task.completed", {"duration_ms": 0.1, "cached": True}, "again")
    say("run.cancelling", {"reason": "interrupted", "by": "keyboard"})
    say("run.failed", {"error": {"type": "RunFailed", "message": "1 task"}, "duration_ms": 125_000})
    assert lines_of(say) == [
        "12:00:00.001 ▶ run run-1 of census started, 2 tasks",
        "12:00:00.002 ▶ modules started",
        "12:00:00.003 ✓ modules completed in 4.1 ms",
        "12:00:00.004 ▶ measure mapped over 2 items",
        "12:00:00.005 ▶ measure[1] started, attempt 2",
        "12:00:00.006 ✗ measure[1] failed after 1.5 s: OSError: gone",
        "12:00:00.007 ↷ report skipped: upstream_failed, because of measure",
        "12:00:00.008 ■ slow cancelled after 2.0 ms (its thread did not answer and was abandoned): timeout",
        "12:00:00.009 ✓ again completed in 0.1 ms (cached)",
        "12:00:00.010 ■ run cancelling: interrupted",
        "12:00:00.011 ✗ run failed after 2 min 05 s: RunFailed: 1 task",
    ]


def test_progress_has_no_plain_line_but_logs_and_custom_events_have():
    """Progress has no line; a log line or a custom event has one compact line."""
    say = Recorder()
    say("task.progress", {"fraction": 0.5}, "a")
    say("task.chunk", {"text": "tok"}, "a")
    say("log.created", {"level": "warning", "message": "slow disk", "fields": {"ms": 3}}, "a")
    say("census.found", {"files": 3}, "a")
    say("census.big", {"text": "x" * 1000}, "a")
    progress, chunk, log, custom, big = lines_of(say)
    assert progress is chunk is None
    assert log == "12:00:00.003 · a warning: slow disk ms=3"
    assert custom == '12:00:00.004 · a census.found {"files":3}'
    assert big is not None
    assert big.endswith("x…")
    assert len(big) < 250


def test_what_an_operator_does_and_waits_for_has_a_line():
    """Retries, questions, pauses, calls and budgets are each told in one line."""
    say = Recorder()
    say("task.retrying", {"next_attempt": 2, "delay_ms": 10, "error": {"type": "E", "message": "m"}}, "a")
    say("task.waiting", {"prompt": "approve?", "schema": None, "key": None}, "a")
    say("task.received", {"value": True, "key": None}, "a")
    say("run.paused", {"reason": "lunch"})
    say("run.resumed", {"reason": "requested"})
    say("run.resumed", {"reason": "recovered"})
    say("llm.call.completed", {"model": "gpt", "status": "error", "duration_ms": 5, "error": {"type": "E"}}, "a")
    say("budget.warning", {"resource": "cost", "used": 4, "limit": 5, "percent": 80.0})
    say("task.cancelling", {"reason": "requested", "by": None}, "a")
    assert lines_of(say) == [
        "12:00:00.001 ↻ a retrying in 10.0 ms, attempt 2: E: m",
        "12:00:00.002 ? a waiting: approve?",
        "12:00:00.003 ▶ a received a value",
        "12:00:00.004 ‖ run paused: lunch",
        "12:00:00.005 ▶ run resumed: requested",
        "12:00:00.006 ▶ run recovered",
        "12:00:00.007 · a gpt error in 5.0 ms: E",
        "12:00:00.008 · run budget.warning: 4 of 5 cost (80.0 %)",
        "12:00:00.009 ■ a cancelling: requested",
    ]


def test_a_question_is_shown_with_its_key():
    """So that whoever reads the line knows what to name; also where it was answered before, or nobody answered."""
    say = Recorder()
    say("task.waiting", {"prompt": "draft?", "schema": None, "key": "1"}, "a")
    say("task.waiting", {"prompt": None, "schema": None, "key": "why", "rejected": [1], "problem": "no text"}, "a")
    say("task.waiting", {"prompt": "now?", "schema": None, "key": "3", "answered": 1}, "a")
    say("task.received", {"value": True, "key": "1"}, "a")
    say("task.expired", {"key": "why"}, "a")
    say("task.withdrawn", {"key": "4"}, "a")
    assert [str(line)[13:] for line in lines_of(say)] == [
        "? a waiting: [1] draft?",
        "? a waiting: [why] waits for a value (no text)",
        "? a asks: [3] now?, which was answered before",
        "▶ a received a value for [1]",
        "▶ a nobody answered [why] in time",
        "▶ a gave up its question [4]",
    ]


def test_the_tree_shows_all_open_questions_of_a_task():
    """Each with its key, in the order they were asked, until it is answered."""
    say = Recorder()
    say.started("ask")
    say("task.started", task="ask")
    for key, prompt in (("1", "delete the draft?"), ("2", "delete PRODUCTION?")):
        say("task.waiting", {"prompt": prompt, "schema": None, "key": key}, "ask")
    assert "[1] delete the draft? · [2] delete PRODUCTION?" in screen(replay("run-1", say.events))[-1]
    say("task.received", {"value": True, "key": "1"}, "ask")
    line = screen(replay("run-1", say.events))[-1]
    assert "[2] delete PRODUCTION?" in line
    assert "draft" not in line


@pytest.mark.parametrize("type", ["log.created", "task.failed", "custom.event", "run.cancelled", "task.skipped"])
def test_nothing_in_a_plain_line_is_obeyed(type: str):
    """Markup stays text; escapes, line ends and direction marks are shown as their escapes, on one line."""
    data = {"message": NASTY, "error": {"type": NASTY, "message": NASTY}, "reason": NASTY, "because": NASTY}
    line = plain_line(Recorder()(type, data, "a"))
    assert line is not None
    assert line.isprintable()
    assert SHOWN in line.replace("\\\\", "\\").replace("\\b", "\\u0008") or type == "custom.event"


def test_printable_shows_text_of_any_language_as_it_is():
    """Letters, emoji with joiners and marks are not taken for control characters."""
    for text in ("naïve ß 日本語", "👩‍🚀 ✓", "می‌خواهم", ""):
        assert printable(text) == text
    assert printable("a\u3000b\xa0c") == "a b c"
    assert printable("a\nb\tc", keep="\n\t") == "a\nb\tc"
    assert printable("\ud800 \U000e0041") == r"\ud800 \udb40\udc41"


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(None, ""), (0, "0.0 ms"), (4.14, "4.1 ms"), (1234, "1.2 s"), (185_000, "3 min 05 s"), (7_620_000, "2 h 07 min")],
)
def test_durations(ms: float | None, shown: str):
    """A duration has the unit a person would choose."""
    assert duration(ms) == shown


def test_json_lines_are_the_log():
    """A JSON line is the event's bytes, and a view in JSON writes nothing else."""
    event = Recorder()("log.created", {"level": "info", "message": "é [red]" + "x" * 300})
    console = a_console()
    with open_view(console, json=True) as view:
        view.show(event)
    assert json_line(event).encode() == event.json
    assert text_of(console) == event.json.decode() + "\n"


def test_what_is_shown_depends_on_where():
    """JSON if asked for; a live tree on a terminal; plain lines in a pipe and on a dumb terminal."""
    dumb = Console(file=StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(open_view(a_console(), json=True), LineView)
    assert isinstance(open_view(a_console(), json=False), LiveView)
    assert isinstance(open_view(a_console(terminal=False), json=False), LineView)
    assert isinstance(open_view(dumb, json=False), LineView)


def test_a_pipe_gets_whole_lines_without_colours():
    """Without a terminal nothing is wrapped, coloured or redrawn."""
    say, console = Recorder(), a_console(terminal=False)
    with open_view(console, json=False) as view:
        view.show(say.started("a"))
        view.show(say("log.created", {"level": "info", "message": "[bold]" + "y" * 300}, "a"))
    lines = text_of(console).splitlines()
    assert lines[1] == "12:00:00.002 · a info: [bold]" + "y" * 300
    assert "\x1b" not in text_of(console)


def test_a_pipe_of_another_encoding_survives():
    """A symbol the pipe's encoding lacks becomes a question mark, not a traceback."""
    from io import BytesIO, TextIOWrapper

    raw = BytesIO()
    with open_view(Console(file=TextIOWrapper(raw, encoding="ascii")), json=False) as view:
        view.show(Recorder()("task.started", {}, "a"))
    assert raw.getvalue() == b"12:00:00.001 ? a started\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_views_fold_events_dicts_and_controls(terminal: bool):
    """A view takes events and envelopes alike, keeps the state they fold to, and is not moved by control messages."""
    say = Recorder()
    events = [say.started("a"), say("task.started", {}, "a"), say("task.completed", {"duration_ms": 1}, "a")]
    events.append(say.completed())
    with open_view(a_console(terminal=terminal), json=False) as view:
        for event in events[:2]:
            view.show(event)
        view.show(Notice("stream.gap", "run-1", events[0].time, {"from": 1, "to": 2, "reason": "trimmed"}))
        view.show({"type": "stream.end", "run_id": "run-1", "time": events[0].time, "data": {"status": "completed"}})
        for event in events[2:]:
            view.show(event.body)
    assert view.state == replay("run-1", events)


def test_who_joins_in_the_middle_of_a_map_sees_it():
    """After a gap there may be children whose task the view never saw; that is no error."""
    say = Recorder()
    say("task.completed", {"duration_ms": 1}, "measure", 7)
    with open_view(a_console(terminal=False), json=False) as view:
        view.show(say.events[0])
    assert view.state.completed == 1


def test_the_tree_shows_header_bars_and_messages():
    """Header with workflow, run, status, time and count; tasks with status, duration, bar and message."""
    say = Recorder()
    say.started("fetch", "measure", "report")
    say("task.started", task="fetch")
    say("task.completed", {"duration_ms": 4.1}, "fetch")
    say("task.started", task="measure", attempt=2)
    say("task.progress", {"fraction": 0.5, "message": "half way"}, "measure")
    header, bar, fetch, measure, report = screen(replay("run-1", say.events))
    assert header == "▶ census run-1 running 5.0 s 1/3"
    assert bar == "━" * 19 + "╸"  # a third of 60; the progress is rounded down
    assert re.fullmatch(r"✓ fetch +completed +4\.1 ms", fetch)
    assert re.fullmatch(r"▶ measure +running, attempt 2 +5\.0 s +━{10} +half way", measure)
    assert re.fullmatch(r"· report +pending", report)


def test_a_map_of_500_fits_the_screen():
    """A mapped task is one line with its count and at most eight of its running or failed children."""
    state = a_map(500, running=range(40), failed=range(40, 50), done=range(50, 300))
    lines = screen(state, height=25)
    assert len(lines) < 25
    measure = next(line for line in lines if " measure " in line)
    assert re.search(r"running .* 260/500, 10 failed$", measure)
    children = [line for line in lines if "measure[" in line]
    assert len(children) == 8
    assert children[0].startswith("  ▶ measure[0]")


def test_failed_children_stay_on_the_screen():
    """A failed child has a line with its error after everything else ended."""
    state = a_map(5, failed=range(2, 3), done=range(2))
    assert any(re.match(r"  ✗ measure\[2\] +failed +2\.0 ms +OSError: no module 2", line) for line in screen(state))


@pytest.mark.parametrize("height", [1, 5, 10, 25])
def test_a_long_tree_shows_what_matters_first(height: int):
    """If tasks do not fit, running ones come first, then failed ones, then the last ended; the rest is counted."""
    say = Recorder()
    names = [f"t{number}" for number in range(60)]
    say.started(*names)
    for name in names[:50]:
        say("task.started", task=name)
    for name in names[:48]:
        say("task.completed", {"duration_ms": 1}, name)
    say("task.failed", {"error": {"type": "E", "message": "m"}, "duration_ms": 1}, "t48")
    lines = screen(replay("run-1", say.events), height=height)
    assert len(lines) <= max(height - 1, 3)
    if height == 10:
        assert [line.split()[1] for line in lines[2:-1]] == ["t49", "t48", "t47", "t46", "t45", "t44"]
        assert lines[-1] == "… 44 more completed, 10 more pending"


def test_the_last_tree_stays_on_the_terminal():
    """When the view closes, the terminal shows the final tree."""
    say, console = Recorder(), a_console()
    with open_view(console, json=False) as view:
        view.show(say.started("a"))
        view.show(say("task.started", {}, "a"))
        view.show(say("task.completed", {"duration_ms": 7.5}, "a"))
        view.show(say.completed())
    last = text_of(console).rsplit("census", 1)[1]
    assert "run-1 completed 1.2 s 1/1" in last
    assert "7.5 ms" in last
    assert text_of(console).endswith("\x1b[?25h")  # the cursor is back


def test_nothing_in_the_tree_is_obeyed():
    """Messages, errors and names reach the terminal as text: no markup, no control character of theirs."""
    say, console = Recorder(), a_console(height=40)
    say.started("a", "b")
    say("task.started", {}, "a")
    say("task.progress", {"fraction": 0.1, "message": NASTY}, "a")
    say("task.failed", {"error": {"type": "E", "message": NASTY}, "duration_ms": 1}, "b")
    say("run.failed", {"error": {"type": NASTY, "message": ""}, "duration_ms": 1})
    with LiveView(console) as view:
        for event in say.events:
            view.show(event)
    shown = text_of(console)
    assert r"[red]x[/red] \u001b[31m" in shown
    for forbidden in ("\x1b[31m\x1b]0;", "\x1b]", "\x07", "\x9b", "\u202e", "\x7f"):
        assert forbidden not in shown


def test_exit_codes():
    """The exit code of ``run`` and ``watch`` is the run's result, and a run that has not ended is none."""
    assert [exit_code(status) for status in ("completed", "failed", "cancelled", "running")] == [0, 1, 3, 4]


def test_outputs_strings_as_they_are_and_the_rest_as_json():
    """One output is printed alone, several by name; strings as they are, other values as JSON in full."""
    console = a_console(terminal=False)
    print_outputs(console, {"report": "# [red]Census\x1b\n" + "x" * 150})
    assert text_of(console) == "# [red]Census\x1b\n" + "x" * 150 + "\n"
    console = a_console(terminal=False)
    value = {"lines": [1, "y" * 150], "é": None}
    print_outputs(console, {"a": value, "b": "[i]"})
    head, rest = text_of(console).split("\n", 1)
    assert head == "a:"
    assert orjson.loads(rest.removesuffix("b:\n[i]\n")) == value


def test_outputs_on_a_terminal_are_not_obeyed():
    """On a terminal an output keeps its lines, and its control characters are shown as escapes."""
    console = a_console()
    print_outputs(console, {"a": NASTY + "\nnext", "b": {"k": NASTY}})
    shown = text_of(console)
    assert "\nnext\n" in shown
    for forbidden in ("\x1b]", "\x07", "\x9b", "\u202e", "\x7f"):
        assert forbidden not in shown


def test_outputs_that_are_no_json_are_still_shown():
    """An output that is not JSON is shown as its event shows it."""
    console = a_console(terminal=False)
    print_outputs(console, {"a": 2**100, "b": {(1, 2): {3}}})
    assert str(2**100) in text_of(console)
    assert '"1,2": [' in text_of(console)


def test_a_snapshot_is_adopted_and_events_go_on_from_it() -> None:
    """After a gap, or with snapshot=1: the view's state is the whole fold again, in one frame or in parts."""
    say = Recorder()
    say.started("modules", "measure", "report")
    say("task.started", task="modules")
    say("task.completed", {"duration_ms": 4.0}, task="modules")
    say("task.mapped", {"count": 3}, task="measure")
    for index in range(3):
        say("task.started", task="measure", index=index)
        say("task.completed", {"duration_ms": 4.0}, task="measure", index=index)
    say.completed()
    events = say.events
    cut = len(events) // 2
    snapshot = replay(events[0].run_id, events[:cut]).to_dict()
    tasks = list(snapshot.pop("tasks").items())
    for parts in (1, 2):
        view = open_view(Console(file=StringIO()), json=False)
        for part in range(parts):
            size = -(-len(tasks) // parts)
            data = {**snapshot, "tasks": dict(tasks[part * size : (part + 1) * size])}
            if parts > 1:
                data |= {"part": part + 1, "parts": parts}
            view.show({"type": "run.state", "run_id": events[0].run_id, "time": events[0].time, "data": data})
        for event in events[cut:]:
            view.show(event)
        assert view.state == replay(events[0].run_id, events)


# --- child runs ---------------------------------------------------------------------------------------------------


def of_run(run_id: str, seq: int, type: str, data: dict[str, Any], task: str | None = None) -> Event:
    head = b"" if task is None else task_head(task, task, None, 1)
    return Event.from_draft(seq, run_id, b"2026-11-21T12:00:00.001456Z", Draft(type, orjson.dumps(data), task, head))


def a_family() -> list[Event]:
    """``r`` has asked for two child runs: one completed, one waits for its own child, which asks."""

    def begins(run_id: str, workflow: str, task: str, parent: str | None = None) -> list[Event]:
        described = [{"id": task, "kind": "task", "depends_on": []}]
        started: dict[str, Any] = {"workflow": workflow, "version": "1", "tasks": described, "total_tasks": 1}
        if parent is not None:
            started["parent"] = {"run_id": parent, "task_id": "ask"}
        return [
            of_run(run_id, 1, "run.started", started),
            of_run(run_id, 2, "task.started", {"executor": "loop", "index": 0, "total": 1}, task),
        ]

    def asks_for(run_id: str, seq: int, child: str, workflow: str) -> Event:
        data = {"engine": True, "child_run": child, "workflow": workflow, "key": "1"}
        return of_run(run_id, seq, "child.started", data, "ask")

    totals = {"outputs": {}, "duration_ms": 12.0, "total_tasks": 1}
    ended = {"engine": True, "child_run": "r.ask.1", "status": "completed", "outputs": {}, "cost": 0.0, "tokens": 0}
    return [
        *begins("r", "book", "ask"),
        asks_for("r", 3, "r.ask.1", "section"),
        *begins("r.ask.1", "section", "write", "r"),
        of_run("r.ask.1", 3, "run.completed", totals),
        of_run("r", 4, "child.ended", ended, "ask"),
        asks_for("r", 5, "r.ask.2", "chapter"),
        *begins("r.ask.2", "chapter", "ask", "r"),
        asks_for("r.ask.2", 3, "r.ask.2.ask.1", "review"),
        *begins("r.ask.2.ask.1", "review", "approve", "r.ask.2"),
        of_run("r.ask.2.ask.1", 3, "task.waiting", {"prompt": "publish?", "schema": None, "key": "p"}, "approve"),
    ]


def family_screen(events: list[Event], *, height: int = 25) -> list[str]:
    family = Family()
    for event in events:
        family.fold(event)
    console = Console(file=StringIO(), width=100, height=height, color_system=None)
    console.print(render_run(family.top, now=NOON + 5, height=height, family=family))
    return [" ".join(line.split()) for line in text_of(console).splitlines()]


def test_child_runs_stand_under_the_task_that_started_them_with_what_they_ask():
    """Open ones first, each with its open tasks and what is below these; one that has ended is one line."""
    lines = family_screen(a_family())
    assert [line for line in lines if line and not line.startswith("━")] == [
        "▶ book r running 5.0 s 0/1",
        "▶ ask running 5.0 s",
        "▶ chapter running 5.0 s r.ask.2",
        "▶ ask running 5.0 s",
        "▶ review running 5.0 s r.ask.2.ask.1",
        lines[-2],
        "✓ section completed 12.0 ms r.ask.1",
    ]
    assert lines[-2].startswith("? approve waiting 5.0 s")
    assert "publish?" in lines[-2]


@pytest.mark.parametrize("height", range(4, 12))
def test_child_runs_have_no_more_lines_than_there_are(height: int):
    """Tasks of the run itself come first; what is open comes before what has ended."""
    lines = family_screen(a_family(), height=height)
    assert len(lines) <= height
    if height < 10:
        assert not any("section" in line for line in lines)


def test_plain_lines_of_child_runs_name_their_run():
    """Those of the run itself stay as they are; the start and the end of a child run are lines of their own."""
    console = a_console(terminal=False)
    with open_view(console, json=False) as view:
        for event in a_family():
            view.show(event)
        assert (view.state.run_id, view.state.status) == ("r", "running")
    lines = text_of(console).splitlines()
    assert lines[2] == "12:00:00.001 · ask child run r.ask.1 of section started"
    assert lines[3] == "ask.1: 12:00:00.001 ▶ run r.ask.1 of section started, 1 tasks"
    assert lines[6] == "12:00:00.001 ✓ ask child run r.ask.1 completed"
    assert lines[-1].startswith("ask.2.ask.1: 12:00:00.001 ? approve waiting: ")
    old = of_run("r", 9, "child.ended", {"status": ["mine"]}, "ask")
    assert plain_line(old) == '12:00:00.001 · ask child.ended {"status":["mine"]}'


def test_a_run_with_very_many_child_runs_keeps_no_tasks_of_those_that_ended():
    """Only their end is shown."""
    family = Family("r")
    for event in a_family():
        family.fold(event)
    (ended, open_one) = family.children_of(family.top)["ask"]
    assert ended.state is not None
    assert (ended.status, ended.state.tasks, ended.state.status) == ("completed", {}, "completed")
    assert open_one.state is not None
    assert open_one.state.tasks.keys() == {"ask"}


async def test_the_state_of_very_many_child_runs_comes_in_parts_that_a_view_puts_together():
    """No part is larger than an event may be, and none of the child runs is lost."""
    events = a_family()[:2]
    for n in range(2_000):
        data = {"engine": True, "child_run": f"r.ask.{n}", "workflow": "section", "key": str(n)}
        events.append(of_run("r", n + 3, "child.started", data, "ask"))
    state = replay("r", events)
    feed = Feed("r", MemoryLog(), SystemClock())
    frames = Parser().feed(await encode_state(feed, state, find("native")))
    assert len(frames) > 5
    assert max(len(frame.data) for frame in frames) <= MAX_EVENT_BYTES
    family = Family("r")
    for frame in frames:
        body = orjson.loads(frame.data)
        family.fold(Notice("run.state", "r", body["time"], body["data"]))
    assert family.top == state
