"""check_histories: whether what several clients of a shared log were told can be one log, over any number of crashes.

A test lets writers, followers and bodies note what they see, reads the log once all is over, and has it all judged
here. It is a pure function: values in, one sentence a fault out. All times are of one clock, such as
``time.monotonic()`` on one machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, NamedTuple, cast

from reactor.events.event import Event
from reactor.events.vocabulary import TASK_ENDS, TERMINAL

NODE: Final = "node"
"""The member of an event's data, or of an output, by which a body says in which life of which node it runs."""


class Seen(NamedTuple):
    """One event as it came to a follower, and when."""

    at: float
    json: bytes


class Shown(NamedTuple):
    """What one follower was shown, in that order: of one run, or of all runs in the order of their commits."""

    who: str
    run_id: str | None
    """None: of all runs."""
    events: Sequence[Seen]
    ended: bool = True
    """Whether it was told of the end, and so was shown everything. Else it was shown a beginning."""
    after: int = 0
    """The seq that it asked to be shown the rest of."""


class Asked(NamedTuple):
    """A command that makes one event, and what its writer was told."""

    who: str
    run_id: str
    type: str
    """That of the event."""
    holds: Mapping[str, Any]
    """What its data has, by which it is known from all others of the run."""
    asked: float
    told: float | None
    """When it was acknowledged. None: nobody knows what became of it, and it may be there once or not at all."""
    seq: int | None = None
    """The number that was acknowledged with it, if any."""


class Began(NamedTuple):
    """A body that has begun."""

    at: float
    run_id: str
    task_id: str
    attempt: int
    node: str


@dataclass(frozen=True)
class History:
    """Everything that is known of some runs."""

    logs: Mapping[str, Sequence[bytes]]
    """The events of each run, as the log has them at the end."""
    shown: Sequence[Shown] = ()
    asked: Sequence[Asked] = ()
    began: Sequence[Began] = ()

    @cached_property
    def events(self) -> dict[str, list[Event]]:
        return {run_id: [*map(Event.from_json, events)] for run_id, events in self.logs.items()}


def check_histories(history: History) -> list[str]:
    """The faults of a history; none if everything is as it was promised. Each is one sentence that names the run.

    - Each run has the seqs 1 to N and one terminal event, the last one.
    - A follower was shown the events of the log, in their order, each once; a whole run, if it was told of its end.
      Followers of all runs were shown them in one order.
    - What was acknowledged is there, once, under the number that was told, behind all that was acknowledged before it
      was asked for. What nobody knows of is there once at most.
    - No task that has ended begins again, neither in the log nor, once somebody was shown its end, as a body.
    - Between two recoveries all events of bodies are of one node: nobody writes to a run that has moved on.
    """
    checks = (_logs, _followers, _orders, _commands, _sequence, _repeated, _bodies, _stale)
    return [fault for check in checks for fault in check(history)]


def _logs(history: History) -> Iterator[str]:
    for run_id, events in history.events.items():
        seqs = [event.seq for event in events]
        wrong = next((place for place, seq in enumerate(seqs, 1) if seq != place), None)
        if wrong is not None:
            yield f"{run_id}: event {seqs[wrong - 1]} stands in place {wrong} of the log"
        ends = [event.seq for event in events if event.type in TERMINAL]
        if len(ends) > 1:
            yield f"{run_id}: the log has {len(ends)} terminal events, {ends}"
        elif not ends:
            yield f"{run_id}: the log has no terminal event after {len(events)} events"
        elif events[-1].type not in TERMINAL:
            yield f"{run_id}: the log goes on with {events[-1].type} after the terminal event {ends[0]}"


def _followers(history: History) -> Iterator[str]:
    for shown in history.shown:
        last: dict[str, int] = {}
        for seen in shown.events:
            event = Event.from_json(seen.json)
            run_id, before = event.run_id, last.get(event.run_id, shown.after)
            yield from _one_shown(f"{run_id}: {shown.who} was shown", event, before, history.logs.get(run_id, ()))
            last[run_id] = max(before, event.seq)
        if shown.ended:
            for run_id in history.logs if shown.run_id is None else [shown.run_id]:
                total, seen_to = len(history.logs.get(run_id, ())), last.get(run_id, shown.after)
                if seen_to < total:
                    yield f"{run_id}: {shown.who} was shown the end, but nothing from {seen_to + 1} to {total}"


def _one_shown(who: str, event: Event, before: int, log: Sequence[bytes]) -> Iterator[str]:
    if event.seq <= before:
        yield f"{who} {event.seq} again, after {before}"
    elif event.seq > before + 1:
        yield f"{who} {event.seq} after {before}: a gap"
    if event.seq > len(log):
        yield f"{who} {event.seq} ({event.type}), which the log does not have"
    elif log[event.seq - 1] != event.json:
        yield f"{who} {event.seq} as {event.type}, where the log has {_name(log[event.seq - 1])}"


