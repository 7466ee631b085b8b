"""An event as one line of text.

Names, messages and errors come from users and from what their tasks read. They are shown as text and never obeyed:
they are not markup, and what could move a cursor, change a colour or reorder text is shown as an escape.
"""

from __future__ import annotations

import json as stdlib_json
import unicodedata
from collections.abc import Callable
from typing import Any, Final, cast

import orjson

from reactor.events.event import Message
from reactor.events.one_line import one_line
from reactor.events.state import RUN_STATUS, TASK_STATUS
from reactor.events.vocabulary import PROGRESS_LIKE
from reactor.events.vocabulary.child import is_of_engine

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

DATA_CHARS: Final = 200
"""How much of a custom event's data a plain line shows."""
_NAMED: Final = 10
"""How many tasks a plain line names."""
_QUIET: Final = PROGRESS_LIKE | {
    "task.chunk",
    "task.spent",
    "llm.call.started",
    "tool.call.started",
    "run.state",
    "stream.end",
    "stream.closing",
}
"""Types without a plain line: they change no status and can be very many, or concern the stream only."""
_STATUS: Final = {
    **RUN_STATUS,
    **TASK_STATUS,
    "task.cancelling": "cancelling",
    "task.received": "running",
    "task.expired": "running",
    "task.withdrawn": "running",
}


def printable(text: str, *, keep: str = "") -> str:
    """``text`` with a JSON escape for everything that a terminal would obey, line ends too unless ``keep`` has them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep or c in "\u200c\u200d" else _escape(c) for c in text)


def _escape(c: str) -> str:
    # other spaces are harmless; json, unlike orjson, also escapes DEL, C1 and direction marks
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


def error_text(error: Any) -> str:
    """An error ``{type, message}`` as ``type: message``; empty for anything else."""
    if not isinstance(error, dict):
        return ""
    fields = cast("dict[str, Any]", error)
    return ": ".join(str(fields[name]) for name in ("type", "message") if fields.get(name))


def json_line(event: Message) -> str:
    """The event's JSON as it is in the log, on one line."""
    return one_line(event.json).decode()


def plain_line(event: Message) -> str | None:
    """An event as ``12:00:01.123 ✓ measure[3] completed in 4.1 ms``, in UTC; None for types without a line."""
    if event.type in _QUIET:
        return None
    status = _STATUS.get(event.type)
    if event.type == "child.ended" and is_of_engine(event.data):
        status = event.data["status"]
    symbol = LOOKS[status][0] if status else LOOKS["pending"][0]
    words = _SAY.get(event.type, _say_status if status else _say_custom)(event, event.data)
    return printable(f"{event.time[11:23]} {symbol} {event.task_id or 'run'} {words}").rstrip()


def full_line(event: Message) -> str | None:
    """``plain_line``, and a line for each piece of text that a task gives with ``ctx.chunk``."""
    if event.type != "task.chunk":
        return plain_line(event)
    text = orjson.dumps(event.data.get("text")).decode()
    return printable(f"{event.time[11:23]} {LOOKS['running'][0]} {event.task_id} chunk {text}")


def _say_status(event: Message, data: dict[str, Any]) -> str:
    """The status of a run or a task with its duration, error or reason."""
    words = _STATUS[event.type]
    spent = data.get("duration_ms", data.get("stop_ms"))
    if spent is not None:
        words += f" {'after' if event.type.endswith(('failed', 'cancelled')) else 'in'} {duration(spent)}"
    if data.get("cached"):
        words += " (cached)"
    if data.get("stopped") is False:
        words += " (its thread did not answer and was abandoned)"
    why = error_text(data.get("error")) or data.get("reason")
    because = f", because of {data['because']}" if data.get("because") not in (None, event.task_id) else ""
    return f"{words}: {why}{because}" if why else words + because


def _say_started(event: Message, data: dict[str, Any]) -> str:
    if data.get("session"):
        return f"{event.run_id} opened, a session" + (f", {data['idle']:g} s idle at most" if data.get("idle") else "")
    return f"{event.run_id} of {data['workflow']} started, {data['total_tasks']} tasks"


def _say_retrying(event: Message, data: dict[str, Any]) -> str:
    delay, attempt = duration(data.get("delay_ms")), data.get("next_attempt")
    return f"retrying in {delay}, attempt {attempt}: {error_text(data.get('error'))}"


