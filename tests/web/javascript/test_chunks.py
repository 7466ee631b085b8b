"""The text of each task in the JavaScript client is that of its present attempt, and has a bound."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.helpers.node import node_script


def chunk(task: str, attempt: int, text: str) -> dict[str, Any]:
    return {"type": "task.chunk", "task_id": task, "attempt": attempt, "data": {"text": text, "index": 0}}


def event(type: str, task: str | None, attempt: int = 1) -> dict[str, Any]:
    place: dict[str, Any] = {} if task is None else {"task_id": task, "attempt": attempt}
    return {"type": type, "data": {}, **place}


def added(*events: dict[str, Any]) -> tuple[dict[str, Any], list[bool]]:
    """The chunks after these events, and which of them changed something."""
    command = node_script("chunks.mjs")
    done = subprocess.run(command, input=json.dumps(events), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer["chunks"], answer["changed"]


def test_chunks_are_joined_by_task() -> None:
    """In the order in which they come; also where a task is called like something that every object has."""
    names = ["a", "b[0]", "__proto__", "constructor"]
    chunks, changed = added(*[chunk(name, 1, text) for text in ("Once ", "😀 ", "") for name in names])
    assert chunks == {name: {"attempt": 1, "text": "Once 😀 "} for name in names}
    assert all(changed)


def test_a_new_attempt_begins_anew() -> None:
    """With its task.started, or with its first chunk for who has not seen that; other tasks keep theirs."""
    before = [chunk("a", 1, "old"), chunk("b", 1, "kept"), chunk("c", 1, "old")]
    chunks, changed = added(*before, event("task.started", "a", 2), chunk("c", 3, "new"), chunk("c", 3, "!"))
    assert chunks == {
        "a": {"attempt": 2, "text": ""},
        "b": {"attempt": 1, "text": "kept"},
        "c": {"attempt": 3, "text": "new!"},
    }
    assert all(changed)


def test_other_events_change_nothing() -> None:
    """The text stays when a task ends; the start of a task that has said nothing makes no entry."""
    others = [
        event("task.started", "b"), event("task.started", "toString"), event("task.completed", "a"),
        event("task.retrying", "a"), event("run.paused", None), event("page.chunk", "a"),
    ]  # fmt: skip
    chunks, changed = added(event("task.started", "a"), chunk("a", 1, "text"), *others)
    assert chunks == {"a": {"attempt": 1, "text": "text"}}
    assert changed == [False, True] + [False] * len(others)


def test_a_long_text_keeps_its_end() -> None:
    """At most a million characters of a task, at least the last 900,000, and no half of a character."""
    parts = [f"{part:05}" + "😀" * 20_000 for part in range(60)]
    whole = "".join(parts)
    text = added(*[chunk("a", 1, part) for part in parts])[0]["a"]["text"]
    units = len(text.encode("utf-16-le")) // 2
    assert 899_999 <= units <= 1_000_000
    assert whole.endswith(text)
    one = added(chunk("a", 1, "😀" + "x" * 2_000_000))[0]["a"]["text"]
    assert one == "x" * 900_000