def _name(json: bytes) -> str:
    event = Event.from_json(json)
    return f"{event.seq} {event.type} of {event.time}"


def _orders(history: History) -> Iterator[str]:
    """Of those who follow all runs, each was shown a beginning of one and the same order."""
    of_all = [(shown.who, [*map(_place, shown.events)]) for shown in history.shown if shown.run_id is None]
    for (one, first), (other, second) in pairwise(sorted(of_all, key=lambda shown: len(shown[1]))):
        at = next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
        if at is not None:
            (run_id, seq), (also, its) = first[at], second[at]
            yield f"{run_id}: {one} was shown {seq} in place {at + 1} of all runs, where {other} was shown {also} {its}"


def _place(seen: Seen) -> tuple[str, int]:
    event = Event.from_json(seen.json)
    return event.run_id, event.seq


def _commands(history: History) -> Iterator[str]:
    for asked in history.asked:
        found = [event.seq for event in history.events.get(asked.run_id, ()) if _is_of(asked, event)]
        what = f"{asked.run_id}: the {asked.type} of {asked.who} with {dict(asked.holds)}"
        if len(found) > 1:
            yield f"{what} is in the log {len(found)} times, {found}"
        elif asked.told is not None and not found:
            yield f"{what} was acknowledged, and is not in the log"
        elif found and asked.seq not in (None, found[0]):
            yield f"{what} was acknowledged as {asked.seq}, and is in the log as {found[0]}"


def _is_of(asked: Asked, event: Event) -> bool:
    return event.type == asked.type and asked.holds.items() <= event.data.items()


def _sequence(history: History) -> Iterator[str]:
    """What was acknowledged before another was asked for comes before it."""
    placed: dict[str, list[tuple[Asked, int]]] = defaultdict(list)
    for asked in history.asked:
        found = next((e.seq for e in history.events.get(asked.run_id, ()) if _is_of(asked, e)), None)
        if found is not None:
            placed[asked.run_id].append((asked, found))
    for run_id, several in placed.items():
        for first, seq in several:
            for second, later in several:
                if first.told is not None and first.told < second.asked and later < seq:
                    yield (
                        f"{run_id}: {first.type} of {first.who} was acknowledged before {second.type} of {second.who} "
                        f"was asked for, and is {seq}, behind {later}"
                    )


def _repeated(history: History) -> Iterator[str]:
    for run_id, events in history.events.items():
        ended: dict[str, int] = {}
        for event in events:
            task = event.task_id
            if task is None or event.type not in {"task.started", *TASK_ENDS}:
                continue
            if task in ended:
                yield f"{run_id}: {event.type} of {task} is {event.seq}, although the task has ended with {ended[task]}"
            if event.type in TASK_ENDS and event.data.get("recoverable", True):
                ended.setdefault(task, event.seq)


def _bodies(history: History) -> Iterator[str]:
    """A body begins nowhere once somebody was shown the end of its task. Before that it may begin again, also as the
    same attempt: what its node had not committed is lost with it.
    """
    ends: dict[tuple[str, str], float] = {}
    for shown in history.shown:
        for at, json in shown.events:
            event = Event.from_json(json)
            if event.type in TASK_ENDS and event.task_id and event.data.get("recoverable", True):
                body = event.run_id, event.task_id
                ends[body] = min(at, ends.get(body, at))
    for began in history.began:
        seen = ends.get((began.run_id, began.task_id))
        if seen is not None and began.at > seen:
            yield (
                f"{began.run_id}: {began.task_id} began on {began.node} as attempt {began.attempt}, "
                f"{began.at - seen:.3f} s after its end was shown"
            )


def _stale(history: History) -> Iterator[str]:
    """Whoever recovers a run is the only one that writes from there to the next recovery."""
    for run_id, events in history.events.items():
        holder: str | None = None
        for event in events:
            if _is_recovery(event):
                holder = None
            node = _node_of(event)
            if node is None:
                continue
            if holder not in (None, node):
                yield f"{run_id}: {event.seq} {event.type} was written by {node}, while {holder} had the run"
            holder = holder or node


def _is_recovery(event: Event) -> bool:
    return event.type == "run.resumed" and event.data["reason"] == "recovered"


def _node_of(event: Event) -> str | None:
    output: Any = event.data.get("output")
    members = cast("dict[str, Any]", output) if isinstance(output, dict) else {}
    node: object = event.data.get(NODE) or members.get(NODE)
    return node if isinstance(node, str) else None
