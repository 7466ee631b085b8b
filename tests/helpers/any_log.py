"""Logs that no engine wrote: every type of event in any order, odd names, large integers, sums that need care."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from reactor.events.event import Event

COSTS = [0, 3, 0.1, 0.2, 1e-7, 1e-12, 2.5e-10, 0.000123456789, 1234.123456789012, 123456789.12345678, 1e9]
TOKENS = [0, 1, 7, 2**53 - 1, 2**53, 2**53 + 1, 2**62]
NAMES = ["a", "b_1", "__proto__", "constructor", "toString", "7", "ä😀\u2028"]
KEYS = [None, "", "1", "k", "__proto__", "valueOf", "😀"]
ODD: list[Any] = [
    None,
    {"big": 2**63 - 1, "less": -(2**53) - 1, "text": "\u0001" + "9" * 20, "float": 1e300, "__proto__": {"a": 1}},
    {"9" * 20 + "\u0001": 2**60, "text": "9" * 20 + "\u0001", "quoted": '"12345678901234567890\u0001'},
    {"escaped": "\\u0001\\", "list": [2**64 - 1, "18446744073709551615", [-(2**63)]], "long": "é\u2028\n" * 50},
]


class AnyLog:
    """One log by a seed. It keeps to what every log keeps to: children come after their map, and
    only a body that runs asks or is tried again."""

    def __init__(self, seed: int, length: int) -> None:
        self._chance = random.Random(seed)
        self._events: list[dict[str, Any]] = []
        self._bodies = list(NAMES[: self._chance.randint(2, 7)])
        self._maps: list[str] = []
        self._children: dict[str, tuple[str, int]] = {}
        self._attempts: dict[str, int] = {}
        self._running: list[str] = []
        self._start()
        says = self._says()
        for _ in range(length):
            self._chance.choice(says)()
        if self._chance.random() < 0.5:
            end = self._chance.choice(["completed", "failed", "cancelled"])
            self._say(f"run.{end}", {"duration_ms": self._ms(), "error": self._odd()} | self._why())

    @property
    def log(self) -> list[Event]:
        return [Event.from_json(self._encoded(event)) for event in self._events]

    # --- how an event looks ---

    def _encoded(self, event: dict[str, Any]) -> bytes:
        text = json.dumps(event, ensure_ascii=event["seq"] % 2 == 0, separators=(",", ":"))
        return text.encode()

    def _say(self, type: str, data: dict[str, Any], task: str | None = None) -> None:
        place: dict[str, Any] = {}
        if task is not None:
            place = {"task_id": task, "task": task}
            if task in self._children:
                place["task"], place["map_index"] = self._children[task]
            if (attempt := self._attempts.get(task, 0)) > 0:
                place["attempt"] = attempt
        event = {"seq": len(self._events) + 1, "run_id": "r", "type": type, "time": self._time(), **place, "data": data}
        self._events.append(event)

    def _time(self) -> str:
        """Any time of some days: with and without parts of a second, in UTC and not."""
        any_of = self._chance.choice
        part = any_of(["", ".5", ".000001", ".123456", ".999999", ".1234"])
        zone = any_of(["Z", "Z", "Z", "+00:00", "+02:00", "-11:30"])
        day, hour, minute = self._chance.randint(10, 13), self._chance.randint(10, 23), self._chance.randint(10, 59)
        return f"2026-10-{day}T{hour}:{minute}:59{part}{zone}"

    def _ms(self) -> float:
        return self._chance.choice([0.1, 0.2, 0.001, 1234.567, 86_400_000.001, 5])

    def _odd(self) -> Any:
        return self._chance.choice(ODD)

    def _odd_text(self) -> str | None:
        return self._chance.choice([None, "", "ä😀", "9" * 20 + "\u0001", '"\\'])

    def _task(self) -> str:
        return self._chance.choice([*self._bodies, *self._children])

    # --- what is said ---

    def _start(self) -> None:
        listed = [{"id": id, "kind": "task", "depends_on": self._bodies[:at]} for at, id in enumerate(self._bodies)]
        data: dict[str, Any] = {"workflow": "w", "version": "1", "total_tasks": len(listed), "meta": self._odd()}
        if self._chance.random() < 0.8:
            data["tasks"] = listed
        else:
            data["tasks_ref"] = "/runs/r"
        if self._chance.random() < 0.2:
            data |= {"session": True, "idle": 1.5}
        if self._chance.random() < 0.3:
            data |= {"maps": 1, "budget": {"cost": 0.1}, "parent": {"run_id": "p", "task_id": "t"}}
        self._say("run.started", data)

    def _says(self) -> list[Callable[[], None]]:
        often = [self._began, self._ended, self._spent, self._spent, self._asked, self._answered]
        return [
            *often,
            self._mapped,
            self._retried,
            self._told,
            self._changed,
            self._recovered,
            self._child,
            self._upgraded,
        ]

    def _began(self) -> None:
        task = self._task()
        if task not in self._maps:
            self._attempts[task] = self._attempts.get(task, 0) + 1
            self._say("task.started", {}, task)
            self._running = [*[other for other in self._running if other != task], task]

    def _mapped(self) -> None:
        new = [id for id in self._bodies if id not in self._maps and id not in self._attempts]
        if not new or len(self._maps) > 2:
            return
        task, count = self._chance.choice(new), self._chance.choice([0, 1, 2, 3])
        self._say("task.mapped", {"count": count}, task)
        self._maps.append(task)
        self._children |= {f"{task}[{index}]": (task, index) for index in range(count)}

    def _ended(self) -> None:
        task = self._task()
        if task in self._maps:
            return
        how = self._chance.choice(["completed", "completed", "failed", "skipped", "cancelled"])
        data: dict[str, Any] = {"duration_ms": self._ms(), "reason": self._chance.choice([None, "condition", "other"])}
        data |= {"because": self._odd_text(), "error": self._odd()}
        if self._chance.random() < 0.5:
            data["recoverable"] = self._chance.choice([False, False, True])
        if how == "skipped" and task not in self._children and task not in self._attempts:
            data["mapped"] = self._chance.choice([True, False])
        self._attempts.setdefault(task, 0)
        self._running = [other for other in self._running if other != task]
        self._say(f"task.{how}", data, task)

    def _retried(self) -> None:
        if self._running:
            data = {"next_attempt": 2, "delay_ms": self._ms()}
            self._say("task.retrying", data, self._chance.choice(self._running))

    def _told(self) -> None:
        task = self._task()
        data = {"fraction": self._chance.choice([0, 0.1, 1.0]), "message": self._odd_text()}
        self._say("task.progress", data, task)
        self._say("task.cancelling", {"reason": self._chance.choice(["asked", "ä"]), "by": None}, task)
        self._say("an.event", {"of": self._odd()}, task)
        self._say(self._chance.choice(["constructor", "__proto__", "child.ended"]), {"engine": None}, task)
        self._say(self._chance.choice(["budget.warning", "budget.exceeded"]), {"resource": "cost"})

    def _changed(self) -> None:
        type = self._chance.choice(["run.paused", "run.paused", "run.resumed", "run.cancelling"])
        why = {"reason": self._odd_text()} if type == "run.resumed" else self._why()
        self._say(type, why | {"error": self._odd()} if type == "run.cancelling" else why)

    def _why(self) -> dict[str, Any]:
        return {"reason": self._odd_text()} if self._chance.random() < 0.6 else {}

    def _recovered(self) -> None:
        data: dict[str, Any] = {"reason": "recovered", "by": None}
        if self._chance.random() < 0.8:
            data["downtime_ms"] = self._ms()
        if self._chance.random() < 0.4:
            data["recovery"] = self._chance.randint(1, 9)
        if self._chance.random() < 0.5:
            data["crashed"] = True
        self._say("run.resumed", data)
        self._running = []

    def _upgraded(self) -> None:
        """Only tasks that nothing was said of leave."""
        said = {event.get("task") for event in self._events}
        gone = [id for id in self._bodies if id not in said and self._chance.random() < 0.5]
        new = [id for id in NAMES if id not in self._bodies and self._chance.random() < 0.3]
        self._bodies = [id for id in self._bodies if id not in gone] + new or ["a"]
        data: dict[str, Any] = {"from": "f", "to": "g", "version": self._odd_text(), "downtime_ms": self._ms()}
        data |= {"total_tasks": len(self._bodies), "maps": self._chance.choice([0, 2])}
        if gone:
            data["removed"] = gone
        if self._chance.random() < 0.8:
            changed = [*new, *self._chance.sample(self._bodies, 1)]
            data["tasks"] = [{"id": id, "kind": "task", "depends_on": self._bodies[:1]} for id in changed]
        else:
            data["tasks_ref"] = "runs/r"
        self._say("run.upgraded", data)

    def _asked(self) -> None:
        if not self._running:
            return
        data: dict[str, Any] = {"prompt": self._odd_text(), "schema": self._odd(), "key": self._chance.choice(KEYS)}
        if self._chance.random() < 0.2:
            data["answered"] = self._chance.randint(1, len(self._events))
        if self._chance.random() < 0.2:
            data["expires"] = self._time()
        if self._chance.random() < 0.3:
            data["rejected"] = [self._chance.randint(1, len(self._events)) for _ in range(3)]
        if data["key"] is None and self._chance.random() < 0.5:
            del data["key"]
        self._say("task.waiting", data, self._chance.choice(self._running))

    def _answered(self) -> None:
        type = self._chance.choice(["task.received", "task.received", "task.expired", "task.withdrawn"])
        asked = [event for event in self._events if event["type"] == "task.waiting"]
        task, key = self._task(), self._chance.choice(KEYS)
        if asked and self._chance.random() < 0.8:
            event = self._chance.choice(asked)
            task, key = event["task_id"], event["data"].get("key")
        if task not in self._maps:
            self._attempts.setdefault(task, 0)
            self._say(type, {"key": key, "value": self._odd()}, task)

    def _spent(self) -> None:
        data: dict[str, Any] = {"cost": self._chance.choice(COSTS), "tokens": self._chance.choice(TOKENS)}
        if self._chance.random() < 0.3:
            data |= {"child_run": self._chance.choice(NAMES)}
            data |= {"tasks": 1} if self._chance.random() < 0.5 else {}
        self._say("task.spent", data, self._chance.choice([None, self._task()]))

    def _child(self) -> None:
        data: dict[str, Any] = {"child_run": self._chance.choice(NAMES)}
        if self._chance.random() < 0.9:
            data["engine"] = True
        if self._chance.random() < 0.5:
            self._say("child.started", data | {"workflow": "kid", "key": "1"}, self._task())
        else:
            self._say("child.ended", data | {"status": "failed"}, self._task())
