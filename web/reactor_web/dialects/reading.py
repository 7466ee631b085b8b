"""What dialects that fold read from the events of a run: the static facts of ``run.started``, and why a task ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from reactor.bounds import RESERVED_EVENT_PREFIXES
from reactor.events.event import Event
from reactor_web.bounds import MAX_SAID


@dataclass(slots=True)
class TaskFacts:
    """What ``run.started`` says of one task of the graph."""

    id: str
    place: int
    """In the order of the graph, from 0."""
    is_map: bool = False
    tool: str | None = None
    has_condition: bool = False
    group: dict[str, Any] | None = None
    """``{kind, index, total}`` of its innermost group."""
    depends_on: list[str] = field(default_factory=list[str])
    meta: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class RunFacts:
    """What ``run.started`` says of a run."""

    run_id: str = ""
    workflow: str = ""
    started_at: str = ""
    """ISO 8601."""
    is_session: bool = False
    """Its events come from outside: the application writes its own start and, if it likes, its own end."""
    total_tasks: int = 0
    input: dict[str, Any] = field(default_factory=dict[str, Any])
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    budget: dict[str, Any] | None = None
    tasks: dict[str, TaskFacts] = field(default_factory=dict[str, TaskFacts])
    """By id, in the order of the graph."""
    named_later: int = 0
    """How many of them are in no graph."""

    def of(self, event: Event) -> TaskFacts:
        """The facts of an event's task; of a mapped task for its children."""
        return self.named(event.task or event.task_id or "")

    def named(self, name: str) -> TaskFacts:
        """The facts of a task by its name. Places go on for tasks that no graph has."""
        facts = self.tasks.get(name)
        if facts is None:  # of a session, or of a log whose beginning was trimmed
            facts = TaskFacts(name, len(self.tasks))
            if self.named_later < MAX_SAID:
                self.named_later += 1
                self.tasks[name] = facts
        return facts

    def order(self, task_id: str) -> tuple[int, int]:
        """Where a task or a child ``name[i]`` stands in the order of the graph; tasks that no graph has stand last."""
        name, _, index = task_id.removesuffix("]").partition("[")
        facts = self.tasks.get(task_id) or self.tasks.get(name)
        return (len(self.tasks) if facts is None else facts.place, int(index) if index.isdecimal() else 0)


def read_facts(started: Event | None) -> RunFacts:
    """The facts of ``run.started``; none of them where there is no such event."""
    if started is None or started.type != "run.started":
        return RunFacts()
    data = started.data
    return RunFacts(
        run_id=started.run_id,
        workflow=data["workflow"],
        started_at=started.time,
        is_session=data.get("session") is True,
        total_tasks=data["total_tasks"],
        input=data.get("input") or {},
        meta=data.get("meta") or {},
        budget=data.get("budget"),
        tasks={entry["id"]: _task_facts(entry, place) for place, entry in enumerate(data.get("tasks") or [])},
    )


def facts_after(facts: RunFacts, upgraded: Event) -> RunFacts:
    """The facts of a run after ``run.upgraded``: tasks are gone, others are new, and all have their places.

    Where the event only refers to the new ones, they are named when something is said of them.
    """
    data = upgraded.data
    gone = set(data.get("removed", ()))
    tasks = {id: task for id, task in facts.tasks.items() if id not in gone}
    tasks |= {entry["id"]: _task_facts(entry, len(tasks)) for entry in data.get("tasks", ())}
    in_order = dict(sorted(tasks.items(), key=lambda item: item[1].place))
    return replace(facts, total_tasks=data["total_tasks"], tasks=in_order)


def tasks_after(upgraded: Event) -> int:
    """How many tasks the graph of a run has after ``run.upgraded``."""
    return upgraded.data["total_tasks"] + upgraded.data["maps"]


def _task_facts(entry: dict[str, Any], place: int) -> TaskFacts:
    return TaskFacts(
        id=entry["id"],
        place=entry.get("place", place),  # not in logs of 0.1
        is_map=entry["kind"] == "map",
        tool=entry.get("tool"),
        has_condition=entry.get("when", False),
        group=entry.get("group"),
        depends_on=entry["depends_on"],
        meta=entry.get("meta") or {},
    )


def layers(facts: RunFacts) -> int:
    """How many tasks the longest chain of dependencies has: the others of a layer can run beside those of the chain."""
    depth: dict[str, int] = {}
    for task in facts.tasks.values():  # upstreams come first
        depth[task.id] = 1 + max((depth.get(name, 0) for name in task.depends_on), default=0)
    return max(depth.values(), default=0)


def object_of(event: Event, name: str = "data") -> dict[str, Any]:
    """The data of an event. What an application has said that is no object stands under ``name``."""
    data: object = event.body["data"]
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {name: data}


def error_text(event: Event) -> str | None:
    """Why a task or a run has not succeeded, as one text; None for an event that says no such thing.

    ``skipped: …`` and ``cancelled: …`` tell these from a failure, whose text is the error's message.
    """
    data = event.data
    match event.type:
        case "task.failed" | "run.failed" | "task.retrying":
            return data["error"]["message"]
        case "task.skipped":
            because = data.get("because")
            return f"skipped: {data['reason']}" + (f" ({because})" if because else "")
        case "task.cancelled" | "run.cancelled":
            return f"cancelled: {data.get('reason') or 'requested'}"
        case _:
            return None


def milliseconds_between(start: str, end: str) -> float:
    """From one ``event.time`` to another."""
    if not start:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1_000


def is_own(event: Event) -> bool:
    """Whether the application has emitted this event: its type is none of the engine's."""
    if event.type.startswith("child."):  # in a log of 0.1 it may be the application's
        return event.data.get("engine") is not True
    return not event.type.startswith(RESERVED_EVENT_PREFIXES)
