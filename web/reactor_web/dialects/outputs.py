"""What came of a run: the outputs of the tasks that no other task depends on, as ``await run`` gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reactor.events.event import Event
from reactor_web.dialects.reading import RunFacts, facts_after, read_facts


def final_outputs(events: Sequence[Event], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """By task, of the events of a run that has completed.

    ``outputs``: of the tasks whose ``task.completed`` only has a reference, by task id.
    """
    end = events[-1].data
    if "outputs_ref" not in end:
        return end.get("outputs") or {}
    facts = read_facts(events[0])
    for event in events:
        if event.type == "run.upgraded":
            facts = facts_after(facts, event)
    values = {
        event.task_id or "": outputs.get(event.task_id or "", event.data.get("output"))
        for event in events
        if event.type == "task.completed"
    }
    if not facts.tasks:  # the graph is not in the event, and so nobody can say which tasks are the last
        return values
    maps = {event.task: event.data["count"] for event in events if event.type == "task.mapped"}
    return {name: _output(name, values, maps, facts) for name in _last(facts) if name in values or name in maps}


def _last(facts: RunFacts) -> list[str]:
    needed = {upstream for task in facts.tasks.values() for upstream in task.depends_on}
    return [name for name in facts.tasks if name not in needed]


def _output(name: str, values: Mapping[str, Any], maps: Mapping[str | None, int], facts: RunFacts) -> Any:
    if name not in maps:
        return values[name]
    children = [f"{name}[{index}]" for index in range(maps[name])]
    return [values[child] for child in children if child in values]  # a condition may have left some out