def question_text(question: dict[str, Any]) -> str:
    """An open question ``{key, prompt}`` as ``[key] prompt``; one of an old log may have no key."""
    key = question.get("key")
    prompt = str(question.get("prompt") or "waits for a value")
    return prompt if key is None else f"[{key}] {prompt}"


def choices(schema: dict[str, Any] | None) -> str:
    """What may be answered, as JSON with commas between: of an ``enum`` or a boolean; empty for anything else."""
    values = choices_of(schema)
    return ", ".join(orjson.dumps(value).decode() for value in values)


def choices_of(schema: dict[str, Any] | None) -> list[Any]:
    """The values of an ``enum``, or those of a boolean; empty for anything else."""
    if not schema:
        return []
    if isinstance(schema.get("enum"), list):
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    return [True, False] if schema.get("type") == "boolean" else []


def _say_waiting(event: Message, data: dict[str, Any]) -> str:
    words = f"{'asks' if 'answered' in data else 'waiting'}: {question_text(data)}"
    if "answered" in data:
        words += ", which was answered before"
    return f"{words} ({data['problem']})" if data.get("problem") else words


def _say_child(event: Message, data: dict[str, Any]) -> str:
    if not is_of_engine(data):  # a body's own, in a log of an earlier version
        return _say_custom(event, data)
    if event.type == "child.started":
        return f"child run {data.get('child_run')} of {data.get('workflow')} started"
    why = error_text(data.get("error")) or data.get("reason")
    return f"child run {data.get('child_run')} {data.get('status')}{f': {why}' if why else ''}"


def _say_received(event: Message, data: dict[str, Any]) -> str:
    return "received a value" + (f" for [{data['key']}]" if data.get("key") is not None else "")


def _say_resumed(event: Message, data: dict[str, Any]) -> str:
    return "recovered" if data.get("reason") == "recovered" else f"resumed: {data.get('reason')}"


def _say_upgraded(event: Message, data: dict[str, Any]) -> str:
    gone = cast("list[str]", data.get("removed") or [])
    more = f", without {', '.join(gone[:_NAMED])}{' …' if len(gone) > _NAMED else ''}" if gone else ""
    return f"goes on in a later graph, of version {data.get('version')}, with {data.get('total_tasks')} tasks{more}"


def _say_call(event: Message, data: dict[str, Any]) -> str:
    what = data.get("model") or data.get("tool")
    why = error_text(data.get("error"))
    return f"{what} {data.get('status')} in {duration(data.get('duration_ms'))}" + (f": {why}" if why else "")


def _say_budget(event: Message, data: dict[str, Any]) -> str:
    return f"{event.type}: {data.get('used')} of {data.get('limit')} {data.get('resource')} ({data.get('percent')} %)"


def _say_log(event: Message, data: dict[str, Any]) -> str:
    fields = cast("dict[str, Any]", data.get("fields") or {})
    return " ".join([f"{data.get('level')}: {data.get('message')}", *(f"{k}={v}" for k, v in fields.items())])


def _say_custom(event: Message, data: dict[str, Any]) -> str:
    text = orjson.dumps(data).decode()
    return f"{event.type} {text if len(text) <= DATA_CHARS else text[:DATA_CHARS] + '…'}"


_SAY: Final[dict[str, Callable[[Message, dict[str, Any]], str]]] = {
    "run.started": _say_started,
    "run.upgraded": _say_upgraded,
    "task.started": lambda event, data: "started" + (f", attempt {event.attempt}" if event.attempt != 1 else ""),
    "task.mapped": lambda event, data: f"mapped over {data.get('count')} items",
    "task.retrying": _say_retrying,
    "task.waiting": _say_waiting,
    "child.started": _say_child,
    "child.ended": _say_child,
    "task.received": _say_received,
    "task.expired": lambda event, data: f"nobody answered [{data.get('key')}] in time",
    "task.withdrawn": lambda event, data: f"gave up its question [{data.get('key')}]",
    "run.resumed": _say_resumed,
    "llm.call.completed": _say_call,
    "tool.call.completed": _say_call,
    "budget.warning": _say_budget,
    "budget.exceeded": _say_budget,
    "log.created": _say_log,
    "stream.gap": lambda event, data: f"events {data.get('from')} to {data.get('to')} missing: {data.get('reason')}",
}
